"""Pictures of the studies, drawn from their records."""

from matplotlib.figure import Figure

from helpers.figure import QUIET, default_style, reference_lines
from studies.lab.report import plus_minus
from studies.tables import DIVISIONS, GUESSES, NAMES, whole_percent

COLORS = {"none": "#0072B2", "attention": "#009E73", "all": "#D55E00"}
STYLES = {"none": "-", "attention": "-.", "all": "--"}

POSITION_COLORS = {
    "rotary": "#0072B2",
    "sinusoidal": "#009E73",
    "learned": "#D55E00",
    "none": "#777777",
}
POSITION_STYLES = {"rotary": "-", "sinusoidal": "-.", "learned": "--", "none": ":"}


def plain(axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


@default_style()
def dropout_study(summary: dict, runs: list[dict]) -> Figure:
    """Curves of all runs, training and validation, and paired differences in loss.

    Of the longest budget in the summary. One line a run; the interval is Student's t
    at 95 % over the seeds.
    """
    epochs = max(summary["budgets"], key=float)
    table = summary["budgets"][epochs]
    figure = Figure(figsize=(8.8, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    for found in runs:
        if f"{found['training']['epochs']:g}" != epochs:
            continue
        later = [e for e in found["history"] if e["epoch"] >= 0.5]
        x = [entry["epoch"] for entry in later]
        look = {"color": COLORS[found["arm"]], "linestyle": STYLES[found["arm"]]}
        left.plot(x, [e["validation_loss"] for e in later], linewidth=1.6, **look)
        left.plot(x, [e["train_loss"] for e in later], linewidth=0.8, alpha=0.6, **look)
    for arm in table:
        look = {"color": COLORS[arm], "linestyle": STYLES[arm]}
        left.plot([], [], label=NAMES[arm], **look)
    left.legend(frameon=False, title="thick: validation, thin: training text")
    bigram = summary["references"]["bigram"]["loss"]
    reference_lines(left, {"bigram": bigram})
    left.set(xlabel="epoch", ylabel="loss (nats a word, dropout off)")
    left.set_title(f"WikiText-2, {epochs} epochs, one line a seed", fontsize=11)
    plain(left)
    arms = [arm for arm in table if table[arm].get("minus_none")]
    for row, arm in enumerate(arms):
        found = table[arm]["minus_none"]["loss"]
        values = found["values"]
        mean, low, high = found["mean"], found["low"], found["high"]
        right.plot(values, [row] * len(values), "o", color=COLORS[arm], alpha=0.6)
        if low is not None:
            right.plot((low, high), [row + 0.12] * 2, color=COLORS[arm], linewidth=2)
            right.plot(mean, row + 0.12, "|", color=COLORS[arm], markersize=12)
        text = plus_minus(found, 3, sign="+")
        text += "" if low is not None else " (one seed, no interval)"
        right.annotate(
            f"{NAMES[arm]}\n{text}",
            (0.5, row + 0.2),
            xycoords=("axes fraction", "data"),
            ha="center",
            va="bottom",
            fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    right.axvline(0, color=QUIET, linewidth=1)
    right.margins(x=0.2)
    right.set(yticks=[], ylim=(-0.3, len(arms) - 0.2))
    right.set_xlabel("loss minus that without dropout (nats)")
    right.set_title("paired by seed; bar: 95 % interval", fontsize=11)
    right.spines["left"].set_visible(False)
    plain(right)
    return figure


@default_style()
def plateau_study(summary: dict, runs: list[dict]) -> Figure:
    """Loss and the share of the most-predicted word over the first steps, by positions.

    One line a run, from step 20 on; the steps are on a logarithmic scale.
    """
    figure = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for found in runs:
        history = [e for e in found["history"] if e["step"] <= summary["steps"]]
        steps = [max(1, entry["step"]) for entry in history]
        for axes, key in ((left, "validation_loss"), (right, "most_predicted_share")):
            axes.plot(
                steps,
                [entry[key] for entry in history],
                POSITION_STYLES[found["positions"]],
                color=POSITION_COLORS[found["positions"]],
                linewidth=1.4,
            )
    labels = {n: f"{n}, rate {row['rate']:g}" for n, row in summary["arms"].items()}
    labels["none"] = f"no positions, rate {summary['control']['rate']:g}"
    for name, label in labels.items():
        style, color = POSITION_STYLES[name], POSITION_COLORS[name]
        left.plot([], [], style, color=color, label=label)
    left.legend(frameon=False, fontsize=9, loc="lower left")
    unigram = summary["unigram_loss"]
    reference_lines(left, {"unigram": unigram})
    limit = unigram - summary["left"]
    left.axhline(limit, color=QUIET, linestyle=":", linewidth=1)
    below = f"left at {limit:.2f}"
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
    left.annotate(below, (0.02, limit), (0, 3), color=QUIET, fontsize=9, **place)
    ticks = 20, 50, 100, 200, 500, summary["steps"]
    left.set(xscale="log", xlim=(ticks[0], ticks[-1]), ylim=(None, unigram + 1.2))
    left.set_xticks(ticks, map("{:,}".format, ticks))
    left.minorticks_off()
    left.set(xlabel="step", ylabel="validation loss (nats a word)")
    right.set(xlabel="step", ylabel="share of the most-predicted word", ylim=(0, 1))
    for axes in (left, right):
        plain(axes)
    return figure


GUESS_LOOKS = {
    "unigram": (QUIET, "D"),
    "bigram": ("#009E73", "^"),
    "no_dropout": ("#0072B2", "s"),
    "dropout": ("#D55E00", "o"),
}


@default_style()
def knowledge_figure(summary: dict) -> Figure:
    """How many words each guess gets right, by class, distance to [UNK] and frequency.

    One row a kind of word, with its share of the words asked; dots are means, lines
    95 % bootstrap intervals over groups of neighbouring blocks.
    """
    figure = Figure(figsize=(8.9, 6.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).flat
    parts = {DIVISIONS[key]: summary["bands"][key] for key in ("class", "rank")}
    near = DIVISIONS["unknown"]
    parts[f"{near}, all words"] = summary["bands"]["unknown"]
    parts[f"{near}, function words"] = summary["within"]["function words"]
    for axes, (title, rows) in zip(panels, parts.items(), strict=True):
        for i, (name, (color, mark)) in enumerate(GUESS_LOOKS.items()):
            found = [row["accuracy"][name] for row in rows.values()]
            y = [at + 0.19 * (i - 1.5) for at in range(len(rows))]
            low, mean, high = (
                [100 * one[key] for one in found] for key in ("low", "mean", "high")
            )
            axes.hlines(y, low, high, color=color, linewidth=1.4)
            axes.plot(mean, y, mark, color=color, markersize=4.5, label=GUESSES[name])
        labels = [
            "\n".join([*name.split(", "), whole_percent(row["share"])])
            for name, row in rows.items()
        ]
        axes.set_yticks(range(len(rows)), labels, fontsize=9)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x", color="#e8e8e8", linewidth=0.8)
        for edge in range(1, len(rows)):
            axes.axhline(edge - 0.5, color="#d0d0d0", linewidth=0.8)
        axes.set_axisbelow(True)
        plain(axes)
    axes.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, frameon=False, ncols=4, loc="outside upper center")
    label = "right (%); under each name its share of all words; "
    label += "lines: 95 % intervals, most of them narrower than the marks"
    figure.supxlabel(label, fontsize=9.5)
    return figure
