"""Predictions against a plain forward pass, and one sentence for what cannot be."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from tiny import knowing, tiny_model

from explorer.attention_plots import attention_rollout
from explorer.knockout import without_heads, without_words
from explorer.predict import fill_mask, predict_each, predict_positions
from helpers.model import MaskedLanguageModel
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK

WORDS = "the cat dog sat on a mat and . ran".split()
TOKENIZER = knowing(WORDS)
SENTENCE = "the cat sat on the zebra"
MODEL = tiny_model(len(TOKENIZER))


@torch.no_grad()
def by_hand(model, words, masked, position):
    """The ids written out, one forward pass, special tokens struck out."""
    ids = [CLS, *(TOKENIZER.ids.get(w, UNK) for w in words), SEP]
    for place in masked:
        ids[1 + place] = MASK
    logits, weights = model(torch.tensor([ids]), need_weights=True)
    return logits[0, 1 + position, len(SPECIALS) :].double().softmax(-1), weights[0]


@pytest.mark.parametrize("position", [0, 3, 5])
def test_a_prediction_is_that_of_a_plain_forward_pass(position):
    words = SENTENCE.split()
    found = fill_mask(MODEL, TOKENIZER, SENTENCE, position, top_k=99)
    chances, weights = by_hand(MODEL, words, [position], position)
    order = chances.argsort(descending=True).tolist()
    assert [word for word, _ in found.top] == [WORDS[i] for i in order]
    assert [p for _, p in found.top] == pytest.approx(chances[order].tolist())
    assert (found.pred, found.p_pred) == found.top[0]
    torch.testing.assert_close(found.weights_NHTS, weights, atol=1e-6, rtol=1e-5)
    assert (found.words, found.position, found.blank) == (words, position, False)
    assert found.chance_V[: len(SPECIALS)].sum() == 0
    if position == 5:  # the zebra
        assert (found.true, found.p_true, found.rank_true) == (None, None, None)
        assert (found.target, found.p_target) == found.top[0]
    else:
        assert found.true == found.target == words[position]
        assert found.top[found.rank_true - 1] == (found.true, found.p_true)
        assert found.p_target == found.p_true
    same = predict_each(MODEL, TOKENIZER, SENTENCE)[position]
    assert same.rank_true == found.rank_true
    torch.testing.assert_close(same.chance_V, found.chance_V, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(same.weights_NHTS, weights, atol=1e-6, rtol=1e-5)


def test_attention_is_the_row_of_the_masked_position():
    found = fill_mask(MODEL, TOKENIZER, SENTENCE, 2)
    assert found.tokens == "[CLS] the cat [MASK] on the zebra [SEP]".split()
    weights = found.weights_NHTS[:, :, 3]
    assert torch.equal(found.attention(0, 1), weights[0, 1])
    torch.testing.assert_close(found.attention(), weights[1].mean(0))
    torch.testing.assert_close(found.attention(None, 1), weights[:, 1].mean(0))
    torch.testing.assert_close(found.attention(None), weights.mean((0, 1)))
    # Rollout follows the residuals through the layers.
    first, second = ((w.mean(0) + torch.eye(8)) / 2 for w in found.weights_NHTS)
    torch.testing.assert_close(attention_rollout(found.weights_NHTS), second @ first)
    torch.testing.assert_close(found.attention("rollout"), (second @ first)[3])
    with pytest.raises(ValueError, match="no head 1"):
        found.attention("rollout", 1)


TEXTS = [
    ("The cat's mat.", ["The", "cat", "'s", "mat", "."]),
    (["cat's", "[MASK]"], ["cat's", "___"]),
    ("cat " * 30, ["cat"] * 30),
    ("[UNK] 😀 \0 \ud800 cafe\u0301", ["[", "UNK", "]", "😀", "\ud800", "café"]),
]


@pytest.mark.parametrize("text, words", TEXTS)
def test_free_text_is_split_and_a_list_is_taken_as_it_is(text, words):
    each = predict_each(MODEL, TOKENIZER, text)
    assert [found.words for found in each] == [words] * len(words)


@pytest.mark.parametrize("blank", ["[MASK]", "___", "_" * 12])
def test_a_blank_is_masked_and_has_no_true_word(blank):
    found = fill_mask(MODEL, TOKENIZER, f"the {blank} sat on the mat")
    masked = fill_mask(MODEL, TOKENIZER, "the cat sat on the mat", 1)
    assert (found.position, found.top, found.blank) == (1, masked.top, True)
    assert (found.true, found.p_true, found.rank_true) == (None, None, None)
    assert (found.target, found.p_target) == (found.pred, found.p_pred)
    # Beside another masked word it stays a blank, joined to a mark or not.
    two = fill_mask(MODEL, TOKENIZER, f"the {blank} sat on the cat{blank}", 5)
    words = "the cat sat on the cat cat".split()
    chances, _ = by_hand(MODEL, words, [1, 5, 6], 5)
    assert two.p_pred == pytest.approx(float(chances.max()), abs=1e-6)


REFUSED = [("\0", 0, "no word in the text; type"), ([], 0, "no word in the text; type")]
REFUSED += [("a " * 31, 0, "31 words.* at most 30"), (["a"] * 31, 0, "31 words.*")]
REFUSED += [(SENTENCE, i, f"no word {i}; choose 0 to 5") for i in (-1, 6)]
REFUSED += [("the cat", None, "has 0 blanks; write one ___ or")]
REFUSED += [("___ [MASK] the", None, "has 2 blanks; write one ___ or")]


@pytest.mark.parametrize("text, position, said", REFUSED)
def test_what_cannot_be_asked_is_one_sentence(text, position, said):
    with pytest.raises(ValueError, match=said):
        fill_mask(MODEL, TOKENIZER, text, position)
    if position is not None:
        with pytest.raises(ValueError, match=said):
            predict_positions(MODEL, TOKENIZER, text, [0, position])
    if position == 0:
        with pytest.raises(ValueError, match=said):
            predict_each(MODEL, TOKENIZER, text)


@pytest.mark.parametrize("change", [-1, 400])
def test_a_tokenizer_of_another_size_is_refused(change):
    """With more words some ids have no vector; with fewer some answers have no name."""
    other = knowing(f"word{i}" for i in range(10 + change))
    own = fill_mask(MODEL, TOKENIZER, SENTENCE, 0)
    said = f"tokenizer has {len(other)} words, but the model has vocab_size 15"
    asked = (fill_mask, SENTENCE, 0), (without_words, own), (without_heads, own)
    for ask, *about in asked:
        with pytest.raises(ValueError, match=said):
            ask(MODEL, other, *about)


@pytest.fixture
def training():
    """A model with dropout, one half of it in training mode, the other not."""
    model = MaskedLanguageModel(replace(MODEL.config, dropout=0.5)).train()
    model.blocks[1].eval()
    return model


def test_a_model_is_asked_while_another_thread_trains_it(training):
    """Its training steps keep their dropout, and the answers have none."""
    dropout, seen = training.blocks[0].dropout, []
    dropout.register_forward_hook(lambda module, *_: seen.append(module.training))

    def ask():
        return fill_mask(training, TOKENIZER, SENTENCE, 1).p_pred

    ids_BT, steps = torch.tensor([[CLS, 6, MASK, 8, SEP]]), 0
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(lambda: {ask() for _ in range(99)})
        while not asking.done():
            training(ids_BT)
            steps += 1
        assert len(asking.result()) == 1
    # In each step of training one dropout twice, in each answer none.
    assert seen.count(True) == 2 * steps and seen.count(False) == 2 * 99


def test_a_compiled_model_answers_in_its_own_mode(training):
    expected = fill_mask(training, TOKENIZER, SENTENCE, 1).chance_V
    compiled = torch.compile(training, backend="eager")
    assert torch.equal(fill_mask(compiled, TOKENIZER, SENTENCE, 1).chance_V, expected)
    training.compile(backend="eager")
    assert torch.equal(fill_mask(training, TOKENIZER, SENTENCE, 1).chance_V, expected)
