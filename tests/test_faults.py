"""Small tests of what a training run must not get wrong."""

import copy
import dataclasses
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from helpers.data import TrainingData
from helpers.evaluate import evaluate
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.run import EarlyStopping
from helpers.tokenizer import SPECIALS
from helpers.train import TrainConfig, train, train_step

CONFIG = TrainConfig(
    epochs=4, batch_size=4, evaluations=4, patience=99, precision="float32"
)


def build(dropout=0.0):
    torch.manual_seed(0)
    sizes = dict(vocab_size=12, max_length=8, n_layers=1, d_model=8, n_heads=2, d_ff=8)
    return MaskedLanguageModel(ModelConfig(**sizes, dropout=dropout))


def words(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(len(SPECIALS), 12, count, generator=generator)


@pytest.fixture
def data(monkeypatch):
    """A text of random words; the seconds in a history are 0."""
    monkeypatch.setattr("helpers.train.time", SimpleNamespace(monotonic=lambda: 0.0))
    ids = words((4, 8), 1)
    subset = evaluation_subsets(ids)
    return TrainingData(words((7 * 4 * 6,)), ids, subset, ids, subset)


def test_dropout_is_off_while_scoring_and_on_again_after():
    model, ids = build(dropout=0.5).train(), words((6, 8))
    subset = evaluation_subsets(ids)
    first, second = (evaluate(model, ids, subset)["loss"] for _ in range(2))
    assert first == second == evaluate(copy.deepcopy(model).eval(), ids, subset)["loss"]
    assert model.training


def test_early_stopping_keeps_a_copy_of_the_best_weights():
    model, stopping = nn.Linear(1, 1), EarlyStopping(patience=2)
    for value, loss in ((1.0, 3.0), (2.0, 1.0), (3.0, 2.0), (4.0, 2.5)):
        nn.init.constant_(model.weight, value)
        assert not stopping.done
        stopping.update(loss, int(value), model)
    assert stopping.done and stopping.step == 2
    stopping.restore(model)
    assert model.weight.item() == 2.0


def test_training_ends_with_the_best_weights(data):
    model = build()
    history = train(model, data, dataclasses.replace(CONFIG, learning_rate=0.2))
    best = min(entry["validation_loss"] for entry in history)
    assert best < history[-1]["validation_loss"]  # or the last were the best
    assert evaluate(model, data.validation_BT, data.subset_BT)["loss"] == best


def test_an_interrupted_run_ends_as_if_it_had_not_been(data, tmp_path, monkeypatch):
    whole = build(dropout=0.1)
    history = train(whole, data, CONFIG)

    class Interruption(Exception):
        pass

    seen = []

    def interrupted(*arguments):
        seen.append(arguments)
        if len(seen) > 14:
            raise Interruption
        return train_step(*arguments)

    parts = build(dropout=0.1)
    with monkeypatch.context() as patch, pytest.raises(Interruption):
        patch.setattr("helpers.train.train_step", interrupted)
        train(parts, data, CONFIG, folder=tmp_path)
    again = build(dropout=0.1)
    assert train(again, data, CONFIG, folder=tmp_path) == history
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name]), name
