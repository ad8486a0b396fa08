"""The lessons' numbers, verdicts, tables and figures, held against those by hand."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import stats

from helpers import ROOT, record
from studies.lessons import __main__ as lessons
from studies.lessons import runs as lesson_runs
from studies.lessons.arms import ARMS
from studies.lessons.claims import (
    CLAIMS,
    EXPECTED,
    OTHERS,
    STUDIES,
    Claim,
    decide,
    step_minutes,
    verdict,
)
from studies.lessons.figures import GREEN, ORANGE, QUIET, VOCABULARIES, drawable
from studies.lessons.readings import Effect, at_step, crossover, readings
from studies.lessons.summary import summarise
from studies.lessons.tables import effect_text, lesson_lines, lessons_table

RECORDS = ROOT / "plots" / "records"
GROWTH = record.read(RECORDS / "growth.json")["growth"][: 2 * 8]  # forms, lengths
BETTER = """pad_64 pad_64 pack_64 pack_64 pad_64 bucket_64 base pieces_8000 read_10000
layers_2 d_model_128 small_dropout small_fresh small_static small_fresh rate_15 base
falling"""
LAYOUTS = "pad_64 pad_128 bucket_64 bucket_128 pack_64 pack_128".split()
AT_STEPS, AT_TIME = "loss at equal steps", "loss at equal time"
SHARES = {"rate_10": 10, "rate_15": 15, "base": 30, "rate_40": 40, "rate_50": 50}
SIZES = {"layers": (1, 2, 4, 6), "d_model": (64, 128, 256, 384), "heads": (1, 4, 8, 16)}
TIED = {"2,000 words": ("base", "untied")}
TIED |= {"10,000 words": ("words_10000", "untied_10000")}
SMALL = {"small_static": "the same masks", "small_fresh": "fresh masks"}
SMALL |= {"small_dropout": "fresh masks, dropout"}
WHOLE = dict.fromkeys(ARMS, [0, 1, 2])
ONE, SOME = dict.fromkeys(ARMS, [0]), dict.fromkeys([*ARMS][::2], [0, 1, 2])
DRAW, COSTS = random.Random(0), {"hardware": {"threads": 2}, "arms": {}}
for name in ARMS:
    a, b, c, d = (DRAW.uniform(0.97, 1.4) for _ in range(4))
    COSTS["arms"][name] = dict(asked=a, padding=b, seconds=[0, c, 9], ratio=[0, d, 9])


def fake_run(name: str, seed: int) -> dict:
    """As `lesson_runs.run` makes it, with numbers of its own for each arm and seed."""
    far, near = random.Random(name), random.Random(f"{name} {seed}")
    draw = iter(lambda: far.uniform(3, 5) + near.uniform(0, 0.3), None)
    steps = range(100, ARMS[name].steps + 1, 100)
    found = record.plain(lesson_runs.settings(name, seed))
    found |= {"hardware": {"device": f"machine {seed}"}}
    found |= {"weights": 7, "validation": {"loss": next(draw)}}
    found |= {"curve": [{"step": step, "loss": next(draw)} for step in steps]}
    if ARMS[name].training.get("masks") == "independent":
        found["alone"] = {"loss": next(draw), "accuracy": next(draw)}
    if name in lesson_runs.VOCABULARIES:
        keys, kinds = ("right", "held", "bits"), ("shared", "rare")
        found["asked"] = {kind: {key: next(draw) for key in keys} for kind in kinds}
    return found


def summed_up(folder, patch, seeds: dict[str, list[int]]) -> dict:
    """The summary of made-up runs, in a folder; of other studies the true records."""
    for name, seed in ((arm, i) for arm in seeds for i in seeds[arm]):
        record.write(folder / f"{name}_seed_{seed}.json", fake_run(name, seed))
    record.write(folder / "costs.json", COSTS)
    patch.setattr("studies.lessons.readings.RECORDS", folder)
    patch.setattr("studies.lessons.summary.COSTS", folder / "costs.json")
    patch.setattr("studies.lessons.summary.SUMMARY", folder / "lessons.json")
    return summarise()


def agrees(found: dict, values) -> None:
    """The values, their mean and Student's interval."""
    mean, ends = np.mean(values), [None, None]
    if len(values) > 1:
        ends = stats.t.interval(0.95, len(values) - 1, mean, stats.sem(values))
    told = [found[key] for key in ("n", "mean", "low", "high")] + [*found["values"]]
    assert told == pytest.approx([len(values), mean, *ends, *values])


def test_readings_by_hand():
    """500 steps of the base are 1,250 of an arm whose steps take 0.4 of the time."""
    losses = {250: 6, 500: 3, 1_000: 2, 2_000: 2.6}
    run = {"curve": [{"step": step, "loss": loss} for step, loss in losses.items()]}
    between = {250 * 2**0.5: 4.5, 750: 3 - np.log2(1.5), 2_090: 2.6}
    for step, loss in (losses | between).items():
        assert at_step(run, step) == pytest.approx(loss)
    run |= {"arm": "layers_2"}
    for early in run, run | {"curve": []}:
        with pytest.raises(ValueError, match="layers_2 .* step 2110"):
            at_step(early, 2_110)
    run |= {"validation": {"loss": 3.7, "accuracy": 0.31}}
    run |= {"validation_unread": {"loss": 3.9}, "alone": {"loss": 4.1}}
    run["alone"]["accuracy"] = 0.28
    kinds = {"shared": {"right": 0.4, "bits": 1.2}, "rare": {"right": 0.1, "held": 0.3}}
    ways = readings({"arms": {"layers_2": {"ratio": [0.1, 0.4, 3.0]}}})
    expected = {"loss": 3.7, "right": 31, AT_STEPS: 3, "best loss": 2, "unread": 3.9}
    expected |= {AT_TIME: 2 + 0.6 * np.log2(1.25), "best minus last": -0.6}
    expected |= {"loss on lone sentences": 4.1, "right on lone sentences": 28}
    expected |= {"shared": 40, "rare": 10, "held": 30, "bits": 1.2}
    assert {k: ways[k](run | {"asked": kinds}) for k in ways} == pytest.approx(expected)


def test_an_effect_is_of_the_seeds_that_all_arms_have():
    runs = {"a": {2: 5, 0: 1, 1: 2}, "b": {3: 9, 2: 2, 1: 1.5}, "c": {1: 10, 2: 20}}
    runs |= {"d": {0: 3, 1: 4, 2: 1}, "e": {2: 7}}
    expected = {"ab": {1: 0.5, 2: 3}, "ba": {1: -0.5, 2: -3}, "aa": {0: 1, 1: 2, 2: 5}}
    expected |= {"abcd": {1: 0.5 - 6, 2: 3 - 19}, "bdbe": {2: 1 + 5}, "abc-": {}}
    ways = {"read": float, "loss": lambda run: run["loss"]}
    for (arm, reference, *apart), values in expected.items():
        effect = Effect(arm, reference, "read", tuple(apart) or None)
        found = effect.measure(runs, ways)
        assert found["seeds"] == [*values]
        if values:
            agrees(found, [*values.values()])
            with pytest.raises(ValueError, match=f"'loss' of {arm}"):
                effect = Effect(arm, reference, "loss", tuple(apart) or None)
                effect.measure({k: dict.fromkeys(v, {}) for k, v in runs.items()}, ways)
    assert found == {"n": 0, "mean": None, "low": None, "high": None, "seeds": []}


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
        for n in (0, 1, 2, 3, 4, None):
            word = words[sign] if n in (3, 4, None) else "unfinished"
            assert verdict({"n": n} | ends, expected, margin) == word


def test_a_claim_that_cannot_be_decided_is_refused():
    effect = Effect("base", "untied")
    assert Claim(9, "", effect, "below").expected in EXPECTED
    with pytest.raises(ValueError, match="higher"):
        Claim(9, "", effect, "higher")
    for wrong in Effect("bse", "base"), Effect("base", "base", "loss", ("base", "bse")):
        with pytest.raises(ValueError, match="arms: bse"):
            Claim(9, "", wrong, "below")
    with pytest.raises(
        ValueError, match="reading is 'los'; choose 'loss' or 'right' or"
    ):
        Claim(9, "", Effect("base", "untied", "los"), "below")
    with pytest.raises(ValueError, match="effect is 'grwoth'; choose 'growth' or"):
        Claim(9, "", "grwoth", "below")
    for odd in (None, -1):
        with pytest.raises(ValueError, match=f"effect is {odd}; choose 'growth' or"):
            Claim(9, "", odd, "below")
    with pytest.raises(ValueError, match="margin is -1"):
        Claim(9, "", effect, "same", margin=-1)
    assert {*STUDIES} == OTHERS.keys()


def test_records_of_another_design_are_not_read(tmp_path, monkeypatch):
    summed_up(tmp_path, monkeypatch, ONE)
    path = tmp_path / "layers_1_seed_0.json"
    made = record.read(path)
    record.write(path, made | {"design": made["design"] | {"steps": 7}})
    with pytest.raises(ValueError, match="seed_0.json holds .*: its steps is 7"):
        summarise()
    record.write(path, made | {"curve": [{"step": 100}]})
    with pytest.raises(ValueError, match="seed_0.json is no record of this .*'loss'"):
        summarise()
    record.write(path, made)
    record.write(path.with_name("layers_1_seed_00.json"), made)
    with pytest.raises(ValueError, match="seed_00.json is no record of a run"):
        summarise()


def test_a_margin_moves_the_line():
    for low, high in ((0.06, 0.07), (0.04, 0.06), (0.03, 0.04), (-0.07, -0.06)):
        found = {"n": 3, "low": low, "high": high}
        moved = {"n": 3, "low": low - 0.05, "high": high - 0.05}
        assert verdict(found, "above", 0.05) == verdict(moved, "above")
        turned = {"n": 3, "low": -high, "high": -low}
        assert verdict(turned, "below", 0.05) == verdict(found, "above", 0.05)


def test_claims_say_which_arm_is_better():
    better, first, used = [], [], {*LAYOUTS, *VOCABULARIES, *SHARES, *SMALL}
    for claim in (claim for claim in CLAIMS if not isinstance(claim.effect, str)):
        effect, points = claim.effect, claim.effect.reading in ("shared", "rare")
        some = claim.expected == "same" or effect.arm == effect.reference
        margin = (1.0 if points else 0.05) * some
        assert (claim.unit, claim.margin) == ("points" if points else "nats", margin)
        assert points or claim.expected != "above"  # left of zero the first is better
        if claim.expected == "same":
            first.append(effect.arm)
        else:
            better.append(effect.arms[(claim.expected == "above") != points])
        for arm in effect.arms:  # has this reading
            assert np.isfinite(readings(COSTS)[effect.reading](fake_run(arm, 0)))
        used |= {*effect.arms}
    used |= {f"{factor}_{size}" for factor in SIZES for size in SIZES[factor]}
    assert first == "pieces_8000 heads_1 base words_10000".split()
    assert better == BETTER.split() and used >= ARMS.keys()
    assert {claim.lesson for claim in CLAIMS} == {*range(1, 9), None}


def test_the_length_claim_is_a_fit_of_relative_errors():
    made = [{"max_length": n, "ms": 80 + n / 2, "fused": True} for n in (64, 96, 512)]
    made += [{"max_length": 63, "ms": 900, "fused": True}, {"ms": 9, "fused": True}]
    made += [{"max_length": 64, "ms": 900, "fused": False}]
    found = [*crossover({"growth": made}, True).values()]
    assert found == pytest.approx([80, 0.5, 160, 32 / 112, 0], abs=1e-9)
    n, ms = np.array([(r["max_length"], r["ms"]) for r in GROWTH[4::2]]).T
    a, b = np.linalg.lstsq(np.stack([1 / ms, n / ms], 1), n / n, rcond=None)[0]
    share, error = 64 * b / (a + 64 * b), max(abs((a + b * n) / ms - 1))
    ends = [100 * x - 50 for x in (share, share - error, share + error)]
    minutes = 2 * sum(r["ms"] for r in GROWTH) * (1 + 3) / 60_000  # with a warm-up
    row = OTHERS["growth"]()
    found = [row["found"][key] for key in ("mean", "low", "high")]
    assert found + [row["core_minutes"]] == pytest.approx([*ends, minutes])
    assert row["budget"] == f"{len(GROWTH)} kinds of steps, 3 each"


def test_other_claims_are_as_their_studies_recorded():
    for study, pair, last in (
        ("dropout", "dropout_study/all_8_epochs dropout_study/none_8_epochs", 4_112),
        ("plateau", "plateau/rotary_rate_0.0005 plateau/learned_rate_0.001", 1_200),
    ):
        names = [f"{arm}_seed_{seed}.json" for arm in pair.split() for seed in range(3)]
        runs = [record.read(RECORDS / name) for name in names]
        values = [r.get("step_left") or r["validation"]["packed"]["loss"] for r in runs]
        agrees(OTHERS[study]()["found"], np.subtract(values[:3], values[3:]))
        ends = [e for run in runs for e in run["history"] if e["step"] == last]
        minutes = sum(e["seconds"] for e in ends) / 60
        assert 0.999 < OTHERS[study]()["core_minutes"] / minutes < 1.5  # some went on
    row = decide(Claim(6, "", "dropout", "same", margin=1.0), {}, COSTS)
    assert row["verdict"] == "holds"
    known, row = record.read(RECORDS / "knowledge.json"), OTHERS["knowledge"]()
    kinds = (known["bands"]["class"][kind] for kind in ("function words", "names"))
    words, names = (kind["accuracy"]["no_dropout"] for kind in kinds)
    for end, other in (("mean", "mean"), ("low", "high"), ("high", "low")):
        assert row["found"][end] == pytest.approx(100 * (words[end] - names[other]))
    assert row["core_minutes"] == pytest.approx(known["seconds"] * 2 / 60)


def test_the_summary_is_of_runs_and_names_what_is_missing(tmp_path, monkeypatch):
    seeds = WHOLE | {"words_10000": [0, 1], "small_static": [], "base": [10, 2, 1, 0]}
    summary = summed_up(tmp_path, monkeypatch, seeds)
    assert summary["arms"].keys() == seeds.keys() - {"small_static"}
    for arm, facts in summary["arms"].items():
        runs = [fake_run(arm, seed)["curve"] for seed in sorted(seeds[arm])]
        assert facts["curves"] == [[entry["loss"] for entry in run] for run in runs]
        assert facts["seeds"] == sorted(seeds[arm])
        assert facts["steps"] == [entry["step"] for entry in runs[0]]
        assert ("shared" in facts["readings"]) == (arm in VOCABULARIES)
    rows = zip(summary["claims"], lessons_table(summary).splitlines()[2:], strict=True)
    for row, line in (each for each in rows if "arm" in each[0]):
        arms = [*dict.fromkeys((row["arm"], row["reference"], *(row["apart"] or ())))]
        shared = sorted(set.intersection(*({*seeds[arm]} for arm in arms)))
        read, signs = readings(COSTS)[row["reading"]], [1, -1, -1, 1][: len(arms)]
        if shared:
            values = [[read(fake_run(arm, seed)) for seed in shared] for arm in arms]
            agrees(row["found"], np.array(signs) @ values)
        said = verdict(row["found"], row["expected"], row["margin"])
        if len(shared) < 3:
            said += f": `python -m studies.lessons --arms {' '.join(arms)}`"
        each = [ARMS[arm].steps * COSTS["arms"][arm]["seconds"][1] for arm in arms]
        _, text, told, *_, spent, devices = line[2:-2].split(" | ")
        assert (text, told, spent) == (row["text"], said, f"{6 * sum(each) / 60:.0f}")
        assert devices == ", ".join(sorted(f"machine {seed}" for seed in shared))


def test_core_minutes_count_the_threads_of_each_timing():
    added = {"seconds": [0, 0.3, 0], "hardware": {"threads": 8}}
    arms = {"base": {"seconds": [0, 0.6, 0]}, "untied": added}
    costs = {"hardware": {"threads": 2}, "arms": arms}
    assert step_minutes(["base", "untied"], 3, costs) == pytest.approx(30 + 60)


def test_a_claim_is_a_line():
    ends = {"n": 3, "mean": -0.12345, "low": -0.3, "high": 0.1}
    row = {"lesson": 2, "text": "So.", "verdict": "open", "found": ends, "unit": "nats"}
    row |= {"budget": "9 steps", "core_minutes": 61.6, "hardware": ["A", "B"]}
    other = {"lesson": None, "unit": "points", "found": ends | {"n": None, "low": 4.94}}
    steps = {"unit": "steps", "found": {"n": 1, "mean": 0, "low": None}, "lesson": 7}
    none = {"verdict": "unfinished", "command": "do", "found": {"n": 2, "mean": None}}
    summary = {"claims": [row, row | other, row | steps, row | none]}
    lines = [
        "| 2 | So. | open | -0.123 (-0.300 to +0.100) nats | 3 | 9 steps | 62 | A, B |",
        "|  | So. | open | -0.1 (+4.9 to +0.1) points |  | 9 steps | 62 | A, B |",
        "| 7 | So. | open | +0 steps | 1 of 3 | 9 steps | 62 | A, B |",
        "| 2 | So. | unfinished: `do` |  | 2 of 3 | 9 steps | 62 | A, B |",
    ]
    assert lessons_table(summary).splitlines()[1:] == ["|" + " --- |" * 8, *lines]
    first = "* *So.* **open**: -0.123 (-0.300 to +0.100) nats"
    assert lesson_lines(summary, 2) == f"{first}\n* *So.* **unfinished: `do`**"
    parts = {"mean": -33.4, "low": -40.2, "high": -26.6}
    parts |= {"written": {"equal_at": 320.04}, "fused": {"equal_at": 1_860}}
    row |= {"lesson": 1, "found": parts}
    text = "17 % (10 to 23 %) of a step; half of it from 320 positions on "
    assert effect_text(row) == text + "(fused: 1,860)"
    own = {"found": {"n": 3, "mean": 0.5, "low": 0.25, "high": 0.75}, "unit": "%"}
    assert effect_text(row | own) == "+0.50 (+0.25 to +0.75) %"


def drawn(axes, order: int = 1) -> dict[str, list]:
    """By marker all points, as value and place, and the two ends of each interval."""
    found = {}
    for line in axes.lines:
        pairs = zip(*line.get_data()[::order], strict=True)
        found.setdefault(line.get_marker(), []).extend(pairs)
    ends = [end for lines in axes.collections for end in lines.get_segments()]
    found["|"] = [(*at[::order],) for pair in ends for at in pair]
    return {mark: found.get(mark, []) for mark in "os.|"}


def points(found: list[dict], places=None, mark: str = "o") -> dict[str, list]:
    pairs = [*zip(found, places or range(len(found)), strict=True)]
    ends = [(f[k], at) for f, at in pairs if f["n"] > 1 for k in ("low", "high")]
    means = {"o": [], "s": []} | {mark: [(f["mean"], at) for f, at in pairs]}
    return means | {".": [(v, at) for f, at in pairs for v in f["values"]], "|": ends}


@pytest.mark.parametrize("seeds", [WHOLE, ONE, SOME])
def test_figures_show_what_the_summary_holds(tmp_path, monkeypatch, seeds):
    def read(arms, key: str) -> list[dict]:
        return [kept[arm]["readings"][key] for arm in arms if arm in kept]

    summary = summed_up(tmp_path, monkeypatch, seeds)
    kept, alone = summary["arms"], {"untied": summary["arms"]["untied"]}
    assert [*drawable(summary | {"arms": alone})] == ["tying", "effects"]
    panels = {k[7:-4]: figure.axes for k, figure in lessons.figures(summary).items()}
    padding, asked, losses = panels["layout"]
    costs = [COSTS["arms"][arm] for arm in LAYOUTS if arm in kept]
    widths = [[bar.get_width() for bar in axes.patches] for axes in (padding, asked)]
    assert widths[0] == [100 * cost["padding"] for cost in costs]
    assert widths[1] == [cost["asked"] / cost["seconds"][1] for cost in costs]
    assert drawn(losses) == points(read(LAYOUTS, AT_TIME))
    for axes, key in zip(panels["vocabulary"], ("shared", "bits", "rare"), strict=True):
        assert drawn(axes) == points(read(VOCABULARIES, key))
    held = [*axes.lines[-3].get_xdata()]
    assert held == [each["mean"] for each in read(VOCABULARIES, "held")]
    for axes, (factor, sizes) in zip(panels["size"], SIZES.items(), strict=True):
        arms = {("base" if n == sizes[2] else f"{factor}_{n}"): n for n in sizes}
        own = [n for arm, n in arms.items() if arm in kept]
        steps = points(read(arms, AT_STEPS), [0.97 * n for n in own])
        time = points(read(arms, AT_TIME), [1.03 * n for n in own], "s")
        assert drawn(axes, -1) == {mark: steps[mark] + time[mark] for mark in steps}
        assert (axes.get_xlabel(), [*axes.get_xticks()]) == (factor, own)
    left, right = panels["mask"]
    shares = [share for arm, share in SHARES.items() if arm in kept]
    assert drawn(left, -1) == points(read(SHARES, "loss"), shares)
    assert drawn(right) == points(read(["base", "all_hidden", "pack_64"], "loss"))
    for axes, names in zip(panels["tying"], TIED.values(), strict=True):
        pairs = {}
        for arm in (arm for arm in names if arm in kept):
            losses = kept[arm]["readings"]["loss"]["values"]
            for seed, loss in zip(kept[arm]["seeds"], losses, strict=True):
                pairs.setdefault(seed, []).append((names.index(arm), loss))
        lines = [[*zip(*line.get_data(), strict=True)] for line in axes.lines]
        assert lines == [*pairs.values()]
        assert [t.get_text() for t in axes.texts] == [f"seed {seed}" for seed in pairs]
        assert [t.xy for t in axes.texts] == [pair[-1] for pair in pairs.values()]
    spans = [np.ptp(axes.get_ylim()) for axes in panels["tying"]]
    assert spans[0] == pytest.approx(spans[1])
    (axes,), lowest = panels["small"], []
    lines = [[*map(list, line.get_data())] for line in axes.lines]
    labels = [line.get_label() for line in axes.lines]
    for arm in (arm for arm in SMALL if arm in kept):
        steps, curves = (kept[arm][key] for key in ("steps", "curves"))
        assert SMALL[arm] in labels and len(curves) == len(seeds[arm])
        for losses in curves:
            assert [steps, losses] in lines
            lowest.append((min(losses), steps[np.argmin(losses)]))
    assert drawn(axes, -1)["o"] == lowest
    assert axes.lines[-1].get_ydata()[0] == summary["references"]["unigram"]["loss"]
    (axes,), colors = panels["effects"], {"holds": GREEN, "does not hold": ORANGE}
    rows = [r for r in summary["claims"] if r["unit"] == "nats" and r["found"]["n"]]
    assert drawn(axes) == points([row["found"] for row in rows])
    labels = [label.get_text().replace("\n", " ") for label in axes.get_yticklabels()]
    assert labels == [row["text"] for row in rows]
    told = [line.get_color() for line in axes.lines if line.get_marker() == "o"]
    assert told[: len(rows)] == [colors.get(r["verdict"], QUIET) for r in rows]
    bars = [(-row["margin"], 2 * row["margin"]) for row in rows if row["margin"]]
    assert [(bar.get_x(), bar.get_width()) for bar in axes.patches] == bars
    (left, right), fit = panels["length"], OTHERS["growth"]()["found"]["written"]
    _, whole, grown, _, cross = left.lines[:5]
    assert drawn(right)["o"] == [(r["max_length"], r["peak_mb"]) for r in GROWTH[::2]]
    assert cross.get_data() == ([fit["equal_at"]], [fit["constant_ms"]])
    assert [*whole.get_ydata()] == [fit["constant_ms"] + ms for ms in grown.get_ydata()]


def test_a_summary_trains_nothing(tmp_path, monkeypatch, capsys):
    summary, spies = summed_up(tmp_path, monkeypatch, WHOLE), Mock(ROOT=tmp_path)
    spies.untimed.return_value = []
    for name in ("make", "measure", "untimed", "require_wikitext", "ROOT"):
        monkeypatch.setattr(lessons, name, getattr(spies, name))
    (tmp_path / "plots").mkdir()
    lessons.main(["--summary"])
    spies.require_wikitext.assert_not_called()
    assert capsys.readouterr().out == lessons_table(summary) + "\n"
    kinds = "length layout vocabulary size tying small mask effects".split()
    found = {p.name: p.read_bytes()[:4] for p in (tmp_path / "plots").iterdir()}
    assert found == {f"lesson_{kind}.png": b"\x89PNG" for kind in kinds}
    given = "--arms untied base --seeds 2 --processes 3".split()
    spies.require_wikitext.side_effect = ValueError("another text")
    with pytest.raises(SystemExit):
        lessons.main(given)
    spies.require_wikitext.side_effect = None
    lessons.main(given)
    spies.make.assert_called_once_with([("untied", 2), ("base", 2)], 3)
    spies.measure.assert_not_called()
    spies.untimed.return_value = ["untied"]
    lessons.main(given)
    spies.measure.assert_called_once_with(["untied"])
    with pytest.raises(SystemExit) as ended:
        lessons.main(["--summary"])
    assert ended.value.code == 1 and "untied" in capsys.readouterr().err


RUNS = """
import signal, sys, time
from pathlib import Path
from studies.lessons import __main__ as lessons

def run(name, seed):
    if name == "fails":
        raise ValueError("another design")
    Path(name + ".begun").touch()
    time.sleep(3)
    Path(name).touch()
    return {"arm": name, "seed": seed, "validation": {"loss": 1}}

if __name__ == "__main__":
    # A shell may have its background jobs ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    lessons.run = run
    lessons.make([(name, 0) for name in sys.argv[1].split()], 1)
"""


def begin(folder, names: str):
    """Starts a command whose runs leave files and take three seconds each."""
    (folder / "runs.py").write_text(RUNS, "utf-8")
    found = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "runs.py", names],
        cwd=folder,
        env=os.environ | found,
        start_new_session=True,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_a_run_that_fails_ends_the_command(tmp_path):
    command = begin(tmp_path, "fails a b c d e")
    assert "another design" in command.communicate(timeout=90)[1]
    assert command.returncode and [*tmp_path.glob("?")] == []


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C goes to a group of processes")
def test_ctrl_c_ends_the_command(tmp_path):
    command = begin(tmp_path, "a b c d")
    while not (tmp_path / "b.begun").exists():
        assert command.poll() is None
        time.sleep(0.05)
    os.killpg(command.pid, signal.SIGINT)
    command.communicate(timeout=60)
    made = {path.name for path in tmp_path.glob("?")}
    assert command.returncode and made == {"a"}


def test_committed_records_are_of_their_arms(tmp_path, monkeypatch):
    kept, runs, texts = RECORDS / "lessons.json", RECORDS / "lessons", set()
    if not (kept.exists() and runs.exists()):
        pytest.skip("The lessons are still to be run")
    monkeypatch.setattr(lesson_runs, "digest", lambda *_: None)
    for path in runs.glob("*_seed_*.json"):
        run = record.read(path)
        wanted = lesson_runs.wanted(run["arm"], run["seed"]) | {"text": run["text"]}
        record.require_same(path, run, wanted)
        texts.add((run["design"]["pieces"], run["model"]["vocab_size"], run["text"]))
    assert len(texts) == len({text[:2] for text in texts})  # one a tokenizer
    monkeypatch.setattr("studies.lessons.summary.SUMMARY", tmp_path / kept.name)
    summarise()
    rounded = {"parse_float": lambda number: round(float(number), 6)}
    both = [
        json.loads(p.read_text("utf-8"), **rounded)
        for p in (tmp_path / kept.name, kept)
    ]
    assert both[0] == both[1]


def test_the_readme_has_the_table_of_the_records():
    table = lessons_table(record.read(RECORDS / "lessons.json"))
    assert table in (ROOT / "README.md").read_text("utf-8")
