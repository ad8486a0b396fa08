"""Trainings that cannot go on say why, and leave the best they had."""

import dataclasses

import pytest
import torch

from helpers import train as train_module
from helpers.checkpoint import load_state
from helpers.evaluate import TrainingData, evaluate
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import memory_advice
from helpers.tokenizer import SPECIALS
from helpers.train import TrainConfig, train, train_step

CONFIG = TrainConfig(
    epochs=12, batch_size=4, evaluations=9, patience=99, precision="float32"
)


def build():
    torch.manual_seed(0)
    sizes = dict(vocab_size=12, max_length=8, n_layers=1, d_model=8, n_heads=2, d_ff=8)
    return MaskedLanguageModel(ModelConfig(**sizes))


@pytest.fixture
def data():
    """72 steps over random words."""
    generator = torch.Generator().manual_seed(0)
    stream = torch.randint(len(SPECIALS), 12, (7 * 4 * 6,), generator=generator)
    ids = stream[:32].view(4, 8)
    subset = evaluation_subsets(ids)
    return TrainingData(stream, ids, subset, ids, subset)


def poison(run):
    """What one step makes of weights where a gradient was not a number."""
    with torch.no_grad():
        run.model.head.norm.weight[0] = float("nan")


def diverging(at, steps):
    """A step after which, from step `at` on, the loss and the weights are NaN."""

    def step(run, *arguments):
        steps.append(run.step)
        if run.step == at:
            poison(run)
        return train_step(run, *arguments)

    return step


def tensors(state):
    """All tensors in a state, however deep."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, dict | list):
        for part in state.values() if isinstance(state, dict) else state:
            yield from tensors(part)


@pytest.mark.parametrize(("at", "save_seconds"), [(17, 99), (21, 99), (21, 0)])
def test_a_loss_that_is_no_number_ends_the_training(
    data, at, save_seconds, tmp_path, monkeypatch
):
    model, steps = build(), []
    monkeypatch.setattr(train_module, "train_step", diverging(at, steps))
    with pytest.raises(FloatingPointError) as caught:
        train(model, data, CONFIG, tmp_path, save_seconds)
    assert steps[-1] == at  # noticed before the optimisers step
    state = load_state(tmp_path / "state.pt")
    best = min(state["history"], key=lambda entry: entry["validation_loss"])
    said = f"no longer a number at step {at}. The model has the weights of step "
    assert f"{said}{best['step']} back. Try half the learning_rate" in str(caught.value)
    # The weights are those of the best evaluation.
    assert best["step"] > 0
    loss = evaluate(model, data.validation_BT, data.subset_BT)["loss"]
    assert loss == best["validation_loss"]
    # What is on the disk is from before, and the training can go on from it.
    assert state["step"] == (16 if save_seconds else at)
    found = list(tensors(state))
    assert len(found) > 60
    assert all(tensor.isfinite().all() for tensor in found)
    monkeypatch.setattr(train_module, "train_step", train_step)
    again = build()
    losses, want = (
        [entry["validation_loss"] for entry in train(model, data, CONFIG, folder)]
        for model, folder in ((again, tmp_path), (build(), None))
    )
    assert losses == want
    assert all(weight.isfinite().all() for weight in again.state_dict().values())


def test_a_loss_that_is_no_number_before_the_first_evaluation(data):
    model = build()
    with torch.no_grad():
        model.head.norm.weight[0] = float("inf")
    with pytest.raises(FloatingPointError, match="no longer a number at step 0"):
        train(model, data, CONFIG)


def failing(error):
    """A step that has no success from the third on."""

    def step(run, *arguments):
        if run.step == 2:
            raise error
        return train_step(run, *arguments)

    return step


SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=["gpu", "cpu"])
@pytest.mark.parametrize(
    ("size", "parts", "advice"),
    [
        (8, 1, "batch_size=4"),
        (5, 1, "batch_size=2"),
        (12, 4, "batch_size=4"),
        (4, 4, "a smaller model or shorter blocks"),
        (1, 1, "a smaller model or shorter blocks"),
    ],
)
def test_too_large_a_batch_names_what_would_fit(
    data, error, size, parts, advice, monkeypatch
):
    monkeypatch.setattr(train_module, "train_step", failing(error))
    config = dataclasses.replace(CONFIG, batch_size=size)
    said = f"A batch of {size} blocks .* use {advice}\\.$"
    with pytest.raises(MemoryError, match=said), memory_advice(size, parts):
        raise error
    if parts > 1:
        return
    with pytest.raises(MemoryError, match=said) as caught:
        train(build(), data, config)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes differ"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        KeyError("memory"),
    ],
)
def test_other_failures_pass_unchanged(data, error, monkeypatch):
    monkeypatch.setattr(train_module, "train_step", failing(error))
    with pytest.raises(type(error)) as caught:
        train(build(), data, CONFIG)
    assert caught.value is error
    assert caught.value.__cause__ is None
