"""Trainings that cannot go on say why, and leave the best they had."""

import dataclasses

import pytest
import torch
from tiny import random_data

from helpers import train as train_module
from helpers.checkpoint import load_state, save_state
from helpers.evaluate import evaluate
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import memory_advice
from helpers.run import TrainingRun, identity, save_run, start_or_resume
from helpers.tokenizer import PAD, UNK
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
    return random_data()


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


SCALED = dataclasses.replace(CONFIG, optimizer="muon", weight_decay=0.5)


def in_float16(scale=2.0**16):
    """A run of both optimisers whose gradients are scaled, on a CPU."""
    run = TrainingRun(build(), SCALED, torch.float32)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return run


def spoiling(run, name, value):
    """Puts a value into one gradient of the next backward pass."""

    def spoil(grad):
        grad = grad.clone()
        grad.view(-1)[0] = value
        handle.remove()
        return grad

    handle = dict(run.model.named_parameters())[name].register_hook(spoil)


def weights_of(run):
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


NAMES = [name for name, _ in build().named_parameters()]


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
@pytest.mark.parametrize("name", NAMES)
def test_with_a_scaler_all_optimisers_step_or_none(data, name, value):
    """An overflow in a parameter of either; then the scale is halved, once."""
    run, steps = in_float16(), []
    for optimizer in run.optimizers:
        optimizer.register_step_pre_hook(lambda *_: steps.append(run.step))
    train_step(run, data.validation_BT, SCALED, 9)
    before = weights_of(run)
    spoiling(run, name, value)
    train_step(run, data.validation_BT, SCALED, 9)
    assert run.scaler.get_scale() == 2.0**15
    after = weights_of(run)
    assert all(torch.equal(before[k], after[k]) for k in NAMES)
    for _ in range(3):
        train_step(run, data.validation_BT, SCALED, 9)
    assert run.scaler.get_scale() == 2.0**16  # it grows again after three sound ones
    assert steps == [0, 0, 2, 2, 3, 3, 4, 4] and run.step == 5
    moved = weights_of(run)
    assert not any(torch.equal(after[k], moved[k]) for k in NAMES)


@pytest.mark.parametrize("name", ["blocks.0.attention.query.weight", "head.norm.bias"])
def test_without_a_scaler_a_gradient_that_is_no_number_ends_the_run(data, name):
    run = TrainingRun(build(), SCALED, torch.float32)
    before = weights_of(run)
    spoiling(run, name, float("nan"))
    with pytest.raises(FloatingPointError, match="gradient is no longer a number"):
        train_step(run, data.validation_BT, SCALED, 9)
    assert all(torch.equal(before[k], w) for k, w in weights_of(run).items())
    assert run.step == 0


def test_a_divergence_is_not_taken_for_overflows_for_ever(data):
    """Where the scale has come to nothing, or is not what was too large."""
    run = in_float16(scale=1.0)
    poison(run)
    with pytest.raises(FloatingPointError):
        for _ in range(200):
            train_step(run, data.validation_BT, SCALED, 999)
    run = in_float16()
    for name in NAMES:  # each finite, the norm of all not
        spoiling(run, name, 3e38)
    with pytest.raises(FloatingPointError):
        train_step(run, data.validation_BT, SCALED, 9)


def test_a_batch_that_asks_nothing_changes_nothing(data):
    run = TrainingRun(build(), SCALED, torch.float32)
    before = weights_of(run)
    for ids in (torch.full((1, 8), UNK), torch.full((2, 8), PAD)):
        assert train_step(run, ids, SCALED, 9).item() == 0
    assert run.step == 2
    assert all(torch.equal(before[k], w) for k, w in weights_of(run).items())


@pytest.mark.parametrize("masks", ["fixed", "independent"])
def test_a_batch_may_be_one_block_though_some_ask_nothing(data, masks):
    data.stream[40:120] = UNK
    config = dataclasses.replace(CONFIG, batch_size=1, epochs=2, masks=masks)
    model = build()
    history = train(model, data, config)
    assert history[-1]["step"] == 48
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]
    assert all(w.isfinite().all() for w in model.state_dict().values())


def test_a_run_begun_in_float16_goes_on_where_that_is_slow_and_back(
    data, tmp_path, monkeypatch, capsys
):
    """From a GPU to a CPU and back; no GPU is needed to see it."""
    config = dataclasses.replace(CONFIG, precision="auto")
    train(build(), data, dataclasses.replace(config), tmp_path)
    path = tmp_path / "state.pt"
    scale = torch.amp.GradScaler("cpu", init_scale=8.0).state_dict()
    state = load_state(path)
    state |= {"dtype": torch.float16, "scaler": scale}
    save_state(path, state)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    known = identity(build(), data, config)
    run = start_or_resume(build(), data, config, tmp_path, known)
    said = capsys.readouterr().out
    assert said == "The run was begun in float16, on a GPU; here it goes on in " + (
        "torch.float32.\n"
    )
    assert run.dtype == torch.float32 and not run.scaler.is_enabled()
    train_step(run, data.validation_BT, config, 9)
    save_run(run, known, tmp_path)
    assert load_state(path)["scaler"] == scale
    assert load_state(path)["dtype"] == torch.float16
    back = TrainingRun(build(), config, torch.float16)  # as where float16 is fast
    back.load_state_dict(load_state(path))
    assert back.scaler.is_enabled() and back.scaler.get_scale() == 8.0
    # A state of before, whose scaler was saved while it was off.
    back.load_state_dict(load_state(path) | {"scaler": {}})


def test_a_clock_that_is_set_back_does_not_stop_the_saves(data, tmp_path, monkeypatch):
    times = iter(range(10**9, 0, -1))
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    saves, save = [], train_module.save_run
    monkeypatch.setattr(
        train_module,
        "save_run",
        lambda run, *rest: (saves.append(run.step), save(run, *rest)),
    )
    config = dataclasses.replace(CONFIG, epochs=2, evaluations=1)
    history = train(build(), data, config, tmp_path, save_seconds=0)
    assert saves == [*range(13)]
    assert 0 < history[-1]["seconds"] < 60


def test_a_model_is_trained_with_dropout_however_it_was_found(data):
    """As one is that was loaded, or whose evaluation was interrupted."""
    losses = []
    for mode in (True, False):
        torch.manual_seed(0)
        sizes = dict(n_layers=1, d_model=8, n_heads=2, d_ff=8, dropout=0.5)
        model = MaskedLanguageModel(ModelConfig(12, 8, **sizes)).train(mode)
        history = train(model, data, dataclasses.replace(CONFIG, epochs=2))
        losses.append([entry["validation_loss"] for entry in history])
    assert losses[0] == losses[1]
