"""What a text must have so that a model can learn from it and be scored on it."""

import dataclasses

import pytest
import torch

from helpers.corpus import Corpus
from helpers.data import TrainingData, pack
from helpers.evaluate import evaluate, validate
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import WordTokenizer
from helpers.train import train

WORDS = [f"word{i}" for i in range(40)]
LINES = [" ".join(WORDS)] * 8
LENGTH = 16
TOKENIZER = WordTokenizer.train(LINES)


def prepared(train=LINES, validation=LINES, tokenizer=TOKENIZER, **sizes):
    corpus = Corpus("few words", train, validation, [])
    return TrainingData.prepare(tokenizer, corpus, **{"length": LENGTH, **sizes})


def build(vocab_size: int):
    sizes = dict(max_length=LENGTH, n_layers=1, d_model=8, n_heads=2, d_ff=8)
    return MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **sizes))


def test_a_text_of_one_block_is_enough():
    data = prepared([" ".join(WORDS[: LENGTH - 2])])  # and its [SEP]
    assert len(data.stream) == LENGTH - 1
    assert validate(build(len(TOKENIZER)), data)["validation_loss"] > 0


@pytest.mark.parametrize("lines", [[], [""], ["word1"], [" ".join(WORDS[:13])]])
def test_a_text_shorter_than_a_block_is_refused(lines):
    said = "The training text has [0-9]+ tokens, and a block needs 15; take more text"
    with pytest.raises(ValueError, match=said):
        prepared(lines)


@pytest.mark.parametrize("lines", [[], ["nobody knows this"] * 9])
def test_a_validation_text_without_a_known_word_is_refused(lines):
    with pytest.raises(ValueError, match="The validation text has no word"):
        prepared(validation=lines)


def test_a_training_text_without_a_known_word_is_refused():
    with pytest.raises(ValueError, match="The training text has no word"):
        prepared(["nobody knows any of this"] * 9)


def test_a_part_of_the_text_is_checked_as_well():
    data = prepared()
    with pytest.raises(ValueError, match="has 4 tokens, and a block needs 15"):
        dataclasses.replace(data, stream=data.stream[:4])
    with pytest.raises(ValueError, match="The validation text has no word"):
        dataclasses.replace(data, subset_BT=torch.full_like(data.subset_BT, -1))


@pytest.mark.parametrize("sizes", [{"length": 2}, {"length": 0}, {"sample": 0}])
def test_sizes_that_leave_nothing_are_refused(sizes):
    ((name, value),) = sizes.items()
    with pytest.raises(ValueError, match=f"{name} is {value}.*; choose at least 3"):
        prepared(**sizes)


def test_scoring_subsets_without_a_word_is_refused():
    ids_BT = pack([TOKENIZER.encode(WORDS)], LENGTH)
    subset_BT = evaluation_subsets(ids_BT)
    with pytest.raises(ValueError, match="No word of this text"):
        evaluate(build(len(TOKENIZER)), ids_BT, subset_BT, subsets=[7])


def test_a_text_of_another_tokenizer_is_refused_before_training():
    small, data = build(len(TOKENIZER) - 1), prepared()
    said = f"has id {len(TOKENIZER) - 1}, but the model has vocab_size"
    config = TrainConfig(epochs=1, batch_size=4, precision="float32")
    with pytest.raises(ValueError, match=said):
        train(small, data, config)
    with pytest.raises(ValueError, match=said):
        evaluate(small, data.validation_BT, data.subset_BT)
    rare = [WORDS.index(w) for w in TOKENIZER.words[-1:]]  # in the training text alone
    common = [" ".join(w for i, w in enumerate(WORDS) if i not in rare)] * 8
    data = prepared(validation=common)
    data = dataclasses.replace(data, sample_BT=data.validation_BT)
    data = dataclasses.replace(data, sample_subset_BT=data.subset_BT)
    with pytest.raises(ValueError, match=said):
        validate(small, data)
    assert validate(build(len(TOKENIZER)), data)["train_loss"] > 0


def test_a_text_a_model_and_a_batch_that_do_not_go_together_are_refused():
    config, model = TrainConfig(batch_size=4, precision="float32"), build(45)
    for length in (LENGTH // 2, 2 * LENGTH):
        said = f"blocks of {length} and {length} tokens.* max_length 16; prepare"
        with pytest.raises(ValueError, match=said):
            train(model, prepared(length=length), config)
    data = prepared()
    with pytest.raises(ValueError, match="^batch_size is 22; choose at most 21, the"):
        train(model, data, dataclasses.replace(config, batch_size=22))
    data.stream = data.stream[:14]
    with pytest.raises(ValueError, match="choose at most 0, the number of blocks in"):
        train(model, data, config)
