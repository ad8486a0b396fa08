"""Pictures of the lessons, drawn from their summary alone."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from helpers.figure import QUIET, default_style, reference_lines
from studies.figures import plain

BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
LAYOUTS = {"pad": "one line a row", "bucket": "buckets", "pack": "packed"}
VOCABULARIES = {
    "base": "2,000 words",
    "words_5000": "5,000 words",
    "words_10000": "10,000 words",
    "pieces_2000": "2,000 byte pairs",
    "pieces_8000": "8,000 byte pairs",
}
SIZES = {
    "layers": ("layers_1", "layers_2", "base", "layers_6"),
    "d_model": ("d_model_64", "d_model_128", "base", "d_model_384"),
    "heads": ("heads_1", "heads_4", "base", "heads_16"),
}
SIZE_FIELDS = {"layers": "n_layers", "d_model": "d_model", "heads": "n_heads"}
SMALL = {
    "small_static": ("the same masks", ORANGE, "--"),
    "small_fresh": ("fresh masks", BLUE, "-"),
    "small_dropout": ("fresh masks, dropout", GREEN, "-."),
}
TIED = {
    "2,000 words": ("base", "untied"),
    "10,000 words": ("words_10000", "untied_10000"),
}
RATES = {10: "rate_10", 15: "rate_15", 30: "base", 40: "rate_40", 50: "rate_50"}


def interval_rows(axes: Axes, found: list[dict], color=BLUE, mark="o", shift=0.0):
    """One row a reading, the first on top: seeds as faint dots, mean, interval."""
    for row, reading in enumerate(found):
        y = row + shift
        values = reading["values"]
        axes.plot(values, [y] * len(values), ".", color=color, alpha=0.5, markersize=5)
        axes.plot(reading["mean"], y, mark, color=color, markersize=5)
        if reading["low"] is not None:
            axes.hlines(y, reading["low"], reading["high"], color=color, linewidth=1.4)


def named_rows(axes: Axes, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
    axes.set_axisbelow(True)
    plain(axes)


def made(summary: dict, names) -> list[str]:
    """Those of the arms of which there are runs."""
    return [name for name in names if name in summary["arms"]]


def reading(summary: dict, arm: str, name: str) -> dict:
    return summary["arms"][arm]["readings"][name]


@default_style()
def length_figure(growth: dict, parts: dict) -> Figure:
    """Time and memory of a step of as many tokens, by length; and the fit in parts."""
    figure = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = {"written": (BLUE, "o", "written out"), "fused": (ORANGE, "s", "fused")}
    for form, (color, mark, label) in looks.items():
        rows = [
            row
            for row in growth["growth"]
            if "max_length" in row and row["fused"] == (form == "fused")
        ]
        lengths = [row["max_length"] for row in rows]
        left.plot(lengths, [row["ms"] for row in rows], mark, color=color, label=label)
        right.plot(lengths, [row["peak_mb"] for row in rows], mark + "-", color=color)
        fit, from_64 = parts[form], [n for n in lengths if n >= 64]
        grown = [fit["ms_a_position"] * n for n in from_64]
        total = [fit["constant_ms"] + part for part in grown]
        left.plot(from_64, total, color=color, linewidth=1)
        left.plot(from_64, grown, "--", color=color, linewidth=1)
        left.axhline(fit["constant_ms"], color=color, linestyle=":", linewidth=1)
        at = fit["equal_at"], fit["constant_ms"]
        left.plot(*at, "x", color=color, markersize=9, markeredgewidth=2)
        left.annotate(
            f"{at[0]:,.0f}",
            at,
            (0, -13),
            textcoords="offset points",
            color=color,
            ha="left",
            fontsize=9,
        )
    left.plot([], [], "-", color=QUIET, linewidth=1, label="fit: both parts")
    left.plot([], [], "--", color=QUIET, label="fit: the part that grows")
    left.plot([], [], ":", color=QUIET, label="fit: the part that does not")
    left.legend(frameon=False, fontsize=8.5, loc="upper left")
    left.set(yscale="log", ylabel="milliseconds a step")
    right.set(yscale="log", ylabel="peak memory (MB)")
    for axes in (left, right):
        axes.set(
            xscale="log", xlabel=f"length; always {growth['tokens']:,} tokens a step"
        )
        axes.set_xticks(lengths, map("{:,}".format, lengths), fontsize=8.5)
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        plain(axes)
    left.set_yticks([20, 50, 100, 200, 500, 1_000, 2_000])
    left.set_ylim(top=4_500)  # room for the legend
    right.set_yticks([200, 500, 1_000, 1_500])
    return figure


def drawable(summary: dict) -> dict[str, Figure]:
    """The figures of those lessons of which there are runs, by name."""
    drawn = {
        "layout": (layout_figure, layout_arms()),
        "vocabulary": (vocabulary_figure, VOCABULARIES),
        "size": (size_figure, sum(SIZES.values(), ())),
        "tying": (tying_figure, sum(TIED.values(), ())),
        "small": (small_figure, SMALL),
        "mask": (mask_figure, RATES.values()),
        "effects": (effects_figure, summary["arms"]),
    }
    return {
        name: draw(summary)
        for name, (draw, arms) in drawn.items()
        if made(summary, arms)
    }


def layout_arms() -> list[str]:
    return [f"{layout}_{length}" for layout in LAYOUTS for length in (64, 128)]


@default_style()
def layout_figure(summary: dict) -> Figure:
    """Three ways to fill rows at two lengths: padding, words asked a second, loss."""
    figure = Figure(figsize=(8.8, 3.3), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = made(summary, layout_arms())
    arms = [summary["arms"][name] for name in names]
    rows = range(len(names))
    padding = [100 * arm["cost"]["padding"] for arm in arms]
    panels[0].barh(rows, padding, color="#9a9a9a", height=0.6)
    for row, share in zip(rows, padding, strict=True):
        panels[0].annotate(
            f"{share:.1f}",
            (share, row),
            (3, 0),
            textcoords="offset points",
            va="center",
        )
    panels[0].set(xlabel="[PAD], % of all positions", xlim=(0, 1.2 * max(padding)))
    asked = [arm["cost"]["asked_a_second"] for arm in arms]
    panels[1].barh(rows, asked, color="#9a9a9a", height=0.6)
    panels[1].set_xlabel("masked words a second")
    losses = [reading(summary, name, "loss at equal time") for name in names]
    interval_rows(panels[2], losses)
    panels[2].set_xlabel("loss at equal time (nats)")
    labels = [f"{LAYOUTS[name.split('_')[0]]}, {name.split('_')[1]}" for name in names]
    for axes in panels:
        named_rows(axes, labels)
        axes.locator_params(axis="x", nbins=4)
    return figure


@default_style()
def vocabulary_figure(summary: dict) -> Figure:
    """The same words asked of models with different vocabularies."""
    figure = Figure(figsize=(8.8, 3.0), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = made(summary, VOCABULARIES)
    titles = {
        "shared": "6,000 frequent words, right (%)",
        "bits": "same words, bits a character",
        "rare": "1,500 rare words (%)",
    }
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        interval_rows(axes, [reading(summary, name, key) for name in names])
        axes.set_xlabel(title)
        named_rows(axes, [VOCABULARIES[name] for name in names])
    held = [reading(summary, name, "held")["mean"] for name in names]
    panels[2].plot(held, range(len(names)), "D", color=ORANGE, markerfacecolor="none")
    for mark, color, fill, label in (
        ("o", BLUE, BLUE, "right"),
        ("D", ORANGE, "none", "in the vocabulary"),
    ):
        panels[2].plot([], [], mark, color=color, markerfacecolor=fill, label=label)
    panels[2].set_xlim(-4, 104)
    panels[2].legend(frameon=False, fontsize=8.5, loc="upper right")
    return figure


@default_style()
def size_figure(summary: dict) -> Figure:
    """Loss by layers, width and heads, after as many steps and after as much time."""
    figure = Figure(figsize=(8.8, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    kinds = {
        "loss at equal steps": ("same steps", BLUE, "o-", 0.97),
        "loss at equal time": ("same time", ORANGE, "s--", 1.03),
    }
    for axes, (factor, names) in zip(panels, SIZES.items(), strict=True):
        names = made(summary, names)
        sizes = [
            summary["arms"][name]["design"]["model"].get(
                SIZE_FIELDS[factor], summary["model"][SIZE_FIELDS[factor]]
            )
            for name in names
        ]
        for key, (label, color, style, shift) in kinds.items():
            found = [reading(summary, name, key) for name in names]
            x = [size * shift for size in sizes]
            axes.plot(
                x,
                [f["mean"] for f in found],
                style,
                color=color,
                label=label,
                linewidth=1,
                markersize=5,
            )
            for at, one in zip(x, found, strict=True):
                values = one["values"]
                axes.plot([at] * len(values), values, ".", color=color, alpha=0.5)
                if one["low"] is not None:
                    axes.vlines(at, one["low"], one["high"], color=color, linewidth=1.4)
        axes.set(xscale="log", xlabel=factor)
        axes.set_xticks(sizes, sizes)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
        plain(axes)
    panels[0].set_ylabel("validation loss (nats a word)")
    panels[0].legend(frameon=False, fontsize=9)
    return figure


@default_style()
def tying_figure(summary: dict) -> Figure:
    """Loss with tied weights and with own ones; a line joins the two of one seed.

    Both panels span as many nats, so that equal slopes are equal differences.
    """
    figure = Figure(figsize=(6.8, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    spans = []
    for axes, (title, arms) in zip(panels, TIED.items(), strict=True):
        places = {arm: at for at, arm in enumerate(arms) if arm in summary["arms"]}
        losses = {}  # of each seed, by place
        for arm, at in places.items():
            values = reading(summary, arm, "loss")["values"]
            for seed, loss in zip(summary["arms"][arm]["seeds"], values, strict=True):
                losses.setdefault(seed, {})[at] = loss
        for seed, pair in losses.items():
            axes.plot([*pair], [*pair.values()], "o-", color=BLUE, linewidth=1)
            last = max(pair)
            axes.annotate(
                f"seed {seed}",
                (last, pair[last]),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=8.5,
                color=QUIET,
            )
        found = [loss for pair in losses.values() for loss in pair.values()]
        spans.append((min(found, default=0), max(found, default=0)))
        axes.set_xticks([0, 1], ["tied", "own weights"])
        axes.set(xlim=(-0.3, 1.5), title=title)
        plain(axes)
    half = 0.6 * max(0.05, *(high - low for low, high in spans))
    for axes, (low, high) in zip(panels, spans, strict=True):
        axes.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)
    panels[0].set_ylabel("validation loss (nats a word)")
    return figure


@default_style()
def small_figure(summary: dict) -> Figure:
    """Curves on the small text, one a seed: when does a model know it by heart?

    A dot at the lowest loss of each.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for name in made(summary, SMALL):
        label, color, style = SMALL[name]
        steps = summary["arms"][name]["steps"]
        for losses in summary["arms"][name]["curves"]:
            axes.plot(steps, losses, style, color=color, linewidth=1)
            low = min(losses)
            axes.plot(steps[losses.index(low)], low, "o", color=color, markersize=5)
        axes.plot([], [], style, color=color, label=label)
    axes.set(xlabel="step", ylabel="validation loss (nats a word)")
    reference_lines(axes, {"unigram": summary["references"]["unigram"]["loss"]})
    axes.legend(frameon=False, title="dot: what early stopping keeps")
    plain(axes)
    return figure


@default_style()
def mask_figure(summary: dict) -> Figure:
    """Loss by the share of words that is masked in training, and by what masks them."""
    figure = Figure(figsize=(7.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    rates = {rate: name for rate, name in RATES.items() if name in summary["arms"]}
    found = [reading(summary, name, "loss") for name in rates.values()]
    left.plot([*rates], [one["mean"] for one in found], "o-", color=BLUE, linewidth=1)
    for rate, one in zip(rates, found, strict=True):
        left.plot(
            [rate] * len(one["values"]), one["values"], ".", color=BLUE, alpha=0.5
        )
        if one["low"] is not None:
            left.vlines(rate, one["low"], one["high"], color=BLUE, linewidth=1.4)
    left.set(xlabel="masked in training (% of the words)", xticks=[*RATES])
    left.set_ylabel("validation loss (nats a word)")
    plain(left)
    ways = {
        "base": "80/10/10,\nfixed number",
        "all_hidden": "[MASK] only,\nfixed number",
        "pack_64": "80/10/10,\nindependent draws",
    }
    names = made(summary, ways)
    interval_rows(right, [reading(summary, name, "loss") for name in names])
    named_rows(right, [ways[name] for name in names])
    right.set_xlabel("loss (nats), 30 % masked")
    right.locator_params(axis="x", nbins=4)
    return figure


@default_style()
def effects_figure(summary: dict) -> Figure:
    """Each claim about a loss: the paired differences, their mean and interval.

    The scale is logarithmic from 0.1 nats on, to both sides.
    """
    rows = [
        row
        for row in summary["claims"]
        if row["unit"] == "nats" and row["found"]["mean"] is not None
    ]
    figure = Figure(figsize=(8.8, 0.42 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    colors = {"holds": GREEN, "does not hold": ORANGE}
    for at, row in enumerate(rows):
        color = colors.get(row["verdict"], QUIET)
        interval_rows(axes, [row["found"]], color, shift=at)
        if row["margin"]:
            axes.barh(at, 2 * row["margin"], left=-row["margin"], color="#eeeeee")
    named_rows(axes, [wrapped(row["text"]) for row in rows])
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_xscale("symlog", linthresh=0.1)
    ticks = -3, -1, -0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8.5)
    axes.minorticks_off()
    label = "difference in validation loss (nats), logarithmic from 0.1 on; dots: seeds"
    figure.supxlabel(label, fontsize=9.5)
    for said, color in (*colors.items(), ("open or unfinished", QUIET)):
        axes.plot([], [], "o-", color=color, label=said)
    figure.legend(frameon=False, ncols=3, loc="outside upper center")
    return figure


def wrapped(text: str, width: int = 62) -> str:
    """A sentence in two lines, if it is longer than one."""
    if len(text) <= width:
        return text
    at = text.rfind(" ", 0, len(text) // 2 + 8)
    return f"{text[:at]}\n{text[at + 1 :]}"
