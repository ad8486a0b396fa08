"""The machinery of the studies: intervals, records of runs, effects, claims."""

import math
import os
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import pytest
from scipy import stats

from helpers import ROOT, record
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from studies.lab import runs
from studies.lab.readings import Claim, Effect, at, at_step, best_minus_last, verdict
from studies.lab.report import between, markdown, plus_minus
from studies.lab.runs import FAST, lone_sentences
from studies.lab.stats import bootstrap, one_sided_p, student
from studies.lab.study import Arm, Study


def test_an_interval_is_students():
    values = [1.0, 2.0, 4.0]
    low, high = stats.t.interval(0.95, 2, 7 / 3, stats.sem(values))
    expected = {"n": 3, "mean": 7 / 3, "low": low, "high": high, "values": values}
    assert student(values) == pytest.approx(expected)
    alone = {"n": 1, "mean": 5.0, "low": None, "high": None, "values": [5.0]}
    assert student([5.0]) == alone
    assert student([]) == alone | {"n": 0, "mean": None, "values": []}


def test_a_one_sided_test_looks_to_one_side():
    assert one_sided_p([1.0, 1.1, 0.9], 2.0) < 0.01
    assert one_sided_p([3.0, 3.1, 2.9], 2.0) > 0.99


def test_a_bootstrap_is_the_same_each_time_and_covers_the_mean():
    draw, covered = np.random.default_rng(1), 0
    for _ in range(200):
        values = {"x": draw.normal(3, 2, 40).tolist()}
        mean = bootstrap(values, resamples=500)
        assert mean == bootstrap(values, resamples=500)
        assert mean["x"]["mean"] == pytest.approx(statistics.fmean(values["x"]))
        covered += mean["x"]["low"] < 3 < mean["x"]["high"]
    assert 0.89 < covered / 200 < 0.98
    width = mean["x"]["high"] - mean["x"]["low"]
    expected = 2 * 1.96 * statistics.pstdev(values["x"]) / 40**0.5
    assert width == pytest.approx(expected, rel=0.15)


def test_a_bootstrap_is_paired_and_weighs_units_by_size():
    one = np.random.default_rng(0).normal(0, 9, 30)
    means = bootstrap({"one": one, "other": one + 1, "minus": one + 1 - one})
    assert means["minus"] == pytest.approx({"mean": 1, "low": 1, "high": 1})
    assert means["one"]["high"] - means["one"]["low"] > 3
    sizes = np.arange(1, 31)
    means = bootstrap({"loss": 2.5 * sizes, "first": sizes == 1}, sizes)
    assert means["loss"] == pytest.approx({"mean": 2.5, "low": 2.5, "high": 2.5})
    assert means["first"]["mean"] == pytest.approx(1 / sizes.sum())


def test_intervals_are_told_in_two_ways():
    interval = {"mean": 0.0701, "low": 0.0471, "high": 0.0931}
    assert plus_minus(interval, 3, sign="+") == "+0.070 ± 0.023"
    assert between(interval, 1, scale=100) == "7.0 (4.7 to 9.3)"
    zero = {"mean": -0.001, "low": None, "high": None}
    assert plus_minus(zero, 2) == between(zero, 2) == "0.00"
    assert markdown(["a", "b"], [["1"]]) == "| a | b |\n| --- | --- |\n| 1 |  |"


def make(arm: Arm, seed: int, folder, precision="bfloat16") -> dict:
    """A run whose loss depends on the seed more than on its arm."""
    loss = 3.0 + seed + (0.2 + 0.1 * seed if arm.model.dropout else 0.0)
    curve = [{"step": step, "loss": loss + 1 / step} for step in (1, 10)]
    scores = {"validation": {"loss": loss}, "curve": curve}
    return {"number_format": precision, "folder": str(folder)} | scores


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
        read=partial(runs.read_run, parts=("curve.loss",)),
        alike=("number_format",),
        readings={"loss": at("validation.loss"), "alone": at("alone.loss")},
        claims=[Claim("It helps.", Effect("all", "none"), "below")],
    )


@pytest.fixture
def done(study):
    """The study with its six runs."""
    runs.run_all([study.job(arm, seed) for arm in study.arms for seed in range(3)])
    return study


def test_a_run_is_made_once_and_recorded_with_what_it_is(study):
    run = study.run("all", 2)
    assert run["name"] == "all_seed_2" and run["folder"].endswith("runs/all_seed_2")
    assert (run["arm"], run["seed"], run["training"]["seed"]) == ("all", 2, 2)
    assert run["model"] == asdict(ModelConfig(dropout=0.1)) and run["hardware"]
    assert record.read(study.folder / "all_seed_2.json") == run
    assert replace(study, make=None).run("all", 2) == run
    with pytest.raises(TypeError):
        replace(study, make=None).run("all", 1)


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
    (claim,) = results.claims
    assert (claim["interval"], claim["verdict"]) == (effect, "does not hold")


def test_a_claim_with_too_few_seeds_names_its_command(study):
    for arm, seed in (("all", 0), ("all", 1), ("none", 1), ("none", 2)):
        study.run(arm, seed)
    (claim,) = study.results().claims
    assert (claim["verdict"], claim["interval"]["seeds"]) == ("unfinished", [1])
    assert claim["command"] == "python -m studies.toy --arms all none"


CHANGES = {
    "d_ff is 8, not 512": {"model": asdict(ModelConfig(dropout=0.1, d_ff=8))},
    "dropout is 0.0": {"model": asdict(ModelConfig())},
    "clip is 2": {"training": asdict(replace(FAST, clip=2.0))},
    "wings is 2": {"model": asdict(ModelConfig(dropout=0.1)) | {"wings": 2}},
    "seed is 7": {"seed": 7},
    "arm is none": {"arm": "none"},
    "epochs is None": {"training": "fast"},
}


@pytest.mark.parametrize("told", CHANGES)
def test_a_record_that_is_not_of_its_arm_is_neither_skipped_nor_read(done, told):
    path = done.folder / "all_seed_2.json"
    record.write(path, record.read(path) | CHANGES[told])
    for act in (done.results, lambda: done.run("all", 2)):
        with pytest.raises(ValueError, match=f"{path} holds .*: its {told}") as caught:
            act()
        said = str(caught.value)
        assert "arm or the record was changed; restore it" in said
        assert not any(word in said for word in ("delete", "move", "another name"))


ODD = {
    "is missing, damaged": lambda run: [],
    "no record of this study .*number_format": lambda run: run.pop("number_format"),
    "no record of this study .*loss": lambda run: run.update(curve=[{"step": 1}]),
    "no record of this study .*'int'": lambda run: run.update(curve=5),
    "no finite number": lambda run: run.update(test={"loss": math.nan}),
    "a time that is no": lambda run: run.update(seconds="long"),
    "another number_format .* compare": lambda run: run.update(number_format="x"),
}


@pytest.mark.parametrize("told", ODD)
def test_a_record_of_another_kind_is_named(done, told):
    path = done.folder / "all_seed_2.json"
    run = record.read(path)
    odd = ODD[told](run)
    record.write(path, odd if odd == [] else run)
    with pytest.raises(ValueError, match=f"{path}.* {told}"):
        done.results()


def test_a_copy_counts_for_no_other_seed(done):
    before = done.results().readings
    copy = record.read(done.folder / "all_seed_2.json")
    for name in ("all_seed_02", "all_seed_x", "every_seed_0", "all_seed_2 (1)"):
        record.write(done.folder / f"{name}.json", copy)
    assert done.results().readings == before
    record.write(done.folder / "all_seed_9.json", copy)
    with pytest.raises(ValueError, match="all_seed_9.json holds .* seed is 2, not 9"):
        done.results()


def test_a_field_newer_than_a_record_had_its_default(done):
    """As TrainConfig's would have, had it another field."""

    @dataclass(frozen=True)
    class Newer(TrainConfig):
        wings: int = 2

    def newer(wings: int) -> Study:
        training = Newer(**asdict(FAST) | {"wings": wings})
        arms = {name: replace(arm, training=training) for name, arm in arms_now}
        return replace(done, arms=arms)

    arms_now = done.arms.items()
    assert newer(2).results()
    with pytest.raises(ValueError, match="its wings is 2, not 3"):
        newer(3).results()


def test_an_effect_may_be_one_of_effects_or_of_a_reading(study):
    loss = {"a": {2: 5, 0: 1, 1: 2}, "b": {3: 9, 2: 2, 1: 1.5}, "c": {1: 10, 2: 20}}
    loss |= {"d": {0: 3, 1: 4, 2: 1}}
    made = {
        arm: {seed: {"loss": value} for seed, value in seeds.items()}
        for arm, seeds in loss.items()
    }
    readings = {"loss": at("loss"), "none": at("none")}
    for effect, values in {
        Effect("a", "b"): {1: 0.5, 2: 3},
        Effect("a"): {0: 1, 1: 2, 2: 5},
        Effect("a", "b", apart=("c", "d")): {1: 0.5 - 6, 2: 3 - 19},
        Effect("a", "nobody"): {},
    }.items():
        interval = effect.measure(made, readings)
        assert interval["seeds"] == [*values]
        assert interval["values"] == [*values.values()]
    with pytest.raises(ValueError, match="No 'none' of a and b on record"):
        Effect("a", "b", "none").measure(made, readings)


def test_a_claim_that_cannot_be_decided_is_refused(study):
    for effect, told in {
        Effect("al", "none"): "No such arms: al",
        Effect("all", "none", apart=("none", "al")): "No such arms: al",
        Effect("all", "none", "los"): "reading is 'los'; choose 'loss' or 'alone'",
    }.items():
        with pytest.raises(ValueError, match=told):
            replace(study, claims=[Claim("So.", effect, "below")])
    with pytest.raises(ValueError, match="expected is 'higher'"):
        Claim("So.", Effect("all", "none"), "higher")
    margins = [
        Claim("So.", None, "same", unit).margin for unit in ("nats", "points", "%")
    ]
    assert margins == [0.05, 1, 0]


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
        assert at_step(run, step) == pytest.approx(loss)
    for early in run, run | {"curve": []}:
        with pytest.raises(ValueError, match="short .* step 2110"):
            at_step(early, 2_110)
    assert best_minus_last(run) == pytest.approx(-0.6)


RUNS = """
import signal, sys, time
from pathlib import Path
from studies.lab.runs import read_run, run_all

def make(name):
    if name == "fails":
        raise ValueError("another design")
    Path(name + ".begun").touch()
    time.sleep(3)
    return {}

if __name__ == "__main__":
    # A shell may have its background jobs ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    names = sys.argv[1].split()
    run_all([(Path(f"{n}.json"), {}, read_run, make, n) for n in names], 2)
"""


def begin(folder, names: str):
    """Starts a command that makes two runs at a time, of three seconds each."""
    (folder / "runs.py").write_text(RUNS, "utf-8")
    return subprocess.Popen(
        [sys.executable, "runs.py", names],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_a_run_that_fails_ends_the_command(tmp_path):
    command = begin(tmp_path, "fails a b c d e")
    assert "another design" in command.communicate(timeout=90)[1]
    assert command.returncode and [*tmp_path.glob("*.json")] == []


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C goes to a group of processes")
def test_ctrl_c_ends_the_command(tmp_path):
    command = begin(tmp_path, "a b c d")
    while not (tmp_path / "c.begun").exists():
        assert command.poll() is None
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGINT)
    command.communicate(timeout=60)
    made = {path.stem for path in tmp_path.glob("*.json")}
    assert command.returncode and made <= {"a", "b"} and made


def test_lone_sentences_end_with_a_mark_and_have_the_length_asked_for():
    lines = [
        "= Title with more than five words . =",
        "One two three four . Too short . What is this about ? No end here it goes",
        "a " * 40 + ".",
        "b " * 39 + "!",
    ]
    kept = ["One two three four .", "What is this about ?", "b " * 39 + "!"]
    assert lone_sentences(lines, 5, 40) == kept
