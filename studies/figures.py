"""Pictures of the studies, drawn from their records."""

from matplotlib.figure import Figure

from helpers.figure import QUIET, default_style
from studies.tables import DIVISIONS, GUESSES, whole_percent


def plain(axes) -> None:
    """Leaves out the frame's upper and right side."""
    axes.spines[["top", "right"]].set_visible(False)


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
