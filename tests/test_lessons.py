"""The lessons' numbers, tables and figures, held against those by hand."""

import shutil
from dataclasses import asdict, replace

import numpy as np
import pytest

from helpers.figure import QUIET
from helpers.record import read_record, write_record
from studies.lab.figures import BLUE, ORANGE
from studies.lessons import costs, figures, study
from studies.lessons.arms import ARMS, MASK_RATES, VOCABULARIES
from studies.lessons.claims import LESSONS, TYING_PAIRS
from studies.lessons.readings import AT_STEPS, AT_TIME, READINGS
from studies.lessons.study import STUDY, lesson_effect, lesson_row
from studies.speed import scaling
from studies.speed.scaling import fit_scaling, scaling_times

LENGTHS = scaling.STUDY.read()
COSTS = read_record(costs.COSTS)
RESULTS = STUDY.results()


def test_readings_by_hand():
    """500 steps of the base are 1,250 of an arm whose steps take 0.4 of the time."""
    ratio = COSTS["arms"]["layers_2"]["ratio"][1]
    curve = [{"step": n, "loss": np.log(n)} for n in (100, 1_000, 2_000)]
    run = {"arm": "layers_2", "curve": curve, "alone": {"loss": 4.1}}
    run |= {"validation": {"loss": 3.7}, "validation_unread": {"loss": 3.9}}
    kinds = {"shared": {"right": 0.4, "bits": 1.2}, "rare": {"right": 0.1, "held": 0.3}}
    expected = {"loss": 3.7, AT_STEPS: np.log(500), AT_TIME: np.log(500 / ratio)}
    expected |= {"best loss": np.log(100), "best minus last": -np.log(20)}
    expected |= {"unread": 3.9, "loss on lone sentences": 4.1, "shared": 40}
    expected |= {"rare": 10, "held": 30, "bits": 1.2}
    values = {name: read(run | {"asked": kinds}) for name, read in READINGS.items()}
    assert values == pytest.approx(expected)


def test_the_records_are_of_their_arms_and_each_tokenizer_of_one_text():
    texts = {
        (arm.pieces, arm.model_config.vocab_size, run["text"])
        for name, arm in ARMS.items()
        for run in RESULTS.runs[name].values()
    }
    assert len(texts) == len({text[:2] for text in texts})
    five = "base pad_64 pad_128 layers_2 rate_15 small_fresh untied pieces_8000".split()
    five.append("words_10000")
    for name, runs in RESULTS.runs.items():
        assert [*runs] == [*range(5 if name in five else 3)]


def test_what_a_claim_costs_counts_the_threads_of_each_timing(tmp_path, monkeypatch):
    added = {"seconds": [0, 0.3, 0], "hardware": {"threads": 8}}
    arms = {"base": {"seconds": [0, 0.6, 0]}, "untied": added}
    path = tmp_path / "costs.json"
    write_record(path, {"hardware": {"threads": 2}, "arms": arms})
    monkeypatch.setattr(study, "COSTS", path)
    run = {"validation": {"loss": 3.0}}
    runs = {"base": {0: run | {"hardware": {"device": "A"}}}}
    runs["untied"] = {0: run | {"hardware": {"device": "B"}}}
    row = lesson_row(study.StudyResults(STUDY, runs), LESSONS[5][0])
    assert row["core_minutes"] == pytest.approx(30 + 60)
    assert (row["budget"], row["hardware"]) == ("500 steps", ["A", "B"])


def test_a_claim_is_a_line():
    interval = {"n": 3, "mean": -0.12345, "low": -0.3, "high": 0.1}
    row = {"interval": interval, "unit": "nats"}
    assert lesson_effect(row) == "-0.123 (-0.300 to +0.100) nats"
    assert lesson_effect(row | {"unit": "%"}) == "-0.12 (-0.30 to +0.10) %"
    one = {"n": 1, "mean": 0, "low": None, "high": None}
    assert lesson_effect({"interval": one, "unit": "steps"}) == "+0 steps"
    lines = study.lesson_lines(RESULTS, None)
    text = "A learning rate that falls to 0 beats a constant rate of half its peak."
    assert lines == (f"* Exploratory: *{text}* **open** -0.110 (-0.180 to -0.041) nats")


def test_the_length_claim_is_a_fit_of_relative_errors():
    made = [{"max_length": n, "ms": 80 + n / 2, "fused": True} for n in (64, 96, 512)]
    made += [{"max_length": 63, "ms": 900, "fused": True}, {"ms": 9, "fused": True}]
    made += [{"max_length": 64, "ms": 900, "fused": False}]
    parts = [*fit_scaling({"growth": made}, "fused").values()]
    assert parts == pytest.approx([80, 0.5, 160, 32 / 112, 0], abs=1e-9)


def dots(figure, order: int = 1) -> list:
    """The single values in a figure, in order; `order` is -1 where they are upright."""
    lines = (line for axes in figure.axes for line in axes.lines)
    faint = [line.get_data()[::order][0] for line in lines if line.get_marker() == "."]
    return [value for values in faint for value in values]


def test_figures_show_the_values_that_were_read():
    def values(arms, *readings: str) -> list:
        each = [RESULTS.readings[arm][name] for name in readings for arm in arms]
        return [value for interval in each for value in interval["values"]]

    figure, arms = figures.lesson_layout_figure(RESULTS), []
    ways = {name: layout for layout, name in figures.LAYOUTS.items()}
    for label in figure.axes[0].get_yticklabels():
        way, rows = label.get_text().rsplit(", ", 1)
        arms.append(f"{ways[way]}_{rows}")
    assert dots(figure) == values(arms, AT_TIME)
    padding, pace, _ = figure.axes
    timed = [COSTS["arms"][arm] for arm in arms]
    widths = [[bar.get_width() for bar in axes.patches] for axes in (padding, pace)]
    assert widths[0] == [100 * cost["padding"] for cost in timed]
    assert widths[1] == [cost["asked"] / cost["seconds"][1] for cost in timed]
    shown = dots(figures.lesson_vocabulary_figure(RESULTS))
    assert shown == values(VOCABULARIES, "shared", "bits", "rare")
    sizes = [[*arms.values()] for arms in figures.SIZES.values()]
    shown = sum((values(arms, AT_STEPS, AT_TIME) for arms in sizes), [])
    assert dots(figures.lesson_size_figure(RESULTS), -1) == shown
    left, right = values(MASK_RATES.values(), "loss"), values(figures.MASK_WAYS, "loss")
    shown = figures.lesson_masks_figure(RESULTS)
    assert (dots(shown, -1)[: len(left)], dots(shown)[len(left) :]) == (left, right)
    for axes, arms in zip(
        figures.lesson_tying_figure(RESULTS).axes, TYING_PAIRS.values(), strict=True
    ):
        pairs = [*zip(*(values([arm], "loss") for arm in arms), strict=False)]
        assert [(*line.get_ydata(),) for line in axes.lines] == pairs
        assert [text.xy for text in axes.texts] == [(1, pair[1]) for pair in pairs]


def test_what_figures_call_an_arm_is_what_it_is():
    for factor, arms in figures.SIZES.items():
        for n, arm in arms.items():
            sizes = asdict(ARMS[arm].model_config)
            assert sizes.get(factor, sizes.get(f"n_{factor}")) == n
    for percent, arm in MASK_RATES.items():
        assert ARMS[arm].train_config(0).mask_rate == percent / 100
    for arm, name in VOCABULARIES.items():
        assert name.startswith(f"{ARMS[arm].model_config.vocab_size:,}")
        assert name.endswith("byte pairs" if ARMS[arm].pieces else "words")


def test_a_dot_marks_what_early_stopping_keeps():
    (axes,), lowest = figures.lesson_small_figure(RESULTS).axes, []
    for arm in figures.SMALL_LOOKS:
        for run in RESULTS.runs[arm].values():
            loss, step = min((entry["loss"], entry["step"]) for entry in run["curve"])
            lowest.append((step, loss))
    marked = [line.get_data() for line in axes.lines if line.get_marker() == "o"]
    assert [(*x, *y) for x, y in marked] == lowest


def test_the_figure_of_effects_names_both_sides_on_one_scale():
    axes, told = figures.lesson_effects_figure(RESULTS).axes[0], {}
    rows = [row for row in RESULTS.claims if row["sides"]]
    assert {row["unit"] for row in rows} == {"nats"}
    near = [r["interval"] for r in rows if abs(r["interval"]["mean"]) < 0.4]
    for line in axes.lines:
        look = line.get_xdata()[0], line.get_color()
        told.setdefault(line.get_marker(), []).append(look)
    colors = [
        BLUE if one["high"] < 0 else ORANGE if one["low"] > 0 else QUIET for one in near
    ]
    means = [one["mean"] for one in near]
    assert told["o"] == [*zip(means, colors, strict=True)] and QUIET in colors
    far = [text.get_text() for text in axes.texts]
    assert far == ["−1.23", "−3.26"] and len(told["<"]) == 2 == len(rows) - len(near)
    named = axes.get_yticklabels(), axes.child_axes[0].get_yticklabels()
    sides = zip(*([label.get_text() for label in side] for side in named), strict=True)
    assert [*sides] == [row["sides"] for row in rows]
    assert axes.get_xlim() == (-0.4, 0.4)
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.05, 0.1))


def test_the_length_figure_takes_a_step_apart():
    left, right = figures.lesson_length_figure(LENGTHS).axes
    parts, lines = fit_scaling(LENGTHS, "written"), left.lines[:5]
    _, whole, grown, constant, equal = (line.get_ydata() for line in lines)
    assert lines[4].get_xdata() == [parts["equal_at"]]
    assert equal[0] == constant[0] == parts["constant_ms"]
    assert [*whole] == [constant[0] + ms for ms in grown]
    peaks = [row["peak_mb"] for row in scaling_times(LENGTHS, "written")]
    assert [*right.lines[0].get_ydata()] == peaks


def test_a_summary_trains_nothing_and_names_what_is_missing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("studies.lab.study.require_wikitext", None)
    monkeypatch.setattr("studies.lab.figures.ROOT", tmp_path)
    some = {arm: ARMS[arm] for pair in TYING_PAIRS.values() for arm in pair}
    few = replace(STUDY, folder=tmp_path, arms=some, claims=LESSONS[5])
    for name in ("base_seed_0", "base_seed_1", "untied_seed_1", "untied_seed_2"):
        shutil.copy(STUDY.folder / f"{name}.json", tmp_path)
    monkeypatch.setattr(study, "LESSONS", {5: LESSONS[5]})
    few.main(["--summary"])
    said = capsys.readouterr().out
    assert "unfinished: `python -m studies.lessons --arms base untied` |" in said
    assert "| 1 of 3 | 500 steps |" in said and "| 0 of 3 |" in said
    assert "lesson_size.png is not drawn: there are no runs of 'layers_1'" in said
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"lesson_length.png", "lesson_tying.png", "lesson_effects.png"}
