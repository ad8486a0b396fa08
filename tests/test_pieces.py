"""A model that reads byte pairs, in the explorer: words of one token or several."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from explored import MODELS, TOKENIZER, Explored, Page, near, pressed
from tiny import tiny_model

from explorer import game
from explorer.knockout import silence_heads, without_heads, without_words
from explorer.predict import fill_mask, predict_each, predicted_guess_chance
from helpers.bpe import BPETokenizer
from helpers.model import MaskedLanguageModel
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, WordTokenizer

WORDS = "the cat and dog saw ship".split()
PIECES = BPETokenizer.train([" ".join(WORDS)] * 9 + [" the cat"] * 9, 17)
MODEL = tiny_model(len(PIECES), 2)
SENTENCE = ["the", "cat", "and", "ship", "saw"]
IDS = [PIECES.encode(" " * (i > 0) + word) for i, word in enumerate(SENTENCE)]
BEGINS = torch.tensor([token.startswith(b" ") for token in PIECES.tokens])


@torch.no_grad()
def chances(words_ids, position: int, done=(), model=MODEL) -> torch.Tensor:
    """Probabilities of the next piece of a masked word of which some are done."""
    row, size = [*words_ids], len(words_ids[position])
    row[position] = [*done, *[MASK] * (size - len(done))]
    at = 1 + sum(map(len, row[:position])) + len(done)
    scores = model(torch.tensor([[CLS, *sum(row, []), SEP]]))[0, at].double()
    begins = ~BEGINS if done or position == 0 else BEGINS
    scores[~begins] = scores[: len(SPECIALS)] = float("-inf")
    if size == 1:
        words = [PIECES.decode([i]) for i in range(len(PIECES))]
        odd = [not word.strip() or "\ufffd" in word for word in words]
        scores[torch.tensor(odd)] = float("-inf")
    return scores.softmax(-1)


def chance(words_ids, position: int, model=MODEL) -> float:
    """Probability of the word at a position: of its pieces from left to right."""
    ids, p = words_ids[position], 1.0
    for i, token in enumerate(ids):
        p *= chances(words_ids, position, ids[:i], model)[token].item()
    return p


def test_the_words_of_the_sentence_are_of_one_piece_and_of_two():
    assert [len(ids) for ids in IDS] == [1, 1, 1, 2, 1]
    assert PIECES.encode(" ".join(SENTENCE)) == sum(IDS, [])


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_word_has_the_probability_of_its_pieces(position):
    told = fill_mask(MODEL, PIECES, SENTENCE, position, top_k=99)
    assert (told.true, told.target_ids) == (SENTENCE[position], IDS[position])
    assert told.p_true == pytest.approx(chance(IDS, position), rel=1e-4)
    first = chances(IDS, position)
    torch.testing.assert_close(told.chance_V.double(), first, atol=1e-6, rtol=1e-4)
    if len(IDS[position]) == 1:
        best = [PIECES.decode([i]).strip(" ") for i in first.topk(5).indices.tolist()]
        assert [word for word, _ in told.top[:5]] == best
        assert told.rank_true == 1 + int((first > first[IDS[position][0]]).sum())


def test_the_best_words_of_two_pieces_are_found():
    """Of all pairs that the tokenizer would write for the word that they make."""
    told, first = fill_mask(MODEL, PIECES, SENTENCE, 3, top_k=9_999), chances(IDS, 3)
    joint = {}
    for start in range(len(PIECES)):
        second = chances(IDS, 3, [start]) if first[start] > 0 else []
        for end, p in enumerate(second):
            text = PIECES.decode([start, end])
            if p > 0 and PIECES.encode(text) == [start, end]:
                joint[text.removeprefix(" ")] = float(first[start] * p)
    best = sorted(joint, key=joint.get, reverse=True)
    words = [word for word, _ in told.top]
    assert words[:9] == best[:9] and {*words} == {*joint}
    assert [p for _, p in told.top] == near([joint[word] for word in words], 1e-7)
    assert told.rank_true == best.index("ship") + 1
    few = fill_mask(MODEL, PIECES, SENTENCE, 3)
    assert few.top == told.top[:5] and few.rank_true is None


def test_a_word_of_many_pieces_has_guesses():
    """Where the product of their probabilities is no number of 32 bits."""
    sure = copy.deepcopy(MODEL)
    sure.head.decoder.weight.data *= 3
    told = fill_mask(sure, PIECES, ["the", "x" * 27], 1)
    assert len(told.target_ids) == 28 and 0 < told.p_true < 1e-200
    assert len(told.top) == 5 and told.p_pred > 0


def test_attention_is_between_words():
    told = fill_mask(MODEL, PIECES, SENTENCE, 3)
    row = [MASK if i == 3 else j for i, ids in enumerate(IDS) for j in ids]
    with torch.no_grad():
        _, weights = MODEL(torch.tensor([[CLS, *row, SEP]]), need_weights=True)
    before, pieces, after = weights[0].split([4, 2, 2], -1)
    got = torch.cat([before, pieces.sum(-1, True), after], -1)
    before, pieces, after = got.split([4, 2, 2], -2)
    expected = torch.cat([before, pieces.mean(-2, True), after], -2)
    torch.testing.assert_close(told.weights_NHTS, expected)
    assert told.attention().sum().item() == pytest.approx(1)
    assert told.tokens == ["[CLS]", "the", "cat", "and", "[MASK]", "saw", "[SEP]"]


@pytest.mark.parametrize("position", [1, 3])
def test_knock_outs_hide_whole_words_and_ask_for_whole_words(position):
    told = predict_each(MODEL, PIECES, SENTENCE)[position]
    hidden = [[*IDS] for _ in IDS]
    for other in {*range(5)} - {position}:
        hidden[other][other] = [MASK] * len(IDS[other])
    expected = [chance(words, position) for words in hidden]
    assert without_words(MODEL, PIECES, told).tolist() == near(expected)
    off = torch.zeros(1, 2, 2, dtype=torch.bool)
    off[0, 1, 0] = True
    after_NH, silenced = without_heads(MODEL, PIECES, told), silence_heads(MODEL, off)
    assert [after_NH[1, 0].item()] == near(chance(IDS, position, silenced))


def test_a_guess_of_any_length_is_scored_and_no_word_is_unknown():
    told = fill_mask(MODEL, PIECES, SENTENCE, 1)
    for word in ("dog", "ship", "猫"):
        other = [*IDS]
        other[1] = PIECES.encode(" " + word)
        p, rank, size = predicted_guess_chance(MODEL, PIECES, told, word)
        assert p == pytest.approx(chance(other, 1), rel=1e-3)
        assert size == len(other[1]) and (rank is None) == (size > 1)
    for word in ("<unk>", "[MASK]", "_____"):
        assert predicted_guess_chance(MODEL, PIECES, told, word) is None
    with pytest.raises(ValueError, match="too long: it has 29 byte pairs"):
        predicted_guess_chance(MODEL, PIECES, told, "x" * 28)
    blank = fill_mask(MODEL, PIECES, "the ___ saw")
    assert (blank.true, blank.blank, len(blank.target_ids)) == (None, True, 1)


BOTH = {**MODELS, "pieces": MODEL}
TOKENIZERS = dict.fromkeys(MODELS, TOKENIZER) | {"pieces": PIECES}
TEXT = "the cat and the ship saw ."


def both(text=TEXT, **others) -> Explored:
    """An explorer of three models, of which one reads byte pairs."""
    return Explored(text, BOTH, TOKENIZERS, **others)


def test_models_of_words_and_of_byte_pairs_stand_side_by_side():
    explorer = both(position=4)
    assert "The model does not know it" in explorer.said()
    assert explorer.marked("underline dotted") == [4]
    words = [*MODELS][1:]
    told = fill_mask(MODEL, PIECES, TEXT, 4)
    other = Page(explorer.other)
    assert f"The model pieces says {told.pred}, " in other.text
    assert [*map(other.text.count, words)] == [1]

    explorer.model.value = "pieces"
    assert pressed(explorer.words) == [4] and explorer.marked("dotted") == []
    assert "It has 2 byte pairs. The model sees how many" in explorer.said()
    assert "would be 9.1\u00a0% for each byte pair" in Page(explorer.scale).text
    assert Page(explorer.card).numbers("mt-true") == near([told.p_true])
    after_W = without_words(MODEL, PIECES, told)
    needed = Page(explorer.needed)
    assert needed.numbers("data-position") == near(after_W[[0, 1, 2, 3, 5, 6]])
    after_NH = without_heads(MODEL, PIECES, told)
    assert Page(explorer.heads).numbers("data-p") == near(after_NH)
    p, *_ = predicted_guess_chance(MODEL, PIECES, told, "zebra")
    explorer.guess.value = "zebra"
    (own,) = Page(explorer.own).find("mt-own")
    assert float(own["data-p"]) == pytest.approx(p, abs=1e-7)
    assert "as a word of 6 byte pairs" in Page(explorer.own).text
    for guess, said in (("is n't", "Type one word."), ("x" * 30, "word is too long")):
        explorer.guess.value = guess  # and the answer stays
        assert said in Page(explorer.own).text
        assert "The model says" in explorer.said()
    explorer.layer.value = "1"
    assert "word is too long" in Page(explorer.own).text and explorer.needed.value

    explorer.change.word.value, explorer.change.by.value = 1, "dog"
    explorer.change.compare.click()
    after = fill_mask(MODEL, PIECES, TEXT.replace("cat", "dog"), 4)
    told, *_ = Page(explorer.change.told).numbers("data-p")
    assert told == pytest.approx(after.p_true, abs=1e-7)
    about = Page(explorer.more.children[-1]).text
    assert "It knows 13 words" in about and "The model “pieces” reads in" in about


def test_a_page_is_saved_of_the_models_that_read_words():
    explorer = both()
    explorer.model.value = "pieces"
    explorer.save_page.click()
    assert "this one reads byte pairs" in explorer.saved.value
    assert explorer.views.picture(explorer.choice()).startswith(b"\x89PNG")
    explorer.model.value = "without"
    page = explorer.views.page(explorer.choice())
    assert '"name": "without"' in page and '"name": "pieces"' not in page


def test_equal_tokenizers_are_one():
    again = BPETokenizer(list(PIECES.merges))
    explorer = Explored(TEXT, {"a": MODEL, "b": MODEL}, {"a": PIECES, "b": again})
    assert "reads in another way" not in explorer.more.children[-1].value
    words = WordTokenizer(TOKENIZER.words)
    explorer = Explored(TEXT, MODELS, {"with": TOKENIZER, "without": words})
    assert explorer.views.page(explorer.choice()).count('"config"') == 2


@pytest.mark.parametrize("names", [("pieces", "with"), ("with", "pieces")])
def test_a_game_asks_for_words_that_all_models_know(names, monkeypatch):
    hidden = [("the cat and the dog saw .", 1), ("the cat and the ship saw .", 4)]
    hidden.append(("zebra zebra zebra zebra zebra the cat", 6))  # 32 byte pairs
    rows = [{"text": text, "position": place} for text, place in hidden]
    monkeypatch.setattr(game, "page_source", lambda name: json.dumps({"game": rows}))
    tokenizers = [TOKENIZERS[name] for name in names]
    assert game.game_sentences(tokenizers, 30) == [(hidden[0][0].split(), 1)]
    assert len(game.game_sentences([PIECES], 30)) == 2


def test_a_sentence_has_to_fit_each_model():
    text = "zebra " * 6  # six byte pairs each
    told = both(text).refused()
    assert "6 words, which are 35 byte pairs; the model takes at" in told
    assert "The model says" in Explored(text).said()


OTHER = MaskedLanguageModel(replace(MODEL.config, n_heads=4))
WRONG = [
    (BOTH, dict.fromkeys(MODELS, TOKENIZER), "tokenizers for with, without; give one"),
    (BOTH, {}, "tokenizers for no model; give one for each of with, without, pieces"),
    (BOTH, TOKENIZER, "tokenizer has 18 words, but the model has vocab_size 278"),
    (BOTH | {"pieces": OTHER}, TOKENIZERS, r"differ in n_heads \(with: 2, .*: 4\)"),
]


@pytest.mark.parametrize("models, tokenizers, told", WRONG)
def test_tokenizers_that_do_not_fit_are_refused(models, tokenizers, told):
    with pytest.raises(ValueError, match=told):
        Explored(TEXT, models, tokenizers)
