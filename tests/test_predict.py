"""Predictions against a plain forward pass, and one sentence for what cannot be."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from tiny import tiny_model

from explorer.knockout import without_heads, without_words
from explorer.predict import (
    chance_and_rank,
    fill_mask,
    mask_each,
    predict_positions,
    rollout,
    to_words,
    word_chances,
)
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK, WordTokenizer

WORDS = "the cat dog sat on a mat and . ran".split()
TOKENIZER = WordTokenizer([*SPECIALS, *WORDS])
SENTENCE = "the cat sat on the zebra"
STRANGE = [
    "xyzzy plugh",
    "😀👨‍👩‍👧 🏳️‍🌈",
    "שלום עולם. مرحبا",
    "你好,世界。",
    "a\0b",
    "\ud800 \udfff",
    "<b>bold</b> &amp; <script>alert(1)</script>",
    "[MASK] [PAD] [CLS] [SEP] [UNK] <unk>",
    "e\u0301\u202e\u200b",
]


@pytest.fixture(scope="module")
def model():
    return tiny_model(len(TOKENIZER))


@torch.no_grad()
def by_hand(model, words, position):
    """The ids written out, one forward pass, special tokens struck out."""
    ids = [CLS, *(TOKENIZER.ids.get(w, UNK) for w in words), SEP]
    ids[1 + position] = MASK
    logits, weights = model(torch.tensor([ids]), need_weights=True)
    scores = logits[0, 1 + position, len(SPECIALS) :].double().exp()
    return scores / scores.sum(), weights[0]


def test_a_prediction_is_that_of_a_plain_forward_pass(model):
    words = SENTENCE.split()
    for position in range(len(words)):
        found = fill_mask(model, TOKENIZER, SENTENCE, position, top_k=len(WORDS))
        chances, weights = by_hand(model, words, position)
        order = chances.argsort(descending=True).tolist()
        assert [word for word, _ in found.top] == [WORDS[i] for i in order]
        assert [p for _, p in found.top] == pytest.approx(chances[order].tolist())
        assert (found.pred, found.p_pred) == found.top[0]
        torch.testing.assert_close(found.weights_NHTS, weights, atol=1e-6, rtol=1e-5)
        assert (found.words, found.position) == (words, position)
        assert sum(p for _, p in found.top) == pytest.approx(1)


def test_the_true_word_has_its_probability_and_rank(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 1, top_k=len(WORDS))
    names = [word for word, _ in found.top]
    assert found.true == "cat"
    assert found.rank_true == names.index("cat") + 1
    assert found.p_true == pytest.approx(dict(found.top)["cat"])
    ranks = [
        fill_mask(model, TOKENIZER, f"the {word} sat", 1).rank_true for word in WORDS
    ]
    assert sorted(ranks) == list(range(1, len(WORDS) + 1))  # hidden, so the same list


def test_a_word_outside_the_vocabulary_has_none(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 5)
    assert found.words[5] == "zebra"
    assert (found.true, found.p_true, found.rank_true) == (None, None, None)
    assert found.pred in WORDS


def test_the_hidden_word_is_not_seen(model):
    first, second = (
        fill_mask(model, TOKENIZER, f"the {word} sat on the mat", 1)
        for word in ("cat", "dog")
    )
    assert first.top == second.top
    assert (first.true, second.true) == ("cat", "dog")


def test_special_tokens_are_no_answers(model):
    with torch.no_grad():
        before = model.head.decoder.bias.clone()
        model.head.decoder.bias[: len(SPECIALS)] = 99
    found = fill_mask(model, TOKENIZER, SENTENCE, 1, top_k=99)
    with torch.no_grad():
        model.head.decoder.bias.copy_(before)
    assert sorted(word for word, _ in found.top) == sorted(WORDS)


def test_attention_is_the_row_of_the_hidden_position(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 2)
    weights = found.weights_NHTS
    assert found.tokens == [
        "[CLS]",
        "the",
        "cat",
        "[MASK]",
        "on",
        "the",
        "zebra",
        "[SEP]",
    ]
    assert weights.shape == (2, 2, 8, 8)
    row = found.tokens.index("[MASK]")
    assert torch.equal(found.attention(0, 1), weights[0, 1, row])
    last = (weights[1, 0, row] + weights[1, 1, row]) / 2
    torch.testing.assert_close(found.attention(), last)
    middle = (weights[0, 1, row] + weights[1, 1, row]) / 2
    torch.testing.assert_close(found.attention(None, 1), middle)
    for layer in (None, -1, 0, 1):
        for head in (None, 0, 1):
            total = found.attention(layer, head).sum()
            torch.testing.assert_close(total, torch.tensor(1.0))


def test_rollout_follows_the_residuals_through_the_layers(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 2)
    even = torch.eye(8)
    first, second = ((w.mean(0) + even) / 2 for w in found.weights_NHTS)
    torch.testing.assert_close(rollout(found.weights_NHTS), second @ first)
    share_S = found.attention("rollout")
    torch.testing.assert_close(share_S, (second @ first)[3])
    torch.testing.assert_close(share_S.sum(), torch.tensor(1.0))
    assert share_S[3] > 0.25  # both residuals keep a quarter at the position itself
    with pytest.raises(ValueError, match="no head 1"):
        found.attention("rollout", 1)


def test_any_word_has_a_probability_and_a_rank(model):
    found = fill_mask(model, TOKENIZER, SENTENCE, 2, top_k=len(WORDS))
    for rank, (word, p) in enumerate(found.top, start=1):
        assert chance_and_rank(found.chance_V, TOKENIZER.ids[word]) == (p, rank)
    assert found.chance_V[: len(SPECIALS)].sum() == 0
    unknown = fill_mask(model, TOKENIZER, SENTENCE, 5)
    assert (unknown.target, unknown.p_target) == (unknown.pred, unknown.p_pred)
    assert (found.target, found.p_target) == ("sat", found.p_true)


def test_each_word_in_turn_is_the_same_as_each_alone(model):
    each = mask_each(model, TOKENIZER, SENTENCE)
    assert [found.position for found in each] == list(range(6))
    for position, found in enumerate(each):
        alone = fill_mask(model, TOKENIZER, SENTENCE, position)
        assert [w for w, _ in found.top] == [w for w, _ in alone.top]
        assert found.p_pred == pytest.approx(alone.p_pred, rel=1e-5)
        assert (found.true, found.rank_true) == (alone.true, alone.rank_true)
        torch.testing.assert_close(
            found.weights_NHTS, alone.weights_NHTS, atol=1e-6, rtol=1e-5
        )


def test_free_text_is_split_and_a_list_is_taken_as_it_is(model):
    assert fill_mask(model, TOKENIZER, "The cat's mat.", 2).words == [
        "The",
        "cat",
        "'s",
        "mat",
        ".",
    ]
    assert fill_mask(model, TOKENIZER, ["cat's", "mat"], 0).words == ["cat's", "mat"]


def test_nobody_can_type_a_special_token(model):
    words = ["[UNK]", "[PAD]", "cat"]
    first = fill_mask(model, TOKENIZER, words, 2)
    second = fill_mask(model, TOKENIZER, ["xyzzy", "plugh", "cat"], 2)
    assert first.top == second.top
    assert fill_mask(model, TOKENIZER, words, 0).true is None


@pytest.mark.parametrize("blank", ["[MASK]", "___", "_" * 12])
def test_a_blank_is_hidden_and_has_no_true_word(model, blank):
    found = fill_mask(model, TOKENIZER, f"the {blank} sat on the mat")
    hidden = fill_mask(model, TOKENIZER, "the cat sat on the mat", 1)
    assert found.words == ["the", "___", *"sat on the mat".split()]
    assert (found.position, found.top, found.blank) == (1, hidden.top, True)
    assert (found.true, found.p_true, found.rank_true) == (None, None, None)
    assert (found.target, found.p_target) == (found.pred, found.p_pred)
    assert not hidden.blank and hidden.true == "cat"
    as_list = fill_mask(model, TOKENIZER, ["the", blank, *"sat on the mat".split()])
    assert as_list.top == hidden.top
    # Beside another hidden word it stays a blank, glued to a mark or not.
    two = fill_mask(model, TOKENIZER, f"the {blank} sat on the cat{blank}", 5)
    ids = [CLS, *TOKENIZER.encode("the"), MASK, *TOKENIZER.encode("sat on the"), MASK]
    with torch.no_grad():
        scores = model(torch.tensor([[*ids, MASK, SEP]]))[0, 6, len(SPECIALS) :]
    best = scores.softmax(-1).max()
    assert two.p_pred == pytest.approx(float(best), abs=1e-6)


@pytest.mark.parametrize("text, count", [("the cat", 0), ("___ [MASK] the", 2)])
def test_without_a_position_there_is_one_blank(model, text, count):
    with pytest.raises(ValueError, match=f"has {count} blanks; write one ___ or"):
        fill_mask(model, TOKENIZER, text)


def test_the_same_text_in_another_unicode_form_is_the_same_text():
    tokenizer = WordTokenizer([*SPECIALS, "caf\u00e9", "the"])
    model = tiny_model(len(tokenizer))
    found = fill_mask(model, tokenizer, "the cafe\u0301", 1)
    assert found.true == "caf\u00e9"


def modes(model) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.fixture
def training():
    """A model with dropout, one half of it in training mode, the other not."""
    torch.manual_seed(0)
    sizes = {"max_length": 32, "n_layers": 2, "d_model": 16, "n_heads": 2}
    config = ModelConfig(vocab_size=len(TOKENIZER), dropout=0.5, **sizes)
    model = MaskedLanguageModel(config).train()
    model.blocks[1].eval()
    return model


def questions(model):
    """Each way to ask a model, as a function without arguments."""
    found = fill_mask(copy.deepcopy(model).eval(), TOKENIZER, SENTENCE, 1)
    given = model, TOKENIZER
    return [
        lambda: fill_mask(*given, SENTENCE, 1).chance_V,
        lambda: mask_each(*given, SENTENCE)[2].chance_V,
        lambda: predict_positions(*given, SENTENCE, [0, 1])[1].chance_V,
        lambda: without_words(*given, found),
        lambda: without_heads(*given, found),
        lambda: word_chances(
            model, torch.tensor([[CLS, 6, SEP]]), torch.ones(1, 1).long()
        )[0],
    ]


def test_predictions_are_made_without_dropout_and_leave_the_mode_alone(training):
    before = modes(training)
    assert True in before and False in before
    steady = questions(copy.deepcopy(training).eval())
    for ask, expected in zip(questions(training), steady, strict=True):
        assert torch.equal(ask(), expected())
        assert modes(training) == before


def test_a_failure_leaves_the_mode_alone(training):
    before = modes(training)
    asked = questions(training)
    next(training.parameters()).data.fill_(float("nan"))
    for ask in asked:
        with pytest.raises(ValueError, match="not finite"):
            ask()
        assert modes(training) == before


def test_a_model_is_asked_while_another_thread_trains_it(training):
    """Its training steps keep their dropout, and the answers have none."""
    seen = []
    training.blocks[0].dropout.register_forward_hook(
        lambda module, *_: seen.append(module.training)
    )
    ids_BT = torch.tensor([[CLS, 6, MASK, 8, SEP]])
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(
            lambda: {
                fill_mask(training, TOKENIZER, SENTENCE, 1).p_pred for _ in range(99)
            }
        )
        steps = 0
        while not asking.done():
            training(ids_BT)
            steps += 1
        assert len(asking.result()) == 1
    # In each step of training one dropout twice, in each answer none.
    assert seen.count(True) == 2 * steps and seen.count(False) == 2 * 99


def test_the_weights_are_those_of_the_model_when_asked(model):
    model = copy.deepcopy(model)
    assert fill_mask(model, TOKENIZER, SENTENCE, 1).pred != "dog"
    model.head.decoder.bias.data[TOKENIZER.ids["dog"]] += 9
    assert fill_mask(model, TOKENIZER, SENTENCE, 1).pred == "dog"


def test_a_compiled_model_answers_in_its_own_mode(training):
    expected = fill_mask(training, TOKENIZER, SENTENCE, 1).chance_V
    compiled = torch.compile(training, backend="eager")
    assert torch.equal(fill_mask(compiled, TOKENIZER, SENTENCE, 1).chance_V, expected)
    training.compile(backend="eager")
    assert torch.equal(fill_mask(training, TOKENIZER, SENTENCE, 1).chance_V, expected)


@pytest.mark.parametrize("more", [["one"], ["one", "two"], []])
def test_a_tokenizer_of_another_size_is_one_sentence(model, more):
    words = [*WORDS, *more] if more else WORDS[:-1]
    other = WordTokenizer([*SPECIALS, *words])
    said = f"tokenizer has {len(other)} words, but the model has vocab_size 15"
    with pytest.raises(ValueError, match=said):
        fill_mask(model, other, SENTENCE, 1)
    with pytest.raises(ValueError, match=said):
        mask_each(model, other, SENTENCE)


@pytest.mark.parametrize("text", STRANGE, ids=ascii)
def test_strange_text_gives_a_result(model, text):
    each = mask_each(model, TOKENIZER, text)
    assert each
    for found in each:
        assert found.true is None or found.true in WORDS
        assert all(word in WORDS and 0 <= p <= 1 for word, p in found.top)
        assert len(found.tokens) == found.weights_NHTS.shape[-1]


@pytest.mark.parametrize("text", ["", " \n\t ", "\0", []])
def test_no_text_is_one_sentence(model, text):
    for ask in (fill_mask, lambda *given: mask_each(*given[:3])):
        with pytest.raises(ValueError, match="no word in the text; type a sentence"):
            ask(model, TOKENIZER, text, 0)


@pytest.mark.parametrize("count", [31, 10_000])
def test_too_many_words_are_one_sentence(model, count):
    said = f"has {count} words; the model takes at most 30"
    for text in ("cat " * count, ["cat"] * count):
        with pytest.raises(ValueError, match=said):
            fill_mask(model, TOKENIZER, text, 0)
        with pytest.raises(ValueError, match=said):
            mask_each(model, TOKENIZER, text)


def test_the_longest_text_is_taken(model):
    assert len(mask_each(model, TOKENIZER, "cat " * 30)) == 30
    assert len(to_words("cat " * 30, 32)) == 30


@pytest.mark.parametrize("position", [-1, 6, 99])
def test_a_position_that_does_not_exist_is_one_sentence(model, position):
    with pytest.raises(ValueError, match=f"no word {position}; choose 0 to 5"):
        fill_mask(model, TOKENIZER, SENTENCE, position)
    with pytest.raises(ValueError, match=f"no word {position}; choose 0 to 5"):
        predict_positions(model, TOKENIZER, SENTENCE, [0, position])


@pytest.mark.parametrize("change", [-1, 1, 400])
def test_a_tokenizer_of_another_size_is_refused(model, change):
    """With more words some ids have no vector; with fewer some answers have no name."""
    words = [f"word{i}" for i in range(model.config.vocab_size + change)]
    other = WordTokenizer([*SPECIALS, *words[len(SPECIALS) :]])
    own = fill_mask(model, TOKENIZER, SENTENCE, 0)
    said = f"tokenizer has {len(other)} words, but the model has vocab_size"
    for ask in (
        lambda: fill_mask(model, other, SENTENCE, 0),
        lambda: mask_each(model, other, SENTENCE),
        lambda: without_words(model, other, own),
        lambda: without_heads(model, other, own),
    ):
        with pytest.raises(ValueError, match=said):
            ask()
