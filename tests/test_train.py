"""Training: resumed or whole, it is the same; and it does learn."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import torch
from tiny import CONFIG, Interruption, acting, at_call, fresh_model

from helpers.evaluate import evaluate
from helpers.masking import IGNORE, mask_tokens, mlm_loss
from helpers.optimize import Muon, orthogonalise, pick_dtype, rate_factor
from helpers.train import (
    EarlyStopping,
    TrainingRun,
    evaluation_steps,
    train,
    train_step,
)


def test_a_resumed_run_keeps_its_number_format(data, tmp_path, monkeypatch):
    config = replace(CONFIG, precision="auto")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    stop = at_call(12, Mock(side_effect=Interruption), mask_tokens)
    with pytest.raises(Interruption):
        train(fresh_model(), data, config, tmp_path, mask=stop)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert train(fresh_model(), data, config, tmp_path).dtype == torch.bfloat16
    assert train(fresh_model(), data, config).dtype == torch.float32


def test_a_run_is_a_function_of_its_seed_and_of_nothing_around_it(data):
    """Not of how often it is evaluated, of gradients that are off, or of the mode."""

    def losses(off=torch.enable_grad, mode=True, **choices):
        model = fresh_model(dropout=0.2).train(mode)
        with off():
            history = train(model, data, replace(CONFIG, **choices)).history
        return history[0]["validation_loss"], history[-1]["validation_loss"]

    want, other = losses(), losses(seed=1)
    assert want == losses(evaluations=7) == losses(mode=False)
    assert want == losses(torch.no_grad) == losses(torch.inference_mode)
    # The initial weights have a seed of their own.
    assert want[0] == other[0] and want[1] != other[1]


def test_early_stopping_stops_and_restores_the_best(data):
    """Some steps that help, then one before which the model is wrecked."""
    model, taken = fresh_model(), []

    def act(step):
        taken.append(step)
        if step == 9:
            with torch.no_grad():
                model.head.norm.weight.mul_(-9)

    config = replace(CONFIG, evaluations=24, patience=3, learning_rate=0.02)
    history = train(model, data, config, source=acting(act, data)).history
    best = min(history, key=lambda entry: entry["validation_loss"])
    assert best["step"] < 9
    assert len([e for e in history if e["step"] > best["step"]]) == 3
    assert max(taken) == history[-1]["step"] < 24
    score = evaluate(model, data.validation_BT, data.subset_BT)
    assert score["loss"] == best["validation_loss"]


def test_early_stopping_counts_in_a_row_and_keeps_a_copy_of_the_best():
    model, stopping, done = torch.nn.Linear(1, 1), EarlyStopping(patience=2), []
    for step, loss in enumerate([3.0, 2.0, 2.0, 1.0, 5.0, float("nan")]):
        torch.nn.init.constant_(model.weight, step)
        stopping.update(loss, step, model)
        done.append(stopping.done)
    assert done == [False] * 5 + [True]
    assert (stopping.loss, stopping.step) == (1.0, 3)
    stopping.restore(model)
    assert model.weight.item() == 3


def test_evaluation_happens_at_the_start_the_end_and_evenly():
    assert evaluation_steps(6_400, 4) == {0, 100, 200, 400, 1600, 3200, 4800, 6400}
    assert evaluation_steps(1, 12) == {0, 1}
    assert {0, 7} <= evaluation_steps(7, 3)


def test_the_rate_rises_to_its_peak_and_falls_to_zero():
    rates = [rate_factor(step, 100, 0.1, 0.9) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1.0 == max(rates)
    assert rates[55] == pytest.approx(0.5) and rates[100] == 0
    half = [rate_factor(step, 100, 0.1, 0.5) for step in range(101)]
    assert half[9:51] == [1.0] * 42 and half[75] == pytest.approx(0.5)
    assert {rate_factor(step, 100, 0.1, 0.0) for step in range(9, 100)} == {1.0}
    for total in (1, 2, 3):
        for warmup in (0.0, 0.05, 1.0):
            steps = [rate_factor(step, total, warmup, 0.95) for step in range(total)]
            assert all(0 < factor <= 1 for factor in steps)


@pytest.mark.parametrize(("fast", "apart"), [(True, 0.0), (False, 2e-3)])
def test_muon_moves_matrices_as_pytorchs_own_does(monkeypatch, fast, apart):
    """To the last bit in bfloat16, nearly so in float32; and over a saved state."""
    monkeypatch.setattr("helpers.optimize.fast_bfloat16", lambda device: fast)
    draw = torch.Generator().manual_seed(0)
    shapes = (48, 32), (32, 48), (48, 32), (16, 16)
    rates = {"lr": 0.02, "weight_decay": 0.4}
    ours = [torch.randn(shape, generator=draw) for shape in shapes]
    theirs = [weight.clone() for weight in ours]
    muon, oracle = Muon(ours, **rates), torch.optim.Muon(theirs, **rates)
    for step in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn(mine.shape, generator=draw)
            other.grad = mine.grad.clone()
        if step == 3:  # a matrix that is frozen stays where it is
            ours[0].grad = theirs[0].grad = None
        if step == 2:
            saved, muon = muon.state_dict(), Muon(ours, lr=1.0, weight_decay=0.0)
            muon.load_state_dict(saved)
        muon.step()
        oracle.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine - other).abs().max() <= apart
        made = torch.linalg.svdvals(orthogonalise(mine[None]).float())
        assert made.min() > 0.6 and made.max() < 1.25


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_each_parameter_has_one_optimizer_and_its_rate_at_each_step(data, optimizer):
    """Only matrices decay; Muon has those of the blocks."""
    config = replace(CONFIG, optimizer=optimizer, learning_rate=3e-3, muon_rate=0.04)
    run = TrainingRun(fresh_model(), config)
    groups = [group for o in run.optimizers for group in o.param_groups]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in run.model.parameters())
    for group in groups:
        assert {p.ndim == 2 for p in group["params"]} == {group["weight_decay"] > 0}
    peaks = [3e-3, 3e-3]
    if optimizer == "muon":
        peaks.append(0.04)
        inner = {id(p) for p in run.model.blocks.parameters() if p.ndim == 2}
        assert {id(p) for p in groups[-1]["params"]} == inner
    for step in range(3):
        train_step(run, data.validation_BT, config, 9)
        factor = rate_factor(step, 9, config.warmup, config.cooldown)
        assert [g["lr"] for g in groups] == pytest.approx([p * factor for p in peaks])


def test_a_step_masks_as_it_is_told(data):
    """With which rate of the schedule, on what, in which way, and from which draw."""
    config = replace(CONFIG, mask_rate=0.6, last_mask_rate=0.2)
    run, asked, model = TrainingRun(fresh_model(), config), [], fresh_model()
    ids_BT = data.validation_BT
    labels_BT = ids_BT.where(ids_BT == ids_BT.max(), IGNORE)

    def mask(ids_BT, vocab_size, rate, generator, fixed):
        asked.append((vocab_size, fixed, rate, generator.initial_seed()))
        return ids_BT, labels_BT

    want = mlm_loss(model(ids_BT), labels_BT).item()
    assert train_step(run, ids_BT, config, 10, mask).item() == pytest.approx(want)
    for seed, masks in enumerate(("fixed", "independent")):
        for run.step in (0, 5, 10):
            train_step(run, ids_BT, replace(config, masks=masks, seed=seed), 10, mask)
    ways, rates, seeds = zip(*((a[:2], *a[2:]) for a in asked), strict=True)
    assert ways == ((12, True),) * 4 + ((12, False),) * 3
    assert rates == pytest.approx([0.6] + [0.6, 0.4, 0.2] * 2)
    assert seeds[0] == seeds[1] and len({*seeds}) == 6


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_clips_and_updates_each_parameter(data, precision):
    config = replace(CONFIG, clip=1e-3, mask_rate=0.5, precision=precision)
    run, norms = TrainingRun(fresh_model(), config), []
    before = {name: p.clone() for name, p in run.model.named_parameters()}
    run.optimizers[0].register_step_pre_hook(
        lambda *_: norms.append(
            torch.stack([p.grad.norm() for p in run.model.parameters()]).norm().item()
        )
    )
    loss = train_step(run, data.validation_BT, config, 1)
    assert loss.dtype == torch.float32 and loss.item() < 5
    assert norms == pytest.approx([1e-3], rel=1e-3)
    assert all((p != before[name]).any() for name, p in run.model.named_parameters())


ON_GPU = SimpleNamespace(
    parameters=lambda: iter([SimpleNamespace(device=torch.device("cuda"))])
)


@pytest.mark.parametrize(
    ("model", "able", "precision", "expected"),
    [
        (fresh_model(), True, "auto", torch.bfloat16),
        (fresh_model(), False, "auto", torch.float32),
        (fresh_model(), True, "float32", torch.float32),
        (fresh_model(), False, "bfloat16", torch.bfloat16),
        (ON_GPU, True, "auto", torch.bfloat16),
        (ON_GPU, False, "auto", torch.float16),
        (ON_GPU, True, "float16", torch.float16),
    ],
)
def test_what_the_hardware_can_decides_unless_named(
    model, able, precision, expected, monkeypatch, capsys
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: able)
    capability = (8, 0) if able else (7, 5)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    assert pick_dtype(model, precision) == expected
    slow = expected == torch.bfloat16 and model is not ON_GPU and not able
    assert ("emulates bfloat16" in capsys.readouterr().out) == slow
    with pytest.raises(ValueError, match="'float16'; choose 'auto', as float16 needs"):
        TrainingRun(fresh_model(), replace(CONFIG, precision="float16"))
