"""What attention and the answers depend on, drawn from the records."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from helpers.figure import QUIET
from studies.attention.tables import DIVISIONS, MODELS, RULES
from studies.lab.figures import BLUE, GREEN, ORANGE, figure_of, label_rows, note_point
from studies.lab.tables import percent_text

PANELS = {
    "trained": ("dropout", "no_dropout"),
    "control: untrained": ("untrained",),
    "control: words shuffled,\nwith dropout": ("shuffled",),
}
LOOKS = {
    "unigram": (QUIET, "D"),
    "bigram": (GREEN, "^"),
    "no_dropout": (BLUE, "s"),
    "dropout": (ORANGE, "o"),
    "untrained": (QUIET, "D"),
    "shuffled": (ORANGE, "^"),
}


def draw_attention_intervals(axes: Axes, intervals: dict, step, size, scale=1) -> None:
    """Rows of intervals, those of each model or guess `step` below the one before."""
    for i, (name, own) in enumerate(intervals.items()):
        color, mark = LOOKS[name]
        y = [row + step * (i - (len(intervals) - 1) / 2) for row in range(len(own))]
        low, mean, high = (
            [scale * one[key] for one in own] for key in ("low", "mean", "high")
        )
        axes.hlines(y, low, high, color=color, linewidth=1.4)
        label = MODELS.get(name, name)
        axes.plot(mean, y, mark, color=color, markersize=size, label=label)


@figure_of(1, len(PANELS), size=(8.9, 3.6), sharex=True, sharey=True)
def erasure_figure(panels, summary: dict) -> None:
    """What masking one more word costs, by the rule that picks it, panel by panel.

    Dots are means over sentences, lines 95 % bootstrap intervals; all panels share
    their axis, the fall of the true word's log-probability in nats.
    """
    for axes, (title, names) in zip(panels, PANELS.items(), strict=True):
        axes.axvline(0, color=QUIET, linewidth=1)
        falls = {name: summary["erasure"][name]["fall"] for name in names}
        means = {name: [fall[rule] for rule in RULES] for name, fall in falls.items()}
        draw_attention_intervals(axes, means, 0.26, 5)
        axes.set_title(title, fontsize=11)
        label_rows(axes, [*RULES.values()], "y", 10)
    figure, handles = panels[0].figure, panels[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, ncols=2, loc="outside upper right")
    label = "fall of the true word's log-probability when one more word is masked"
    figure.supxlabel(f"{label} (nats)", fontsize=10)


@figure_of(3, 1, size=(8.4, 1.55 * 3 + 0.9), sharex=True)
def heads_figure(panels, summary: dict) -> None:
    """What each head costs when it is silenced: a panel a model, a row a layer.

    Dots are heads, hollow where the 95 % interval holds 0. The costliest head of each
    model is named.
    """
    for axes, (name, part) in zip(panels, summary["heads"].items(), strict=True):
        costs = {place: head["cost"] for place, head in part["heads"].items()}
        color, _ = LOOKS[name]
        costliest = max(costs, key=lambda place: costs[place]["mean"])
        for place, cost in costs.items():
            _, layer, _, head = place.split()
            x, y = cost["mean"], int(layer) - 1
            sure = cost["low"] > 0 or cost["high"] < 0
            face = color if sure else "white"
            axes.plot(x, y, "o", color=color, markerfacecolor=face, markersize=6)
            if place == costliest:
                look = {"ha": "center", "va": "bottom", "fontsize": 9}
                note_point(axes, f"L{layer}H{head}", (x, y), (0, 4), **look)
        axes.axvline(0, color=QUIET, linewidth=1)
        label_rows(axes, [*part["layers"]])
        axes.set_ylim(top=-0.9)  # room for a name above the first row
        axes.set_title(f"{MODELS[name]}, loss {part['loss']:.3f} nats", fontsize=11)
    label = "rise of the validation loss when the head is silenced (nats); hollow: "
    axes.figure.supxlabel(label + "95 % interval includes 0", fontsize=10)


def knowledge_figure(summary: dict, panels: int = 4) -> Figure:
    """How many words each guess gets right; the first so many `panels` of 1 or 4."""
    rows = 1 if panels == 1 else 2
    how = {"size": (8.9, 0.6 + 2.9 * rows), "sharex": True, "squeeze": False}
    return figure_of(rows, rows, **how)(draw_knowledge)(summary)


def draw_knowledge(grid, summary: dict) -> None:
    """Words that each guess gets right, by class, frequency and distance to [UNK].

    One row a kind of word, with its share of all words; dots are means, lines 95 %
    bootstrap intervals over groups of neighbouring blocks.
    """
    parts = {DIVISIONS[key]: summary["bands"][key] for key in ("class", "rank")}
    near = DIVISIONS["unknown"]
    parts[f"{near}, all words"] = summary["bands"]["unknown"]
    parts[f"{near}, function words"] = summary["within"]["function words"]
    for axes, (title, bands) in zip(grid.flat, parts.items(), strict=False):
        means = {
            name: [band["accuracy"][name] for band in bands.values()]
            for name in ("unigram", "bigram", "no_dropout", "dropout")
        }
        draw_attention_intervals(axes, means, 0.19, 4.5, scale=100)
        labels = [
            "\n".join([*name.split(", "), percent_text(band["share"])])
            for name, band in bands.items()
        ]
        label_rows(axes, labels)
        axes.set_title(title, fontsize=10)
        for edge in range(1, len(bands)):
            axes.axhline(edge - 0.5, color="#d0d0d0", linewidth=0.8)
    axes.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    handles = axes.get_legend_handles_labels()
    figure = axes.figure
    figure.legend(*handles, frameon=False, ncols=4, loc="outside upper center")
    label = "right (%); under each name its share of all words; lines: 95 % intervals"
    figure.supxlabel(label, fontsize=9.5)
