"""Trainings that cannot go on say why, and leave the best they had."""

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from tiny import CONFIG, acting, fresh_model, same_weights, without_clock

from helpers import resume
from helpers.evaluate import evaluate
from helpers.tokenizer import PAD, UNK
from helpers.train import TrainingRun, train, train_step

LONG = replace(CONFIG, epochs=12, evaluations=9)  # 72 steps, evaluated at each eighth
SCALED = replace(CONFIG, optimizer="muon", weight_decay=0.5)


def poison(model):
    """What one step makes of weights where a gradient was not a number."""
    with torch.no_grad():
        model.head.norm.weight[0] = float("nan")


@pytest.mark.parametrize(
    ("save_seconds", "noticed", "saved"), [(99, 24, 16), (0, 18, 17)]
)
def test_a_loss_that_is_no_number_ends_the_training(
    data, save_seconds, noticed, saved, tmp_path
):
    """At the next evaluation, or when the run is saved."""
    model = fresh_model()
    source = acting(lambda step: poison(model) if step == 18 else None, data)
    with pytest.raises(FloatingPointError) as caught:
        train(model, data, LONG, tmp_path, save_seconds, source=source)
    state = resume.load_state(tmp_path / "state.pt")
    best = min(state["history"], key=lambda entry: entry["validation_loss"])
    told = f"no longer a number at step {noticed}. The model has the weights of step "
    assert f"{told}{best['step']} back. Try half the learning_rate" in str(caught.value)
    score = evaluate(model, data.validation_BT, data.subset_BT)
    assert best["step"] > 0 and score["loss"] == best["validation_loss"]
    # What is on the disk is from before, and the training can go on from it.
    assert state["step"] == saved
    again = train(fresh_model(), data, LONG, tmp_path)
    whole = train(fresh_model(), data, LONG)
    assert without_clock(again.history) == without_clock(whole.history)


@pytest.mark.parametrize(
    ("error", "size", "told"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), 8, "batch_size=4"),
        (RuntimeError("can't allocate memory: 8 bytes"), 5, "batch_size=2"),
        (RuntimeError("out of memory"), 1, "a smaller model or shorter blo"),
        (RuntimeError("mat1 and mat2 shapes differ"), 8, None),
        (KeyError("memory"), 8, None),
    ],
    ids=str,
)
def test_too_large_a_batch_names_what_would_fit(data, error, size, told):
    """Other failures pass unchanged."""
    mask = Mock(side_effect=error)
    with pytest.raises(MemoryError if told else type(error)) as caught:
        train(fresh_model(), data, replace(CONFIG, batch_size=size), mask=mask)
    if told:
        what = f"A batch of {size} blocks does not fit into memory; use {told}"
        assert str(caught.value).startswith(what) and caught.value.__cause__ is error
    else:
        assert caught.value is error


def in_float16(scale=2.0**16):
    """A run of both optimisers whose gradients are scaled, on a CPU."""
    run = TrainingRun(fresh_model(), SCALED)
    run.scaler = torch.amp.GradScaler("cpu", init_scale=scale, growth_interval=3)
    return run


def spoil_next(run, name, value):
    """Puts a value into one gradient of the next backward pass."""

    def spoil(grad):
        grad = grad.clone()
        grad.view(-1)[0] = value
        handle.remove()
        return grad

    handle = dict(run.model.named_parameters())[name].register_hook(spoil)


def weights_of(run):
    return {name: p.detach().clone() for name, p in run.model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("blocks.0.attention.query.weight", float("inf")),
        ("embedding.token.weight", float("nan")),
    ],
)
def test_with_a_scaler_all_optimisers_step_or_none(data, name, value):
    """An overflow in a parameter of either; then the scale is halved, once."""
    run, steps = in_float16(), []
    for optimizer in run.optimizers:
        optimizer.register_step_pre_hook(lambda *_: steps.append(run.step))
    train_step(run, data.validation_BT, SCALED, 9)
    before = weights_of(run)
    spoil_next(run, name, value)
    train_step(run, data.validation_BT, SCALED, 9)
    assert run.scaler.get_scale() == 2.0**15
    after = weights_of(run)
    assert all(torch.equal(before[k], after[k]) for k in before)
    for _ in range(3):
        train_step(run, data.validation_BT, SCALED, 9)
    assert run.scaler.get_scale() == 2.0**16  # it grows again after three sound ones
    assert steps == [0, 0, 2, 2, 3, 3, 4, 4] and run.step == 5
    moved = weights_of(run)
    assert not any(torch.equal(after[k], moved[k]) for k in before)


def test_a_divergence_is_not_taken_for_overflows_for_ever(data):
    """Where the weights are no numbers, and where the scale has come to nothing."""
    run = in_float16()
    resume.require_finite_run(run)
    poison(run.model)
    with pytest.raises(FloatingPointError):
        resume.require_finite_run(run)
    run = in_float16(scale=1.0)
    for _ in range(160):
        spoil_next(run, "norm.bias", float("inf"))
        train_step(run, data.validation_BT, SCALED, 999)
    with pytest.raises(FloatingPointError):
        resume.require_finite_run(run)


def test_a_batch_that_asks_nothing_changes_nothing(data):
    run = TrainingRun(fresh_model(), SCALED)
    before = weights_of(run)
    for ids in (torch.full((1, 8), UNK), torch.full((2, 8), PAD)):
        assert train_step(run, ids, SCALED, 9).item() == 0
    assert run.step == 2
    assert all(torch.equal(before[k], w) for k, w in weights_of(run).items())

    data.stream[40:120] = UNK  # and a training goes on over such blocks
    config = replace(CONFIG, batch_size=1, epochs=2, masks="independent")
    history = train(fresh_model(), data, config).history
    assert history[-1]["step"] == 48
    assert history[-1]["validation_loss"] < history[0]["validation_loss"]


def test_a_run_begun_in_float16_goes_on_where_that_is_slow_and_back(
    data, tmp_path, monkeypatch, capsys
):
    """From a GPU to a CPU and back; no GPU is needed to see it."""
    config = replace(CONFIG, precision="auto")
    train(fresh_model(), data, config, tmp_path)
    path = tmp_path / "state.pt"
    scale = torch.amp.GradScaler("cpu", init_scale=8.0).state_dict()
    state = resume.load_state(path) | {"dtype": torch.float16, "scaler": scale}
    resume.save_state(path, state)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    run = TrainingRun(fresh_model(), config)
    known = resume.resume_identity(run.model, data, config)
    told = "The run was begun in float16, on a GPU; here it goes on in torch.float32.\n"
    with resume.resumable_run(run, tmp_path, known, 99) as save:
        assert capsys.readouterr().out == told
        assert run.dtype == torch.float32 and not run.scaler.is_enabled()
        train_step(run, data.validation_BT, config, 99)
        save()
    state = resume.load_state(path)
    assert state["step"] == 25
    assert (state["scaler"], state["dtype"]) == (scale, torch.float16)
    monkeypatch.setattr("helpers.train.pick_dtype", lambda *_: torch.float16)
    back = TrainingRun(fresh_model(), config)  # as where float16 is fast
    back.load_state_dict(state)
    assert back.scaler.is_enabled() and back.scaler.get_scale() == 8.0
    back.load_state_dict(state | {"scaler": {}})  # of before, saved while it was off
    assert same_weights(back.model, run.model)
