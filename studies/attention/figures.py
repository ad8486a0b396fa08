"""What attention and the answers depend on, drawn from the records."""

from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from explorer.attention_plots import BLUES
from helpers.figure import QUIET, default_style
from studies.attention.tables import BROAD, DIVISIONS, MODELS, RULES, looked_at
from studies.lab.report import (
    BLUE,
    GREEN,
    ORANGE,
    named_rows,
    number,
    plain,
    whole_percent,
)

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


def side_by_side(axes: Axes, intervals: dict, step: float, size: float, scale=1):
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


@default_style()
def erasure_figure(summary: dict) -> Figure:
    """What masking one more word costs, by the rule that picks it, panel by panel.

    Dots are means over sentences, lines 95 % bootstrap intervals; all panels share
    their axis, the fall of the true word's log-probability in nats.
    """
    figure = Figure(figsize=(8.9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for axes, (title, names) in zip(panels, PANELS.items(), strict=True):
        axes.axvline(0, color=QUIET, linewidth=1)
        falls = {name: summary["erasure"][name]["fall"] for name in names}
        means = {name: [fall[rule] for rule in RULES] for name, fall in falls.items()}
        side_by_side(axes, means, 0.26, 5)
        axes.set_title(title, fontsize=11)
        axes.set_yticks(range(len(RULES)), RULES.values())
        axes.set_ylim(len(RULES) - 0.5, -0.5)
        axes.grid(axis="y", color="#e8e8e8", linewidth=0.8)
        axes.set_axisbelow(True)
        plain(axes)
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, ncols=2, loc="outside upper right")
    label = (
        "fall of the true word's log-probability when one more word is masked (nats)"
    )
    figure.supxlabel(label, fontsize=10)
    return figure


@default_style()
def heads_figure(summary: dict) -> Figure:
    """What each head of each model costs when it is off, and where it looks.

    One scale for all; costs below 0 are white. Under each number the target that masked
    words give most weight to, with its share.
    """
    parts = summary["heads"]
    costs = {
        name: [head["cost"]["mean"] for head in part["heads"].values()]
        for name, part in parts.items()
    }
    norm = PowerNorm(0.5, vmin=0, vmax=max(map(max, costs.values())), clip=True)
    figure = Figure(figsize=(8.9, 2.9 * len(parts)), layout="constrained")
    panels = figure.subplots(len(parts), 1, squeeze=False)[:, 0]
    for axes, (name, part) in zip(panels, parts.items(), strict=True):
        n_layers = len(part["layers"])
        n_heads = len(part["heads"]) // n_layers
        grid = [costs[name][n * n_heads : (n + 1) * n_heads] for n in range(n_layers)]
        image = axes.imshow(grid, cmap=BLUES, norm=norm, aspect="auto")
        for i, head in enumerate(part["heads"].values()):
            (y, x), cost = divmod(i, n_heads), head["cost"]
            sure = cost["low"] > 0 or cost["high"] < 0
            weight, middle = (
                "bold" if sure else "normal",
                {"ha": "center", "va": "center"},
            )
            text = number(cost["mean"], 3, "+").replace("-", "−")
            axes.text(x, y - 0.17, text, fontsize=10, weight=weight, **middle)
            axes.text(x, y + 0.22, looked_at(head["looks"]), fontsize=9, **middle)
        axes.set_xticks(range(n_heads), [f"head {h + 1}" for h in range(n_heads)])
        axes.set_yticks(range(n_layers), part["layers"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{MODELS[name]}, loss {part['loss']:.3f} nats", fontsize=11)
    label = "rise of the loss, head off (nats, square-root scale; a fall is white)"
    figure.colorbar(image, ax=panels, label=label, shrink=0.6, aspect=40)
    told = "Bold: the 95 % interval leaves 0 out. Below: where masked words look most, "
    told += f"−3 to +3, [CLS] or [SEP]; “spread”: under {whole_percent(BROAD)} on each."
    figure.supxlabel(told, fontsize=9, color=QUIET)
    return figure


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
    for axes, (title, bands) in zip(panels, parts.items(), strict=True):
        means = {
            name: [band["accuracy"][name] for band in bands.values()]
            for name in ("unigram", "bigram", "no_dropout", "dropout")
        }
        side_by_side(axes, means, 0.19, 4.5, scale=100)
        labels = [
            "\n".join([*name.split(", "), whole_percent(band["share"])])
            for name, band in bands.items()
        ]
        named_rows(axes, labels)
        axes.set_title(title, fontsize=10)
        for edge in range(1, len(bands)):
            axes.axhline(edge - 0.5, color="#d0d0d0", linewidth=0.8)
    axes.set(xlim=(-3, 103), xticks=range(0, 101, 25))
    handles = axes.get_legend_handles_labels()
    figure.legend(*handles, frameon=False, ncols=4, loc="outside upper center")
    label = "right (%); under each name its share of all words; "
    label += "lines: 95 % intervals, most of them narrower than the marks"
    figure.supxlabel(label, fontsize=9.5)
    return figure
