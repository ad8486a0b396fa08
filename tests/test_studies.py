"""Does dropout help, and what ends the plateau? The two studies, from run to table."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from tiny import few_lines

from helpers import record
from helpers.checkpoint import load_model
from helpers.curves import true_vs_pred
from helpers.model import ModelConfig
from studies import dropout, plateau
from studies.lab import experiment
from studies.lab.readings import Effect
from studies.lab.runs import subsample
from studies.lab.study import Results

TINY = dict(n_layers=1, d_model=16, n_heads=2, d_ff=16)


def elsewhere(study, tmp_path, **changes):
    """The study with its records and runs in a folder of their own."""
    places = {"folder": tmp_path / "records", "states": tmp_path / "runs"}
    return replace(study, **places, **changes)


@pytest.fixture
def toy(monkeypatch):
    """Some lines of the toy corpus stand for WikiText-2."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    monkeypatch.setattr(dropout, "require_wikitext", few_lines)


def fake_run(arm: str, seed: int, loss: float) -> dict:
    scores = {
        layout: {"loss": loss, "accuracy": 0.4, "words": 10}
        for layout in ("packed", "sentences")
    }
    history = [
        {"step": 10 * e, "epoch": e, "seconds": 9.0 * e, "train_loss": loss - 0.1 * e}
        | {"validation_loss": loss + abs(e - 4) / 10, "validation_accuracy": 0.4}
        for e in (0, 1, 4, 8)
    ]
    return {
        **record.plain(dropout.STUDY.identity(arm, seed)),
        "name": f"{arm}_8_epochs_seed_{seed}",
        "corpus": "WikiText-2",
        "number_format": "torch.bfloat16",
        "validation": scores,
        "test": scores,
        "history": history,
    }


@pytest.fixture
def study(tmp_path):
    """Records of two arms, three seeds each; the third arm has one."""
    runs = [fake_run("none", seed, 3.0 + seed) for seed in range(3)]
    runs += [fake_run("all", seed, 3.2 + 1.1 * seed) for seed in range(3)]
    for run in [*runs, fake_run("attention", 1, 3.9)]:
        record.write(tmp_path / "records" / f"{run['name']}.json", run)
    return elsewhere(dropout.STUDY, tmp_path)


def test_the_gap_is_that_of_the_best_epoch(study):
    means = study.results().readings["none"]
    assert means["best_epoch"]["mean"] == 4
    assert means["gap"]["mean"] == pytest.approx(0.4)
    assert means["hours"]["mean"] == pytest.approx(72 / 3_600)


def test_the_figure_shows_every_arm_and_every_interval(study):
    left, right = dropout.figure(study.results()).axes
    curves = [line for line in left.lines if len(line.get_xdata()) > 2]
    assert len(curves) == len(left.collections) == 2 * 3  # each on its band
    means = {tuple(np.round(line.get_ydata(), 2)) for line in curves}
    assert (4.3, 4.0, 4.4) in means  # of 3.3, 4.3 and 5.3, and so on
    texts = [text.get_text() for text in right.texts]
    assert len(texts) == 2  # none for the base itself
    assert any("+0.300 ±" in text for text in texts)
    assert any("-0.100" in text and "±" not in text for text in texts)


def test_the_table_names_what_is_missing(study):
    rows = study.table(study.results()).splitlines()
    assert len({row.count("|") for row in rows}) == 1
    none, attention, every, on_gpu = rows[2:]
    assert on_gpu.startswith("| 50 | all three | 0 | not run yet: `python -m")
    assert "| 3 | 4.000 ± 2.484 | 40.0 ± 0.0 % |  |" in none
    assert "| 1 | 3.900 | 40.0 % | -0.100 |" in attention
    assert "+0.300 ± 0.248" in every
    (study.folder / "attention_8_epochs_seed_1.json").unlink()
    table = study.table(study.results())
    assert "| 8 | 0.1 on attention weights | 0 | not run yet: `python -m" in table


def test_runs_of_another_length_are_of_another_study(study):
    longer = elsewhere(dropout.study(50), study.folder.parent)
    with pytest.raises(ValueError, match="no runs in .*leave out --summary"):
        longer.results()
    config = longer.identity("none", 0)["training"]
    run = fake_run("none", 0, 2.5) | {"training": asdict(config)}
    record.write(study.folder / "none_50_epochs_seed_0.json", run)
    assert "| 50 | no dropout | 1 | 2.500 |" in study.table(study.results())
    assert longer.table(longer.results()).count("2.500") == 2  # validation and test


def test_a_run_is_trained_scored_and_shipped(toy, tmp_path, monkeypatch):
    short = replace(dropout.FAST, epochs=0.05, evaluations=1, batch_size=4)
    arms = {"none": dropout.Arm(ModelConfig(vocab_size=104, **TINY), short)}
    study = elsewhere(dropout.STUDY, tmp_path, arms=arms, claims=())
    run = study.run("none", 1)
    assert run["test"].keys() == run["validation"].keys() == {"packed", "sentences"}
    assert study.results().readings["none"].keys() == dropout.READINGS.keys()
    for seed, loss in ((0, 0.0), (2, 9.0)):
        other = run | {"seed": seed, "training": run["training"] | {"seed": seed}}
        other["validation"] = {"packed": run["validation"]["packed"] | {"loss": loss}}
        record.write(study.folder / f"none_8_epochs_seed_{seed}.json", other)
    monkeypatch.setattr(dropout, "ROOT", tmp_path)
    monkeypatch.setattr(dropout, "RECORDS", tmp_path)
    with pytest.raises(ValueError, match="no runs of so many epochs of: all"):
        dropout.ship(study.results())
    monkeypatch.delitem(dropout.SHIPPED, "all")
    dropout.ship(study.results())
    model, _, info = load_model(tmp_path / "weights" / "no_dropout.safetensors")
    assert info["run"] == "none_8_epochs_seed_1"  # of median loss
    shipped = record.read(tmp_path / "no_dropout.json")
    assert (shipped["name"], shipped["seed"]) == ("no_dropout", 1)
    assert shipped["wasted"]["pack"] < shipped["wasted"]["pad"]
    weights = study.states / info["run"] / f"{info['run']}.safetensors"
    expected = load_model(weights)[0].state_dict()
    assert all(w.equal(expected[name]) for name, w in model.state_dict().items())


# The plateau.


def fake_plateau(arm: str, seed: int, leaves: int) -> dict:
    """A record whose loss leaves the plateau at a step; its run was twice as long."""
    positions, rate = (
        plateau.ARMS[arm].model.positions,
        plateau.ARMS[arm].training.learning_rate,
    )
    history = [
        {
            "step": step,
            "epoch": step / 400,
            "validation_loss": 3.0 if step >= leaves else 5.6,
        }
        | {"most_predicted": 9, "most_predicted_share": 0.2}
        | {"probes": [{"predicted": 9 if step < leaves else 7, "p": 0.5}]}
        for step in (31, *range(0, 2 * plateau.STEPS + 1, plateau.EVERY))
    ]
    identity = plateau.STUDY.identity(arm, seed)
    longer = replace(identity["training"], epochs=6.0, warmup=100 / 2_400)
    said = {"left": ["a"], "right": ["b"], "true": "seven", "pred": "?", "p": 0.0}
    return {
        "positions": positions,
        "rate": rate,
        "seed": seed,
        **record.plain({"model": identity["model"], "training": longer}),
        "number_format": "torch.bfloat16",
        "unigram_loss": 5.6,
        "samples": [{"predictions": [said]}],
        "history": history,
    }


LEAVES = {"rotary": 80, "sinusoidal": 240, "learned": 1_000, "none": plateau.STEPS + 40}


@pytest.fixture
def collapse(tmp_path):
    """Seed 0 at each rate, and three at the middle one, which is a little better."""
    for arm, kind in ((a, arm.model.positions) for a, arm in plateau.ARMS.items()):
        middle = arm.endswith("0.001")
        for seed in range(3 if middle and kind != "none" else 1):
            run = fake_plateau(arm, seed, LEAVES[kind] + 120 * seed + 40 * (not middle))
            record.write(tmp_path / "records" / f"{arm}_seed_{seed}.json", run)
    return elsewhere(plateau.STUDY, tmp_path)


def test_the_plateau_is_left_within_the_steps_or_never(collapse):
    results = collapse.results()
    rotary, learned = (plateau.best_runs(results, k) for k in ("rotary", "learned"))
    assert [plateau.step_left(run) for run in rotary] == [80, 200, 320]
    assert [plateau.step_left(run) for run in learned] == [1_000, 1_120, None]
    assert learned[0]["history"][-1]["step"] == plateau.STEPS  # it came further
    table = collapse.table(results).splitlines()
    assert "| 120, 80, 120 | 0.001 | 80, 200, 320 | 200 ± 298 |" in table[2]
    assert "| 1,000, 1,120, over 1,200 | at least 1107 |" in table[4]
    assert table[5] == "| none (control) |  | 0.001 | over 1,200 | one seed |"
    left, right = plateau.curves(results).axes
    for axes, count in ((left, 4), (right, 3)):  # the control is on the left only
        assert sum(len(line.get_xdata()) > 2 for line in axes.lines) == count
        assert len(axes.collections) == count


def test_the_same_words_are_shown_for_all_positions(collapse):
    samples = plateau.samples(collapse.results())
    said = {row["phase"]: row["predictions"][0]["pred"] for row in samples}
    assert said["rotary"] == said["sinusoidal"] != said["learned"] == said["none"]
    assert {row["step"] for row in samples} == {plateau.SHOWN}
    assert samples[0]["predictions"][0]["true"] == "seven"
    assert "| a \\[seven\\] b |" in true_vs_pred(samples)


def test_a_plateau_record_of_another_run_is_refused(collapse):
    path = collapse.folder / "rotary_rate_0.001_seed_0.json"
    run = record.read(path)
    coarse = [entry for entry in run["history"] if entry["step"] % 80 == 0]
    for change, told in (
        ({"unigram_loss": 5.5}, "another number_format or unigram_loss"),
        ({"number_format": "torch.float32"}, "another number_format or unigram_loss"),
        ({"model": run["model"] | {"n_layers": 5}}, "another run: its n_layers"),
        ({"training": run["training"] | {"clip": 2.0}}, "another run: its clip"),
        ({"training": run["training"] | {"warmup": 0.1}}, "another run: its warm-up"),
        ({"history": run["history"][:9]}, "another run: its warm-up"),
        ({"history": coarse}, "another run: its warm-up"),
        ({"history": []}, "no record of this study"),
    ):
        record.write(path, run | change)
        with pytest.raises(ValueError, match=told):
            collapse.results()


def test_the_best_rate_leaves_first_then_is_lowest(collapse):
    def ended(left: int, loss: float) -> dict:
        losses = {0: 5.6, left: 5.0, 1_200: loss}
        history = [{"step": s, "validation_loss": x} for s, x in losses.items()]
        return {0: {"unigram_loss": 5.6, "history": history}}

    def best(*runs: dict) -> str:
        names = [f"rotary_rate_{rate:g}" for rate in plateau.RATES]
        results = Results(collapse, dict(zip(names, runs, strict=False)))
        return plateau.best_arm(results, "rotary")

    never = {0: {"unigram_loss": 5.6, "history": [{"validation_loss": 5.2}]}}
    assert best(never, ended(800, 3.0), ended(160, 4.0)) == "rotary_rate_0.002"
    assert best(ended(160, 3.0), never, ended(160, 4.0)) == "rotary_rate_0.0005"
    with pytest.raises(ValueError, match="rotary_rate_0.002 is missing; make it: pyt"):
        best(never, never)


def test_a_run_of_the_plateau_is_trained_and_read(toy, tmp_path, monkeypatch):
    for name, value in {"STEPS": 6, "EVERY": 3, "WARM_UP": 2, "BLOCKS": 16}.items():
        monkeypatch.setattr(plateau, name, value)
    monkeypatch.setattr(plateau, "EVALUATED", range(0, 7, 3))
    recipe = replace(plateau.RECIPE, batch_size=8, evaluations=2, warmup=2 / 6)
    monkeypatch.setattr(plateau, "RECIPE", recipe)
    arm = plateau.Arm(ModelConfig(vocab_size=104, **TINY), recipe)
    study = elsewhere(plateau.STUDY, tmp_path, arms={"rotary_rate_0.002": arm})
    run = study.run("rotary_rate_0.002", 3)
    assert [entry["step"] for entry in run["history"]] == [0, 3, 6]
    assert (run["positions"], run["rate"], run["seed"]) == ("rotary", 2e-3, 3)
    assert study.results().readings["rotary_rate_0.002"].keys() == {
        "step_left",
        "lowest",
    }


def test_a_subsample_is_spread_over_the_text(toy):
    data = experiment.prepare(ModelConfig(), 0)[2]
    few, distance = subsample(data, 4), len(data.subset_BT) // 4
    assert distance > 1 and len(few.validation_BT) == len(few.subset_BT) == 4
    assert torch.equal(few.validation_BT[1], data.validation_BT[distance])
    assert len(few.sample_BT) == 1
    assert few.stream is data.stream


def test_effects_of_both_studies_are_of_pairs(study, collapse):
    effect = Effect("rotary_rate_0.001", "learned_rate_0.001", "step_left")
    assert collapse.results().effect(effect)["values"] == [-920, -920, -880]
