"""Time to quality: the entry, the baselines, their times, and what is made of them."""

from dataclasses import replace

import psutil
import pytest
from tiny import few_lines

from helpers import train as training
from helpers.optimize import rate_factor
from helpers.record import read_record, write_record
from studies import dropout
from studies.lab import experiment, timing
from studies.lab.stats import student_interval
from studies.lab.study import Arm
from studies.speed import recipes, speedrun

SIZES = dict(vocab_size=104, n_layers=1, d_model=16, n_heads=2, d_ff=16)
RECIPES = {
    name: Arm(replace(arm.model, **SIZES), replace(arm.training, batch_size=8))
    for name, arm in recipes.RECIPES.items()
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The study with tiny models on some lines of the toy corpus, 9 steps an epoch."""
    monkeypatch.setattr(experiment, "training_corpus", few_lines)
    values = {"STEPS": 6, "EPOCHS": 3.5, "TRIAL": 1.5, "WARM_UP": 9, "PER_EPOCH": 9}
    values |= {"RATES": (1e-3, 2e-3), "ROUNDS": 3, "RECIPES": RECIPES}
    values |= {"FOLDER": tmp_path / "speedrun", "STATES": tmp_path / "runs"}
    for name, value in values.items():
        monkeypatch.setattr(recipes, name, value)
    monkeypatch.setattr(speedrun, "LONGER", {})


def test_from_trials_to_results(toy, monkeypatch):
    begun = psutil.Process().create_time() - 1_000
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: begun)
    entries = [recipes.run_recipe_entry(seed) for seed in range(2)]
    for run in entries:  # start-up counts
        assert run["seconds_in_steps"] < 1_000 < run["seconds"] < 10**6
        assert (recipes.STATES / f"speedrun_{run['name']}.safetensors").exists()
    times = recipes.time_recipes()
    trials = [recipes.run_recipe_baseline("plain", rate, 1.5) for rate in recipes.RATES]
    best = min(trials, key=lambda trial: trial["validation"]["loss"])
    assert "plain" not in speedrun.speedrun_results()  # nothing to compare with yet
    for rate in recipes.RATES:  # only that of the best trial's rate counts
        recipes.run_recipe_baseline("plain", rate, 3.5)
    other = read_record(recipes.FOLDER / "entry_6_steps_seed_0.json")
    other["validation"]["loss"] = 0.0
    write_record(recipes.FOLDER / "entry_7_steps_seed_0.json", other)
    # Only records are read from here on.
    monkeypatch.delattr(recipes, "prepare_experiment")
    long = recipes.run_recipe_baseline("plain", best["rate"], 3.5)
    race = speedrun.speedrun_results()
    (ours,) = race["ours"]
    row, losses = race["plain"], [run["validation"]["loss"] for run in entries]
    assert ours["steps"] == 6 and ours["loss"]["values"] == losses
    assert (row["rate"], row["loss"]) == (best["rate"], long["validation"]["loss"])
    step = sum(run["seconds_in_steps"] for run in entries) / 2 / 6
    seconds = long["best_step"] * step * times["plain"]["ratio"][1]
    assert row["seconds"] == pytest.approx(seconds)
    assert ours["seconds"] == pytest.approx(sum(run["seconds"] for run in entries) / 2)
    assert row == speedrun.speedrun_row(long, row["seconds"], race["ours"])


def test_what_cannot_be_compared_is_refused(toy, monkeypatch):
    with pytest.raises(ValueError, match="times.json; make it: .*speedrun --time"):
        speedrun.speedrun_results()
    times = recipes.time_recipes()
    with pytest.raises(ValueError, match="no entry in .*; make one: python -m"):
        speedrun.speedrun_results()
    run = recipes.run_recipe_entry(0)
    path = recipes.FOLDER / f"{run['name']}.json"
    with pytest.raises(ValueError, match="has been run"):  # not until it is fast
        recipes.run_recipe_entry(0)
    changes = {"other hardware": {"hardware": {}}, "its steps is 9": {"steps": 9}}
    for message, change in changes.items():
        write_record(path, run | change)
        with pytest.raises(ValueError, match=message):
            speedrun.speedrun_results()
    write_record(path, run)
    monkeypatch.setattr(speedrun, "LONGER", {9: (dropout.STUDY, "none", None)})
    with pytest.raises(ValueError, match="dropout_study holds another run: its"):
        speedrun.speedrun_results()
    other = times["recipes"] | {"entry": times["recipes"]["plain"]}
    write_record(recipes.FOLDER / recipes.TIMES, times | {"recipes": other})
    with pytest.raises(ValueError, match="times.json holds another run: its dropout"):
        speedrun.speedrun_results()


def test_a_slower_step_has_a_ratio_above_one(toy, monkeypatch):
    seconds = {"entry": [1, 2, 4], "plain": [3, 4, 10], "scheduled": [1, 1, 1]}
    monkeypatch.setattr(timing, "time_in_turns", lambda *arguments: seconds)
    times = recipes.time_recipes()
    assert times["entry"]["ratio"] == [1, 1, 1]
    assert times["plain"]["ratio"] == pytest.approx([2.25, 2.5, 2.75])
    assert times["plain"]["seconds"] == pytest.approx([3.5, 4, 7])


def test_times_are_of_the_steps_up_to_the_best():
    long = {"rate": 1e-3, "best_step": 200, "history": [], "validation": {"loss": 3.1}}
    losses = {20: [3.2, 3.3], 40: [3.0, 3.1, 3.05], 80: [2.9]}.items()
    means = [{"steps": n, "loss": student_interval(of)} for n, of in losses]
    ours = [run | {"seconds": 10.0 + run["steps"]} for run in means]
    for first, reached, p in ((0, 40, 0.2), (2, 80, None)):  # the first not above it
        row = speedrun.speedrun_row(long, 200.0, ours[first:])
        assert row["reached"] == reached and (row["p"] is p or row["p"] < p)
        assert row["times_faster"] == 200 / (10 + reached)
    for seconds, slower in ((200.0, ours[:1]), (45.0, ours)):  # above it, or later
        assert speedrun.speedrun_row(long, seconds, slower)["reached"] is None


def test_a_baseline_goes_on_where_it_was_killed(toy, monkeypatch):
    step, steps = training.train_step, []

    def dying(run, *arguments):
        steps.append(run.step)
        if len(steps) == 12:
            raise KeyboardInterrupt
        return step(run, *arguments)

    monkeypatch.setattr(training, "train_step", dying)
    with pytest.raises(KeyboardInterrupt):
        recipes.run_recipe_baseline("scheduled", 1e-3, 1.5)
    made = recipes.run_recipe_baseline("scheduled", 1e-3, 1.5)
    assert steps[12] > 0 and len(made["history"]) > 2
    monkeypatch.setattr(recipes, "WARM_UP", 8)
    with pytest.raises(ValueError, match="another run: its warmup is"):
        recipes.run_recipe_baseline("scheduled", 1e-3, 1.5)


def test_a_baseline_that_diverges_is_no_choice(toy, monkeypatch):
    def diverging(model, data, config, *arguments):
        if config.learning_rate == max(recipes.RATES):
            raise FloatingPointError
        return training.train(model, data, config, *arguments)

    monkeypatch.setattr(recipes, "train", diverging)
    trials = [recipes.run_recipe_baseline("plain", rate, 1.5) for rate in recipes.RATES]
    assert trials[-1]["validation"] is None
    again = recipes.run_recipe_baseline("plain", recipes.RATES[-1], 1.5)
    assert again == trials[-1]  # as recorded


def test_a_rate_that_diverges_in_the_long_run_gives_way_to_the_next():
    second, best, last = recipes.RATES
    runs = {(r, recipes.TRIAL): {"loss": 3.5} for r in (second, last)}
    runs |= {(best, recipes.TRIAL): {"loss": 3.4}, (best, recipes.EPOCHS): None}

    def long():
        found = {key: {"rate": key[0], "validation": of} for key, of in runs.items()}
        return recipes.recipe_baseline("plain", lambda _, *key: found.get(key))

    assert long() is None  # the next is not there
    runs[second, recipes.EPOCHS] = {"loss": 3.0}
    assert long()["rate"] == second
    runs |= dict.fromkeys([(second, recipes.EPOCHS), (last, recipes.TRIAL)])
    with pytest.raises(ValueError, match="All runs of plain diverged; try lower"):
        long()
    del runs[last, recipes.TRIAL]
    assert long() is None


def test_the_plain_recipe_warms_up_and_keeps_its_rate(toy):
    _, wanted = recipes.recipe_baseline_place("plain", 1e-3, 3.5)
    config, steps = wanted["training"], wanted["steps"]
    shape = config.warmup, config.cooldown
    factors = [rate_factor(step, steps, *shape) for step in range(steps)]
    assert factors.index(1.0) == 8 and set(factors[8:]) == {1.0}


def test_results_are_told_as_they_are():
    """The table itself is that of the page; see test_pages."""
    race = speedrun.speedrun_results()
    axes, (ours, *longer) = speedrun.speedrun_figure(race).axes[0], race["ours"]
    took = read_record(recipes.recipe_entry_place(0)[0])["seconds_in_steps"]
    more = {run["steps"]: run["seconds"] - ours["seconds"] for run in longer}
    assert more == pytest.approx(
        {n: (n / 2_400 - 1) * took for n in (4_112, 10_280, 25_700)}
    )
    dot = [ours["seconds"] / 60, ours["loss"]["values"][0]]
    assert axes.lines[-1].get_xydata().tolist()[0] == dot
    history, row = race["plain"]["history"], race["plain"]
    minutes = row["seconds"] / 60 * history[-1]["step"] / row["steps"]
    assert axes.lines[0].get_xdata()[-1] == pytest.approx(minutes)
    row |= {"p": 0.6}
    assert "| 9.4 times, in 2,400 steps | 0.6 |" in speedrun.speedrun_table(race)
    row |= {"reached": None}
    assert "| not sooner |" in speedrun.speedrun_table(race)
    del race["plain"]
    assert "--baselines plain" in speedrun.speedrun_table(race)  # the command instead
