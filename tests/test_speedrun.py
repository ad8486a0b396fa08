"""Time to quality: the entry, the baselines, their times, and what is made of them."""

import shutil
from dataclasses import replace

import psutil
import pytest
from tiny import few_lines

from helpers import record
from helpers import train as training
from helpers.optimize import rate_factor
from studies.lab import experiment
from studies.lab.stats import student
from studies.lab.study import Arm
from studies.speed import runs, speedrun

SIZES = dict(vocab_size=104, n_layers=1, d_model=16, n_heads=2, d_ff=16)
RECIPES = {
    name: Arm(replace(arm.model, **SIZES), replace(arm.training, batch_size=8))
    for name, arm in runs.RECIPES.items()
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The study with tiny models on some lines of the toy corpus, 9 steps an epoch."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    values = {"STEPS": 6, "EPOCHS": 3.5, "TRIAL": 1.5, "WARM_UP": 9, "PER_EPOCH": 9}
    values |= {"RATES": (1e-3, 2e-3), "ROUNDS": 3, "RECIPES": RECIPES}
    values |= {"FOLDER": tmp_path / "speedrun", "STATES": tmp_path / "runs"}
    for name, value in values.items():
        monkeypatch.setattr(runs, name, value)


def test_from_trials_to_results(toy, monkeypatch):
    begun = psutil.Process().create_time() - 1_000
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: begun)
    entries = [runs.entry(seed) for seed in range(2)]
    assert all(run["seconds"] > 1_000 for run in entries)  # start-up counts
    assert all(run["seconds_in_steps"] < 1_000 for run in entries)
    times = runs.step_times()
    assert "plain" not in speedrun.results()  # nothing to compare with yet
    trials = [runs.baseline("plain", rate, 1.5) for rate in runs.RATES]
    best = min(trials, key=lambda trial: trial["validation"]["loss"])
    assert "plain" not in speedrun.results()
    for rate in runs.RATES:  # only that of the best trial's rate counts
        runs.baseline("plain", rate, 3.5)
    other = record.read(runs.FOLDER / "entry_6_steps_seed_0.json")
    other["validation"]["loss"] = 0.0
    record.write(runs.FOLDER / "entry_7_steps_seed_0.json", other)
    monkeypatch.delattr(runs, "prepare")  # only records are read from here on
    long = runs.baseline("plain", best["rate"], 3.5)
    race = speedrun.results()
    assert race["entry"]["runs"] == entries
    row, losses = race["plain"], [run["validation"]["loss"] for run in entries]
    assert race["entry"]["loss"]["mean"] == pytest.approx(sum(losses) / 2)
    assert (row["rate"], row["loss"]) == (best["rate"], long["validation"]["loss"])
    step = sum(run["seconds_in_steps"] for run in entries) / 2 / 6
    seconds = long["best_step"] * step * times["plain"]["ratio"][1]
    assert row["seconds"] == pytest.approx(seconds)
    assert (row["times_faster"] is None) == (sum(losses) / 2 > row["loss"])
    assert (row["times_faster"] is None) == (row["p"] > 0.5)
    path = runs.FOLDER / f"{trials[0]['name']}.json"
    record.write(path, trials[0] | {"text_length": 9})
    with pytest.raises(ValueError, match="different texts"):
        speedrun.results()


def test_what_cannot_be_compared_is_refused(toy):
    with pytest.raises(ValueError, match="times.json; make it: .*speedrun --time"):
        speedrun.results()
    times = runs.step_times()
    with pytest.raises(ValueError, match="no entry in .*; make one: python -m"):
        speedrun.results()
    run = runs.entry(0)
    path = runs.FOLDER / f"{run['name']}.json"
    with pytest.raises(ValueError, match="has been run"):  # not until it is fast
        runs.entry(0)
    for change, message in (
        ({"hardware": {"device": "another"}}, "other hardware"),
        ({"training": run["training"] | {"learning_rate": 9.0}}, "rate is 9.0"),
        ({"steps": 9}, "its steps is 9"),
    ):
        record.write(path, run | change)
        with pytest.raises(ValueError, match=message):
            speedrun.results()
    record.write(path, run)
    other = times["recipes"] | {"entry": times["recipes"]["plain"]}
    record.write(runs.FOLDER / "times.json", times | {"recipes": other})
    with pytest.raises(ValueError, match="times.json holds another run: its dropout"):
        speedrun.results()


def test_a_slower_step_has_a_ratio_above_one(toy, monkeypatch):
    seconds = {"entry": [1, 2, 4], "plain": [3, 4, 10], "scheduled": [1, 1, 1]}
    monkeypatch.setattr(runs, "time_in_turns", lambda *arguments: seconds)
    times = runs.step_times()
    assert times["entry"]["ratio"] == [1, 1, 1]
    assert times["plain"]["ratio"] == pytest.approx([2.25, 2.5, 2.75])
    assert times["plain"]["seconds"] == pytest.approx([3.5, 4, 7])


def test_times_are_of_the_steps_up_to_the_best():
    losses = zip((0, 100, 200, 300), (5.0, 3.01, 3.0, 3.2), strict=True)
    history = [{"step": step, "validation_loss": loss} for step, loss in losses]
    long = {"name": "long", "rate": 1e-3, "best_step": 200, "history": history}
    long["validation"] = {"loss": 3.1}
    entries = [
        {"validation": {"loss": loss}, "seconds": 50.0, "seconds_in_steps": 40.0}
        | {"steps": 20}
        for loss in (3.0, 3.1, 3.05)
    ]
    row = speedrun.against(long, entries, ratio=0.5)
    assert (row["steps"], row["near_steps"]) == (200, 100)
    assert row["seconds"] == 200 * 2 * 0.5
    assert row["times_faster"] == 200 / 50 and row["p"] < 0.2
    entries[0]["validation"]["loss"] = 3.2
    assert speedrun.against(long, entries, ratio=0.5)["times_faster"] is None
    with pytest.raises(ValueError, match="diverged"):
        speedrun.against(long | {"validation": None}, entries, 0.5)


def test_a_baseline_goes_on_where_it_was_killed(toy, monkeypatch):
    whole = runs.baseline("scheduled", 1e-3, 1.5)
    (runs.FOLDER / f"{whole['name']}.json").unlink()
    shutil.rmtree(runs.STATES)
    step, steps = training.train_step, []

    def dying(run, *arguments):
        steps.append(run.step)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return step(run, *arguments)

    monkeypatch.setattr(training, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        runs.baseline("scheduled", 1e-3, 1.5)
    again = runs.baseline("scheduled", 1e-3, 1.5)
    assert steps[12] > 0
    assert again["validation"] == whole["validation"]
    monkeypatch.setattr(runs, "WARM_UP", 8)
    with pytest.raises(ValueError, match="another run: its warmup is"):
        runs.baseline("scheduled", 1e-3, 1.5)


def test_a_baseline_that_diverges_is_no_choice(toy, monkeypatch):
    def diverging(model, data, config, *arguments):
        if config.learning_rate == max(runs.RATES):
            raise FloatingPointError
        return training.train(model, data, config, *arguments)

    monkeypatch.setattr(runs, "train", diverging)
    trials = [runs.baseline("plain", rate, 1.5) for rate in runs.RATES]
    assert trials[-1]["validation"] is None
    assert runs.read_baseline("plain", runs.RATES[-1], 1.5) == trials[-1]
    assert runs.best_of(trials) in trials[:-1]
    with pytest.raises(ValueError, match="lower rates"):
        runs.best_of(trials[-1:])


def test_the_plain_recipe_warms_up_and_keeps_its_rate(toy):
    wanted = runs.settings("plain", 3.5)
    config, steps = wanted["training"], wanted["steps"]
    shape = config.warmup, config.cooldown
    factors = [rate_factor(step, steps, *shape) for step in range(steps)]
    assert factors.index(1.0) == 8 and set(factors[8:]) == {1.0}


def test_results_are_told_as_they_are():
    losses = [{"step": s, "validation_loss": 9.0 - s / 20} for s in (0, 50, 100)]
    row = {"rate": 1e-3, "steps": 100, "loss": 3.1, "seconds": 600.0, "p": None}
    entry = {"steps": 50, "rate": 4e-3, "muon_rate": 0.02}
    entry |= {"loss": student([3.0]), "seconds": student([120.0])}
    entry["runs"] = [{"seconds": 120.0, "validation": {"loss": 3.0}}] * 2
    race = {"entry": entry, "plain": row | {"times_faster": 5.0, "history": losses}}
    table = speedrun.table(race).splitlines()
    assert "| Muon 0.02, AdamW 0.004 | 1 | 50 | 3.000 | 2.0 |  |" in table[2]
    end = "| 0.001 | 1 | 100 | 3.100 | 10.0 | 5.0 times | one seed |"
    assert table[3].endswith(end)
    assert len({line.count("|") for line in table}) == 1
    assert "--baselines scheduled" in table[4]  # not run: the command instead
    axes = speedrun.time_to_quality(race).axes[0]
    assert list(axes.lines[0].get_xdata()) == [5.0, 10.0]
    assert axes.lines[-1].get_xydata().tolist() == [[2.0, 3.0]] * 2
    race["plain"] |= {"times_faster": None, "p": 0.6}
    assert "| not reached | 0.6 |" in speedrun.table(race)
