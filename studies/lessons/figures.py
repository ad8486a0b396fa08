"""The figures of the lessons, one for each and one of all claims."""

import math

from helpers.figure import QUIET, reference_loss_lines
from helpers.record import read_record
from studies import dropout
from studies.lab.claims import SMALLEST, Effect
from studies.lab.figures import (
    BLUE,
    GREEN,
    ORANGE,
    draw_interval_columns,
    draw_interval_rows,
    figure_of,
    label_rows,
    note_point,
)
from studies.lab.study import StudyResults
from studies.lessons.arms import MASK_RATES, VOCABULARIES
from studies.lessons.claims import TYING_PAIRS
from studies.lessons.costs import COSTS
from studies.lessons.readings import AT_STEPS, AT_TIME
from studies.speed.scaling import FROM, fit_scaling, scaling_times

LENGTH_LOOKS = {"written": (BLUE, "o", "written out"), "fused": (ORANGE, "s", "fused")}
LAYOUTS = {"pad": "one line per row", "bucket": "buckets", "pack": "packed"}
VOCABULARY_PANELS = {
    "shared": "6,000 frequent words, right (%)",
    "bits": "same words, bits per character",
    "rare": "1,500 rare words (%)",
}
SIZES = {
    "layers": {1: "layers_1", 2: "layers_2", 4: "base", 6: "layers_6"},
    "d_model": {64: "d_model_64", 128: "d_model_128", 256: "base", 384: "d_model_384"},
    "heads": {1: "heads_1", 4: "heads_4", 8: "base", 16: "heads_16"},
}
SIZE_LOOKS = {  # label, colour, style, and a shift, so that intervals lie side by side
    AT_STEPS: ("same steps", BLUE, "o-", 0.97),
    AT_TIME: ("same time", ORANGE, "s--", 1.03),
}
SMALL_LOOKS = {
    "small_static": ("the same masks", GREEN, "-."),
    "small_fresh": ("fresh masks", BLUE, "-"),
    "small_dropout": ("fresh masks, dropout", ORANGE, "--"),
}
MASK_WAYS = {
    "base": "80/10/10,\nfixed number",
    "all_hidden": "[MASK] only,\nfixed number",
    "pack_64": "80/10/10,\nindependent draws",
}


@figure_of(1, 2, size=(8.8, 3.6))
def lesson_length_figure(panels, growth: dict) -> None:
    """Time and memory of a step of as many tokens, by length; and the fit in parts."""
    left, right = panels
    for form, (color, mark, label) in LENGTH_LOOKS.items():
        rows, parts = scaling_times(growth, form), fit_scaling(growth, form)
        lengths = [row["max_length"] for row in rows]
        left.plot(lengths, [row["ms"] for row in rows], mark, color=color, label=label)
        right.plot(lengths, [row["peak_mb"] for row in rows], mark + "-", color=color)
        constant, fitted = parts["constant_ms"], [n for n in lengths if n >= FROM]
        grown = [parts["ms_a_position"] * n for n in fitted]
        left.plot(fitted, [constant + ms for ms in grown], color=color, linewidth=1)
        left.plot(fitted, grown, "--", color=color, linewidth=1)
        left.axhline(constant, color=color, linestyle=":", linewidth=1)
        equal = parts["equal_at"], constant
        left.plot(*equal, "x", color=color, markersize=9, markeredgewidth=2)
        look = {"color": color, "ha": "left", "fontsize": 9}
        note_point(left, f"{equal[0]:,.0f}", equal, (0, -13), **look)
    left.plot([], [], "-", color=QUIET, linewidth=1, label="fit: both parts")
    left.plot([], [], "--", color=QUIET, label="fit: the part that grows")
    left.plot([], [], ":", color=QUIET, label="fit: the part that does not")
    left.legend(frameon=False, fontsize=8.5, loc="upper left")
    label = f"tokens in a row ({growth['tokens']:,} tokens per step)"
    for axes in panels:
        axes.set(xscale="log", yscale="log", xlabel=label)
        axes.set_xticks(lengths, map("{:,}".format, lengths), fontsize=8.5)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:,.0f}")
    left.set(ylabel="milliseconds per step", ylim=(None, 4_500))  # room for the legend
    left.set_yticks([20, 50, 100, 200, 500, 1_000, 2_000])
    right.set(ylabel="peak memory (MB)", yticks=[200, 500, 1_000, 1_500])


@figure_of(1, 3, size=(8.8, 3.3), sharey=True)
def lesson_layout_figure(panels, results) -> None:
    """Three ways to fill rows, at two lengths: padding, words per second, loss."""
    sizes = [(layout, length) for layout in LAYOUTS for length in (64, 128)]
    arms = [f"{layout}_{length}" for layout, length in sizes]
    recorded, rows = read_record(COSTS)["arms"], range(len(arms))
    bars = {"color": "#9a9a9a", "height": 0.6}
    padding = [100 * recorded[arm]["padding"] for arm in arms]
    shares = panels[0].barh(rows, padding, **bars)
    panels[0].bar_label(shares, fmt="{:.1f}", padding=3)
    panels[0].set(xlabel="[PAD], % of all positions", xlim=(0, 1.2 * max(padding)))
    pace = [recorded[arm]["asked"] / recorded[arm]["seconds"][1] for arm in arms]
    panels[1].barh(rows, pace, **bars)
    panels[1].set_xlabel("masked words per second")
    panels[1].xaxis.set_major_formatter("{x:,.0f}")
    draw_interval_rows(panels[2], [results.readings[arm][AT_TIME] for arm in arms])
    panels[2].set_xlabel("loss at equal time (nats)")
    for axes in panels:
        label_rows(axes, [f"{LAYOUTS[layout]}, {length}" for layout, length in sizes])
        axes.locator_params(axis="x", nbins=4)
    panels[2].margins(x=0.12)  # or a narrow interval would lie on the axis
    for axes in panels[1:]:
        axes.tick_params("y", length=0)


@figure_of(1, 3, size=(8.8, 3.0), sharey=True)
def lesson_vocabulary_figure(panels, results) -> None:
    """The same words asked of models with different vocabularies."""
    readings = [results.readings[arm] for arm in VOCABULARIES]
    for axes, (key, title) in zip(panels, VOCABULARY_PANELS.items(), strict=True):
        draw_interval_rows(axes, [reading[key] for reading in readings])
        axes.set_xlabel(title)
        label_rows(axes, [*VOCABULARIES.values()])
    rare, held = panels[2], [reading["held"]["mean"] for reading in readings]
    hollow = {"color": ORANGE, "markerfacecolor": "none", "label": "in the vocabulary"}
    rare.plot([], [], "o", color=BLUE, label="right")
    rare.plot(held, range(len(held)), "D", **hollow)
    rare.set_xlim(-4, 104)
    rare.legend(frameon=False, fontsize=8.5, loc="upper right")


@figure_of(1, 3, size=(8.8, 3.2), sharey=True)
def lesson_size_figure(panels, results) -> None:
    """Loss by layers, width and heads, after as many steps and after as much time."""
    for axes, (factor, arms) in zip(panels, SIZES.items(), strict=True):
        for reading, (label, color, style, shift) in SIZE_LOOKS.items():
            places = [size * shift for size in arms]
            intervals = [results.readings[arm][reading] for arm in arms.values()]
            look = {"label": label, "markersize": 5}
            draw_interval_columns(axes, places, intervals, style, color, **look)
        axes.set(xscale="log", xlabel=factor)
        axes.set_xticks([*arms], [*arms])
        axes.minorticks_off()
    panels[0].set_ylabel("validation loss (nats per word)")
    panels[0].legend(frameon=False, fontsize=9)


@figure_of(1, 2, size=(6.8, 3.9))
def lesson_tying_figure(panels, results) -> None:
    """Loss with tied weights and with own ones; a line joins the two of one seed.

    Both panels span as many nats, so that equal slopes are equal differences.
    """
    look = {"va": "center", "fontsize": 8.5, "color": QUIET}
    spans = []
    for axes, (title, (tied, untied)) in zip(panels, TYING_PAIRS.items(), strict=True):
        losses = []
        for seed in results.effect(Effect(tied, untied))["seeds"]:
            runs = [results.runs[arm][seed] for arm in (tied, untied)]
            pair = [run["validation"]["loss"] for run in runs]
            axes.plot([0, 1], pair, "o-", color=BLUE, linewidth=1)
            note_point(axes, f"seed {seed}", (1, pair[1]), (7, 0), **look)
            losses += pair
        spans.append((min(losses, default=0), max(losses, default=0)))
        axes.set_xticks([0, 1], ["tied", "own weights"])
        axes.set(xlim=(-0.3, 1.5), title=title)
    half = 0.53 * max(0.05, *(high - low for low, high in spans))
    for axes, (low, high) in zip(panels, spans, strict=True):
        axes.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)
    panels[0].set_ylabel("validation loss (nats per word)")


@figure_of(size=(6.4, 3.6))
def lesson_small_figure(axes, results) -> None:
    """Curves on the small text, one a seed: when does a model know it by heart?

    A dot at the lowest loss of each.
    """
    for arm, (label, color, style) in SMALL_LOOKS.items():
        axes.plot([], [], style, color=color, label=label)
        for run in results.runs[arm].values():
            curve = [(entry["loss"], entry["step"]) for entry in run["curve"]]
            losses, steps = zip(*curve, strict=True)
            axes.plot(steps, losses, style, color=color, linewidth=1)
            lowest, step = min(curve)
            axes.plot(step, lowest, "o", color=color, markersize=5)
    axes.set(xlabel="step", ylabel="validation loss (nats per word)")
    unigram = read_record(dropout.REFERENCES)["unigram"]["loss"]
    reference_loss_lines(axes, {"unigram": unigram})
    axes.legend(frameon=False, title="dot: what early stopping keeps")


@figure_of(1, 2, size=(8.4, 3.4), width_ratios=(3, 2))
def lesson_masks_figure(panels, results) -> None:
    """Loss by the share of words that is masked in training, and by what masks them."""
    left, right = panels
    loss = {arm: readings["loss"] for arm, readings in results.readings.items()}
    draw_interval_columns(left, [*MASK_RATES], [loss[a] for a in MASK_RATES.values()])
    left.set(xlabel="masked in training (% of the words)", xticks=[*MASK_RATES])
    left.set_ylabel("validation loss (nats per word)")
    draw_interval_rows(right, [loss[arm] for arm in MASK_WAYS])
    label_rows(right, [*MASK_WAYS.values()])
    right.set_xlabel("loss (nats), 30 % masked")
    right.locator_params(axis="x", nbins=4)


@figure_of(size=(8.8, 1.2))
def lesson_effects_figure(axes, results: StudyResults) -> None:
    """Each pair whose losses a claim compares, a row each.

    Left of zero the one named on the left is ahead. Grey is the margin; a colour says
    that an interval leaves zero behind it on that side. What lies beyond the scale is
    an arrow with its mean.
    """
    rows = [r for r in results.claims if r["sides"] and r["interval"]["n"]]
    axes.figure.set_figheight(0.29 * len(rows) + 1.2)
    end, margin = 0.4, SMALLEST["nats"]
    axes.axvspan(-margin, margin, color="#ececec", linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    for y, row in enumerate(rows):
        mean, low, high = (row["interval"][key] or 0 for key in ("mean", "low", "high"))
        color = BLUE if high < 0 else ORANGE if low > 0 else QUIET
        if abs(mean) < end:
            draw_interval_rows(axes, [row["interval"]], color, y)
        else:
            x, text = math.copysign(end, mean) * 0.97, f"{mean:+.2f}".replace("-", "−")
            axes.plot(x, y, "<" if x < 0 else ">", color=color)
            look = {"va": "center", "color": color, "fontsize": 9}
            note_point(axes, text, (x, y), (8, 0), **look)
    left, right = zip(*(row["sides"] for row in rows), strict=True)
    label_rows(axes, left)
    axes.set_xlim(-end, end)
    other = axes.secondary_yaxis("right")
    other.set_yticks(range(len(rows)), right, fontsize=9)
    other.spines["right"].set_visible(False)
    other.tick_params(length=0)
    title = "← the one on the left is better        the one on the right is better →"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("difference in validation loss (nats per word); small dots: seeds")
