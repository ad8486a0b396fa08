"""The machinery of the studies: intervals, records of runs, effects, claims."""

import math
import os
import signal
import time
from dataclasses import asdict, replace
from operator import itemgetter

import numpy as np
import pytest
from program import started
from scipy import stats

from helpers import ROOT
from helpers.model import ModelConfig
from helpers.record import read_record, write_record
from studies.lab import runs
from studies.lab.claims import Claim, Effect, verdict
from studies.lab.runs import FAST
from studies.lab.scored_text import scored_sentences
from studies.lab.stats import bootstrap, one_sided_p, student_interval
from studies.lab.study import Arm, Study, StudyResults
from studies.lab.tables import markdown_table, plus_minus, range_text
from studies.lessons.readings import step_reading


def test_an_interval_is_students_and_a_test_looks_to_one_side():
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, 7 / 3, stats.sem(values))
    expected = {"n": 3, "mean": 7 / 3, "low": low, "high": high, "values": values}
    assert student_interval(values) == pytest.approx(expected)
    alone = {"n": 1, "mean": 5.0, "low": None, "high": None, "values": [5.0]}
    assert student_interval([5.0]) == alone
    assert student_interval([]) == alone | {"n": 0, "mean": None, "values": []}
    assert one_sided_p([1.0, 1.1, 0.9], 2.0) < 0.01 < one_sided_p(values, 2.0)


def test_a_bootstrap_covers_the_mean_as_often_as_it_says():
    draw, covered = np.random.default_rng(1), 0
    for _ in range(200):
        values_U = draw.normal(3, 2, 40)
        mean = bootstrap({"x": values_U}, resamples=500)["x"]
        assert mean["mean"] == pytest.approx(values_U.mean())
        covered += mean["low"] < 3 < mean["high"]
    assert 0.89 < covered / 200 < 0.98
    expected = 2 * 1.96 * values_U.std() / 40**0.5
    assert mean["high"] - mean["low"] == pytest.approx(expected, rel=0.15)
    assert bootstrap({"x": values_U}, resamples=500)["x"] == mean


def test_a_bootstrap_is_paired_and_weighs_units_by_size():
    one = np.random.default_rng(0).normal(0, 9, 30)
    means = bootstrap({"one": one, "minus": one + 1 - one})
    assert means["minus"] == pytest.approx({"mean": 1, "low": 1, "high": 1})
    assert means["one"]["high"] - means["one"]["low"] > 3
    sizes = np.arange(1, 31)
    means = bootstrap({"loss": 2.5 * sizes, "first": sizes == 1}, sizes)
    assert means["loss"] == pytest.approx({"mean": 2.5, "low": 2.5, "high": 2.5})
    assert means["first"]["mean"] == pytest.approx(1 / sizes.sum())


def test_intervals_are_told_in_two_ways():
    interval = {"mean": 0.0701, "low": 0.0471, "high": 0.0931}
    assert plus_minus(interval, 3, sign="+") == "+0.070 ± 0.023"
    assert plus_minus(interval, 1, 100) == "7.0 ± 2.3"
    assert range_text(interval, 1, scale=100) == "7.0 (4.7 to 9.3)"
    zero = {"mean": -0.001, "low": None, "high": None}
    assert plus_minus(zero, 2) == range_text(zero, 2) == "0.00"
    assert range_text(zero | {"low": -1, "high": 0}, 1, 1, "+") == "+0.0 (-1.0 to +0.0)"
    assert markdown_table(["a", "b"], [["1"]]) == "| a | b |\n| --- | --- |\n| 1 |  |"


def make(arm: Arm, seed: int, folder) -> dict:
    """A run whose loss depends on the seed more than on its arm."""
    loss = 3.0 + seed + (0.2 + 0.1 * seed if arm.model.dropout else 0.0)
    more = {"number_format": "bfloat16", "folder": str(folder)}
    return {"validation": {"loss": loss}} | more


@pytest.fixture
def study(tmp_path):
    """A study without any runs."""
    return Study(
        "toy",
        "A study of nothing.",
        folder=tmp_path / "records",
        states=tmp_path / "runs",
        arms={"none": Arm(), "all": Arm(ModelConfig(dropout=0.1))},
        make=make,
        alike=("number_format",),
        readings={
            "loss": lambda run: run["validation"]["loss"],
            "alone": lambda run: run["alone"]["loss"],
        },
        table=str,
        claims=[Claim("It helps.", Effect("all", "none"))],
    )


@pytest.fixture
def done(study):
    """The study with its six runs."""
    runs.make_runs([study.job(arm, seed) for arm in study.arms for seed in range(3)])
    return study


def test_a_run_is_made_once_and_recorded_with_what_it_is(study):
    run = study.run("all", 2)
    assert run["name"] == "all_seed_2" and run["folder"].endswith("runs/all_seed_2")
    assert (run["arm"], run["seed"], run["training"]["seed"]) == ("all", 2, 2)
    assert run["model"] == asdict(ModelConfig(dropout=0.1)) and run["hardware"]
    assert read_record(study.folder / "all_seed_2.json") == run
    assert replace(study, make=None).run("all", 2) == run


def test_differences_are_paired_by_seed(done):
    results = done.results()
    effect = results.effect(Effect("all", "none"))
    assert effect["values"] == pytest.approx([0.2, 0.3, 0.4])
    assert effect["seeds"] == [0, 1, 2]
    # The spread over seeds is ten times that of the differences, and does not count.
    loss = results.readings["all"]["loss"]
    width = [interval["high"] - interval["low"] for interval in (effect, loss)]
    assert width[0] < width[1] / 5
    assert "alone" not in results.readings["all"]  # which no run has
    assert loss["mean"] == pytest.approx(4.3)
    (claim,) = results.claims
    assert (claim["interval"], claim["verdict"]) == (effect, "does not hold")


def test_a_claim_with_too_few_seeds_names_its_command(study):
    for arm, seed in (("all", 0), ("all", 1), ("none", 1), ("none", 2)):
        study.run(arm, seed)
    (claim,) = study.results().claims
    assert (claim["verdict"], claim["interval"]["seeds"]) == ("unfinished", [1])
    assert claim["command"] == "python -m studies.toy --arms all none"


@pytest.mark.parametrize(
    "told, change",
    [
        ("d_ff is 8, not 512", {"model": asdict(ModelConfig(dropout=0.1, d_ff=8))}),
        ("clip is 2", {"training": asdict(replace(FAST, clip=2.0))}),
        ("seed is 7", {"seed": 7}),
        ("arm is none", {"arm": "none"}),
    ],
)
def test_a_record_of_another_run_is_neither_skipped_nor_read(done, told, change):
    path = done.folder / "all_seed_2.json"
    write_record(path, read_record(path) | change)
    for act in (done.results, lambda: done.run("all", 2)):
        with pytest.raises(ValueError, match=f"{path} holds .*: its {told}.* restore"):
            act()


def test_runs_of_two_kinds_are_not_compared(done):
    path = done.folder / "all_seed_2.json"
    write_record(path, read_record(path) | {"number_format": "x"})
    with pytest.raises(ValueError, match=f"{path} has another number_format than"):
        done.results()


def test_a_copy_counts_for_no_other_seed(done):
    before = done.results().readings
    copy = read_record(done.folder / "all_seed_2.json")
    for name in ("all_seed_02", "all_seed_x", "every_seed_0", "all_seed_2 (1)"):
        write_record(done.folder / f"{name}.json", copy)
    assert done.results().readings == before
    write_record(done.folder / "all_seed_9.json", copy)
    with pytest.raises(ValueError, match="all_seed_9.json holds .* seed is 2, not 9"):
        done.results()


def test_an_effect_may_be_one_of_effects_or_of_a_reading(study):
    study = replace(study, readings={"loss": itemgetter("loss")})
    loss = {"a": {2: 5, 0: 1, 1: 2}, "b": {3: 9, 2: 2, 1: 1.5}, "c": {1: 10, 2: 20}}
    loss |= {"d": {0: 3, 1: 4, 2: 1}}
    made = {
        arm: {seed: {"loss": value} for seed, value in seeds.items()}
        for arm, seeds in loss.items()
    }
    for effect, values in {
        Effect("a", "b"): {1: 0.5, 2: 3},
        Effect("a"): {0: 1, 1: 2, 2: 5},
        Effect("a", "b", apart=("c", "d")): {1: 0.5 - 6, 2: 3 - 19},
        Effect("a", "nobody"): {},
    }.items():
        interval = StudyResults(study, made).effect(effect)
        assert interval["seeds"] == [*values]
        assert interval["values"] == [*values.values()]


@pytest.mark.parametrize(  # an interval in hundredths; above 0, below it, within ±5
    "low, high, said",
    [(1, 2, "+-+"), (-2, -1, "-++"), (-1, 2, "??+"), (6, 7, "+--"), (-7, -6, "-+-")]
    + [(4, 6, "+-?"), (-6, -4, "-+?"), (-6, 6, "???"), (0, 5, "???"), (-5, 0, "???")],
)
def test_a_verdict_follows_from_the_interval(low, high, said):
    words = {"+": "holds", "-": "does not hold", "?": "open"}
    ends = {"low": low / 100, "high": high / 100}
    for expected, sign in zip(("above", "below", "same"), said, strict=True):
        margin = 0.05 * (expected == "same")
        assert verdict(ends, expected, margin) == words[sign]  # not over seeds
        assert verdict(ends | {"n": 3}, expected, margin) == words[sign]
        assert verdict(ends | {"n": 2}, expected, margin) == "unfinished"
    moved = {"low": ends["low"] - 0.05, "high": ends["high"] - 0.05}
    assert verdict(ends, "above", 0.05) == verdict(moved, "above")


def test_a_curve_is_read_between_its_steps():
    losses = {250: 6, 500: 3, 1_000: 2, 2_000: 2.6}
    curve = [{"step": step, "loss": loss} for step, loss in losses.items()]
    run = {"arm": "short", "curve": curve}
    between_them = {250 * 2**0.5: 4.5, 750: 3 - math.log2(1.5), 2_090: 2.6}
    for step, loss in (losses | between_them).items():
        assert step_reading(run, step) == pytest.approx(loss)
    for early in run, run | {"curve": []}:
        with pytest.raises(ValueError, match="short .* step 2110"):
            step_reading(early, 2_110)


RUNS = """
import sys, time
from pathlib import Path
from studies.lab.runs import read_run, make_runs

def make(name):
    if name == "fails":
        raise ValueError("another design")
    Path(name + ".begun").touch()
    time.sleep(3)
    return {}

if __name__ == "__main__":
    make_runs([(Path(f"{n}.json"), {}, read_run, make, n) for n in sys.argv[1:]], 2)
"""


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C goes to a group of processes")
@pytest.mark.parametrize("end, ended", [("fails", set()), ("Ctrl-C", {"a", "b"})])
def test_a_failure_or_ctrl_c_ends_all_runs(end, ended, tmp_path):
    """Two at a time, of three seconds each."""
    names = ["fails"] * (end == "fails") + ["a", "b", "c", "d"]
    (tmp_path / "runs.py").write_text(RUNS, "utf-8")
    variables = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with started("runs.py", *names, folder=tmp_path, **variables) as command:
        if end == "Ctrl-C":
            while not (tmp_path / "c.begun").exists():
                assert command.poll() is None
                time.sleep(0.05)
            os.killpg(command.pid, signal.SIGINT)
        _, said = command.communicate(timeout=90)
    assert ("another design" in said) == (end == "fails")
    made = {path.stem for path in tmp_path.glob("*.json")}
    assert command.returncode and made <= ended and bool(made) == bool(ended)


def test_lone_sentences_end_with_a_mark_and_have_the_length_asked_for():
    lines = [
        "= Title with more than five words . =",
        "One two three four . Too short . What is this about ? No end here it goes",
        "a " * 40 + ".",
        "b " * 39 + "!",
    ]
    kept = ["One two three four .", "What is this about ?", "b " * 39 + "!"]
    found = [" ".join(words) for _, words in scored_sentences(lines, 5, 40)]
    assert found == kept
