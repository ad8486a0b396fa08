"""The lessons' numbers, tables and figures, held against those by hand."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats

from helpers import ROOT, record
from helpers.figure import QUIET
from studies.lab.readings import Effect
from studies.lab.report import BLUE, ORANGE
from studies.lessons import (
    costs,
    knowledge,
    layout,
    length,
    masks,
    size,
    small,
    study,
    tying,
    vocabulary,
)
from studies.lessons.readings import AT_STEPS, AT_TIME, READINGS
from studies.lessons.study import ARMS, STUDY, claim_row, effect_text

RECORDS = ROOT / "plots" / "records"
GROWTH = record.read(length.GROWTH)
COSTS = record.read(costs.COSTS)
BETTER = """pad_64 pad_64 pack_64 pack_64 pad_64 bucket_64 base pieces_8000 read_10000
layers_2 d_model_128 small_dropout small_fresh small_static small_fresh rate_15 base
falling"""


@pytest.fixture(scope="module")
def results():
    """The lessons as they were recorded."""
    return STUDY.results()


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


def test_the_records_are_of_their_arms_and_each_tokenizer_of_one_text(results):
    texts = {
        (arm.pieces, arm.model_config.vocab_size, run["text"])
        for name, arm in ARMS.items()
        for run in results.runs[name].values()
    }
    assert len(texts) == len({text[:2] for text in texts})
    assert all([*runs] == [0, 1, 2] for runs in results.runs.values())


def test_claims_say_which_arm_is_better():
    better, first, used = [], [], {*layout.ARMS, *vocabulary.ARMS, *masks.ARMS}
    for claim in (claim for claim in STUDY.claims if isinstance(claim.effect, Effect)):
        effect, points = claim.effect, claim.effect.reading in ("shared", "rare")
        assert claim.unit == ("points" if points else "nats")
        assert points or claim.expected != "above"  # left of zero the first is better
        if claim.expected == "same":
            first.append(effect.arm)
        else:
            better.append(effect.arms[(claim.expected == "above") != points])
        used |= {*effect.arms}
    used |= {arm for arms in size.SIZES.values() for arm in arms.values()}
    assert first == "pieces_8000 heads_1 base words_10000".split()
    assert better == BETTER.split() and used >= ARMS.keys()


def test_what_a_claim_costs_counts_the_threads_of_each_timing(tmp_path, monkeypatch):
    added = {"seconds": [0, 0.3, 0], "hardware": {"threads": 8}}
    arms = {"base": {"seconds": [0, 0.6, 0]}, "untied": added}
    path = tmp_path / "costs.json"
    record.write(path, {"hardware": {"threads": 2}, "arms": arms})
    monkeypatch.setattr(study, "COSTS", path)
    run = {"validation": {"loss": 3.0}}
    runs = {"base": {0: run | {"hardware": {"device": "A"}}}}
    runs["untied"] = {0: run | {"hardware": {"device": "B"}}}
    row = claim_row(study.Results(STUDY, runs), tying.CLAIMS[0])
    assert row["core_minutes"] == pytest.approx(30 + 60)
    assert (row["budget"], row["hardware"]) == ("500 steps", ["A", "B"])


def test_a_claim_is_a_line(results):
    interval = {"n": 3, "mean": -0.12345, "low": -0.3, "high": 0.1}
    row = {"interval": interval, "unit": "nats"}
    assert effect_text(row) == "-0.123 (-0.300 to +0.100) nats"
    assert effect_text(row | {"unit": "%"}) == "-0.12 (-0.30 to +0.10) %"
    one = {"n": 1, "mean": 0, "low": None, "high": None}
    assert effect_text({"interval": one, "unit": "steps"}) == "+0 steps"
    lines = study.lesson_lines(results, None)
    text = "A learning rate that falls to 0 beats a constant one of half its peak."
    assert lines == (f"* Exploratory: *{text}* **open** -0.110 (-0.180 to -0.041) nats")


def test_the_length_claim_is_a_fit_of_relative_errors():
    made = [{"max_length": n, "ms": 80 + n / 2, "fused": True} for n in (64, 96, 512)]
    made += [{"max_length": 63, "ms": 900, "fused": True}, {"ms": 9, "fused": True}]
    made += [{"max_length": 64, "ms": 900, "fused": False}]
    parts = [*length.fit({"growth": made}, "fused").values()]
    assert parts == pytest.approx([80, 0.5, 160, 32 / 112, 0], abs=1e-9)
    steps = GROWTH["growth"][: 2 * 8]  # forms, lengths
    n, ms = np.array([(r["max_length"], r["ms"]) for r in steps[4::2]]).T
    a, b = np.linalg.lstsq(np.stack([1 / ms, n / ms], 1), n / n, rcond=None)[0]
    share, error = 64 * b / (a + 64 * b), max(abs((a + b * n) / ms - 1))
    ends = [100 * x - 50 for x in (share, share - error, share + error)]
    minutes = 2 * sum(r["ms"] for r in steps) * (1 + 3) / 60_000  # with a warm-up
    row = length.growing_part()
    assert [*row["interval"].values(), row["core_minutes"]] == pytest.approx(
        [*ends, minutes]
    )
    assert row["budget"] == "16 kinds of steps, 3 each"


@pytest.mark.parametrize(
    "claimed, folder, arms, last",
    [
        (small.on_the_whole_text, "dropout_study", "all none", 4_112),
        (masks.end_of_the_collapse, "plateau", "rotary learned", 1_200),
    ],
)
def test_claims_of_other_studies_are_as_those_recorded(claimed, folder, arms, last):
    kinds = {"all": "all_8_epochs", "none": "none_8_epochs"}
    kinds |= {"rotary": "rotary_rate_0.0005", "learned": "learned_rate_0.001"}
    names = [
        f"{kinds[arm]}_seed_{seed}.json" for arm in arms.split() for seed in (0, 1, 2)
    ]
    runs = [record.read(RECORDS / folder / name) for name in names]
    values = [r.get("step_left") or r["validation"]["packed"]["loss"] for r in runs]
    minus = np.subtract(values[:3], values[3:])
    row, mean = claimed(), minus.mean()
    ends = stats.t.interval(0.95, 2, mean, stats.sem(minus))
    told = [row["interval"][key] for key in ("mean", "low", "high")]
    assert told == pytest.approx([mean, *ends])
    ends = [e for run in runs for e in run["history"] if e["step"] == last]
    minutes = sum(e["seconds"] for e in ends) / 60
    assert 0.999 < row["core_minutes"] / minutes < 1.5  # some runs went on


def test_grammar_and_facts_are_as_recorded():
    recorded, row = (
        record.read(RECORDS / "knowledge.json"),
        knowledge.CLAIMS[0].effect(),
    )
    kinds = (recorded["bands"]["class"][kind] for kind in ("function words", "names"))
    words, names = (kind["accuracy"]["no_dropout"] for kind in kinds)
    for end, other in (("mean", "mean"), ("low", "high"), ("high", "low")):
        assert row["interval"][end] == pytest.approx(100 * (words[end] - names[other]))
    assert row["core_minutes"] == pytest.approx(recorded["seconds"] * 2 / 60)


def dots(figure, order: int = 1) -> list:
    """The single values in a figure, in order; `order` is -1 where they are upright."""
    lines = (line for axes in figure.axes for line in axes.lines)
    faint = [line.get_data()[::order][0] for line in lines if line.get_marker() == "."]
    return [value for values in faint for value in values]


def test_figures_show_the_values_that_were_read(results):
    def values(arms, *readings: str) -> list:
        each = [results.readings[arm][name] for name in readings for arm in arms]
        return [value for interval in each for value in interval["values"]]

    figure, arms = layout.figure(results), []
    for label in figure.axes[0].get_yticklabels():
        way, rows = label.get_text().rsplit(", ", 1)
        arms += [f"{key}_{rows}" for key, name in layout.NAMES.items() if name == way]
    assert dots(figure) == values(arms, AT_TIME)
    padding, pace, _ = figure.axes
    timed = [COSTS["arms"][arm] for arm in arms]
    widths = [[bar.get_width() for bar in axes.patches] for axes in (padding, pace)]
    assert widths[0] == [100 * cost["padding"] for cost in timed]
    assert widths[1] == [cost["asked"] / cost["seconds"][1] for cost in timed]
    shown = dots(vocabulary.figure(results))
    assert shown == values(vocabulary.NAMES, "shared", "bits", "rare")
    sizes = [[*arms.values()] for arms in size.SIZES.values()]
    shown = sum((values(arms, AT_STEPS, AT_TIME) for arms in sizes), [])
    assert dots(size.figure(results), -1) == shown
    left, right = values(masks.RATES.values(), "loss"), values(masks.WAYS, "loss")
    shown = masks.figure(results)
    assert (dots(shown, -1)[: len(left)], dots(shown)[len(left) :]) == (left, right)
    for axes, arms in zip(
        tying.figure(results).axes, tying.PAIRS.values(), strict=True
    ):
        pairs = [*zip(*(values([arm], "loss") for arm in arms), strict=True)]
        assert [(*line.get_ydata(),) for line in axes.lines] == pairs
        assert [text.xy for text in axes.texts] == [(1, pair[1]) for pair in pairs]


def test_what_figures_call_an_arm_is_what_it_is():
    for factor, arms in size.SIZES.items():
        for n, arm in arms.items():
            sizes = asdict(ARMS[arm].model_config)
            assert sizes.get(factor, sizes.get(f"n_{factor}")) == n
    for percent, arm in masks.RATES.items():
        assert ARMS[arm].train_config(0).mask_rate == percent / 100
    for arm, name in vocabulary.NAMES.items():
        assert name.startswith(f"{ARMS[arm].model_config.vocab_size:,}")
        assert name.endswith("byte pairs" if ARMS[arm].pieces else "words")


def test_a_dot_marks_what_early_stopping_keeps(results):
    (axes,), lowest = small.figure(results).axes, []
    for arm in small.LOOKS:
        for run in results.runs[arm].values():
            loss, step = min((entry["loss"], entry["step"]) for entry in run["curve"])
            lowest.append((step, loss))
    marked = [line.get_data() for line in axes.lines if line.get_marker() == "o"]
    assert [(*x, *y) for x, y in marked] == lowest


def test_each_lesson_has_a_primary_claim(results):
    for lesson, module in study.LESSONS.items():
        primary = [claim for claim in module.CLAIMS if claim.primary]
        assert len(primary) == (2 if lesson in (3, 6) else lesson is not None)
    verdicts = [row["verdict"] for row in results.claims if row["primary"]]
    assert [verdicts.count(v) for v in ("holds", "does not hold", "open")] == [5, 5, 0]


def test_the_figure_of_effects_names_both_sides_on_one_scale(results):
    axes, told = study.effects_figure(results).axes[0], {}
    rows = [row for row in results.claims if row["sides"]]
    assert {row["unit"] for row in rows} == {"nats"}
    intervals = [row["interval"] for row in rows]
    near = [interval for interval in intervals if abs(interval["mean"]) < 0.4]
    for line in axes.lines:
        told.setdefault(line.get_marker(), []).append(line)
    means = [line.get_xdata()[0] for line in told["o"]]
    assert means == [interval["mean"] for interval in near]
    colors = [line.get_color() for line in told["o"]]
    assert colors == [
        BLUE if one["high"] < 0 else ORANGE if one["low"] > 0 else QUIET for one in near
    ]
    far = [text.get_text() for text in axes.texts]
    assert far == ["−1.23", "−3.26"] and len(told["<"]) == 2 == len(rows) - len(near)
    left = [label.get_text() for label in axes.get_yticklabels()]
    (other,) = axes.child_axes
    right = [label.get_text() for label in other.get_yticklabels()]
    assert [*zip(left, right, strict=True)] == [row["sides"] for row in rows]
    low, high = axes.get_xlim()
    assert low == -high and axes.get_xscale() == "linear"
    (band,) = axes.patches
    assert (band.get_x(), band.get_width()) == pytest.approx((-0.05, 0.1))


def test_the_length_figure_takes_a_step_apart():
    left, right = length.figure(GROWTH).axes
    parts, lines = length.fit(GROWTH, "written"), left.lines[:5]
    _, whole, grown, constant, equal = (line.get_ydata() for line in lines)
    assert lines[4].get_xdata() == [parts["equal_at"]]
    assert equal[0] == constant[0] == parts["constant_ms"]
    assert [*whole] == [constant[0] + ms for ms in grown]
    peaks = [row["peak_mb"] for row in length.timed(GROWTH, "written")]
    assert [*right.lines[0].get_ydata()] == peaks


def test_a_summary_trains_nothing_and_names_what_is_missing(
    results, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("studies.lab.study.require_wikitext", None)
    monkeypatch.setattr("studies.lab.report.ROOT", tmp_path)
    some = {arm: ARMS[arm] for pair in tying.PAIRS.values() for arm in pair}
    few = replace(STUDY, folder=tmp_path, arms=some, claims=tying.CLAIMS)
    for name in ("base_seed_0", "base_seed_1", "untied_seed_1", "untied_seed_2"):
        record.write(
            tmp_path / f"{name}.json", record.read(STUDY.folder / f"{name}.json")
        )
    monkeypatch.setattr(study, "LESSONS", {5: tying})
    few.main(["--summary"])
    said = capsys.readouterr().out
    assert "unfinished: `python -m studies.lessons --arms base untied` |" in said
    assert "| 1 of 3 | 500 steps |" in said and "| 0 of 3 |" in said
    assert "lesson_size.png is not drawn: there are no runs of 'layers_1'" in said
    drawn = {path.name for path in (tmp_path / "plots").iterdir()}
    assert drawn == {"lesson_length.png", "lesson_tying.png", "lesson_effects.png"}
    changed = {"base": replace(ARMS["base"], steps=7)}
    with pytest.raises(SystemExit):
        replace(few, arms=changed, claims=()).main(["--summary"])
    assert "No step times of base: leave out --summary" in capsys.readouterr().err


def test_arms_that_were_not_timed_are_timed_beside_the_base(monkeypatch):
    timed = []
    monkeypatch.setattr(study.Study, "make_missing", lambda *_: None)
    monkeypatch.setattr(study, "measure", lambda *names: timed.append(names))
    STUDY.make_missing(["base"], [0])
    changed = replace(ARMS["untied"], steps=7)
    replace(STUDY, arms=ARMS | {"untied": changed}).make_missing(["base"], [0])
    assert timed == [({"untied": changed}, ARMS["base"])]
