"""Scoring: each word once, by the book, without a trace; what cannot be scored."""

import math
from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
import torch.nn.functional as F
from tiny import CONFIG, fresh_model, random_data, same_weights, scattered

from helpers.corpus import Corpus
from helpers.data import TrainingData
from helpers.evaluate import evaluate, unigram, validate
from helpers.masking import mask_subsets
from helpers.tokenizer import CLS, MASK, PAD, SEP, SPECIALS, UNK, WordTokenizer
from helpers.train import train
from studies.lab.samples import sample_guesses
from studies.lab.scored_text import score_singly

WORDS = [f"word{i}" for i in range(40)]
LINES = [" ".join(WORDS)] * 8
LENGTH = 16
TOKENIZER = WordTokenizer.train(LINES)


def prepared(train=LINES, validation=LINES, **sizes):
    corpus = Corpus("few words", train, validation, [])
    return TrainingData.prepare(TOKENIZER, corpus, **({"length": LENGTH} | sizes))


def build(fewer=0):
    return fresh_model(vocab_size=len(TOKENIZER) - fewer, max_length=LENGTH)


def test_evaluation_scores_each_word_once_and_by_the_book():
    """As from the scores of all positions, one set of masks after the other."""
    ids, model = random_data().validation_BT.repeat(10, 1), fresh_model(dropout=0.5)
    ids[:, 0], ids[::3, 4], ids[7, 6:] = CLS, UNK, PAD
    subset = mask_subsets(ids)
    found = evaluate(scattered(model, 0.5), ids, subset, range(7), batch_size=16)
    model.eval()
    sets = [subset == number for number in range(7)]
    logits_MV = torch.cat([model(ids.masked_fill(x, MASK))[x] for x in sets])
    labels_M, best_M = torch.cat([ids[x] for x in sets]), logits_MV.argmax(-1)
    expected = {
        "loss": F.cross_entropy(logits_MV, labels_M).item(),
        "accuracy": (best_M == labels_M).double().mean().item(),
        "most_predicted": best_M.mode().values.item(),
        "most_predicted_share": best_M.bincount().max().item() / len(best_M),
        "words": int((ids >= len(SPECIALS)).sum()),
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_word_scored_alone_is_the_only_one_hidden_in_its_block():
    ids, model = random_data().validation_BT, scattered(fresh_model(), 0.5).eval()
    places = (ids >= len(SPECIALS)).nonzero().tolist()[::3]
    losses, right = [], 0
    for row, at in places:
        hidden_T = ids[row].clone()
        hidden_T[at] = MASK
        logits_V = model(hidden_T[None])[0, at]
        losses.append(F.cross_entropy(logits_V, ids[row, at]).item())
        right += int(logits_V.argmax() == ids[row, at])
    found = score_singly(model, ids, mask_subsets(ids), every=3)
    expected = {"loss": sum(losses) / len(losses), "accuracy": right / len(losses)}
    assert found == pytest.approx(expected | {"words": len(places)}, rel=1e-5)


SCORES = {
    "evaluate": lambda model, data: evaluate(model, data.validation_BT, data.subset_BT),
    "sample_guesses": sample_guesses,
}


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_scoring_leaves_no_trace(score):
    """Also of an interruption; dropout is off, and autocast has no effect."""
    data, model = random_data(), fresh_model(dropout=0.5).train()
    model.blocks[0].eval()
    modes = [module.training for module in model.modules()]
    text, state = data.validation_BT.clone(), torch.get_rng_state()
    first = score(model, data)
    assert first == score(model, data) == score(fresh_model().eval(), data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert first == score(model, data)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(data.validation_BT, text)
    assert same_weights(model, fresh_model())
    assert all(p.grad is None for p in model.parameters())
    model.head.register_forward_hook(Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        score(model, data)
    assert [module.training for module in model.modules()] == modes


def test_probes_are_predictions_of_masked_words():
    data = random_data()
    model = scattered(fresh_model().eval(), 0.5)  # answers differ from place to place
    probes = sample_guesses(model, data)
    assert len(probes) > 1
    for found in probes:
        row, at = found["block"], found["position"]
        hidden = data.subset_BT[row] == 0
        masked = data.validation_BT[row].masked_fill(hidden, MASK)
        chances = model(masked[None])[0, at].softmax(-1)
        assert hidden[at] and found["predicted"] == chances.argmax()
        assert found["p"] == pytest.approx(chances.max().item(), rel=1e-4)


def test_unigram_is_counted_by_hand():
    stream = torch.tensor([5, 5, 5, 6, 6, 7, SEP, SEP, SEP, SEP, UNK])
    ids, subset = torch.tensor([[6, 5, 7, 5]]), torch.tensor([[0, 0, 0, 1]])
    found = unigram(stream, ids, subset, vocab_size=9)
    # 6 words of 3 kinds, and one more of each of the 9 ids.
    assert found["loss"] == pytest.approx(-sum(math.log(n / 15) for n in (3, 4, 2)) / 3)
    assert found["accuracy"] == pytest.approx(1 / 3)
    rare = unigram(stream, torch.tensor([[7]]), torch.tensor([[0]]), vocab_size=9)
    assert rare["accuracy"] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": []}, "training text has 0 tokens, and a block needs 15; take more"),
        ({"train": [" ".join(WORDS[:13])]}, "training text has 14 tokens, and a block"),
        ({"train": ["nobody knows this"] * 9}, "No word of this text"),
        ({"validation": ["nobody knows this"] * 9}, "No word of this text"),
    ],
)
def test_a_text_in_which_there_is_nothing_to_learn_or_to_score_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        validate(build(), prepared(**change))
    one = prepared([" ".join(WORDS[: LENGTH - 2])])  # with its [SEP] just a block
    assert validate(build(), one)["validation_loss"] > 0


def test_a_text_of_another_tokenizer_is_refused_before_training():
    small, data = build(fewer=1), prepared()
    said = f"has id {len(TOKENIZER) - 1}, but the model has vocab_size"
    with pytest.raises(ValueError, match=said):
        evaluate(small, data.validation_BT, data.subset_BT)
    rare = WORDS.index(TOKENIZER.words[-1])  # in the training text alone
    common = prepared(validation=[" ".join(WORDS[:rare] + WORDS[rare + 1 :])] * 8)
    for text in (data, common):
        with pytest.raises(ValueError, match=said):
            train(small, text, CONFIG)


def test_a_text_a_model_and_a_batch_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="blocks of 8 and 8 tokens.* max_length 16; p"):
        train(build(), prepared(length=LENGTH // 2), CONFIG)
    with pytest.raises(ValueError, match="^batch_size is 22; choose at most 21, the"):
        train(build(), prepared(), replace(CONFIG, batch_size=22))
