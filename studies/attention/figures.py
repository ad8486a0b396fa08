"""Pictures of the attention study, drawn from its record."""

from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from helpers.figure import BLUES, QUIET, default_style
from studies.figures import plain
from studies.tables import BROAD, MODELS, erasure_rules, looked_at, whole_percent

PANELS = {
    "trained": ("dropout", "no_dropout"),
    "control: untrained": ("untrained",),
    "control: words shuffled,\nwith dropout": ("shuffled",),
}
LOOKS = {
    "dropout": ("#D55E00", "o"),
    "no_dropout": ("#0072B2", "s"),
    "untrained": (QUIET, "D"),
    "shuffled": ("#D55E00", "^"),
}


@default_style()
def erasure_figure(summary: dict) -> Figure:
    """What masking one more word costs, by the rule that picks it, panel by panel.

    Dots are means over sentences, lines 95 % bootstrap intervals; all panels share
    their axis, the fall of the true word's log-probability in nats.
    """
    rules = erasure_rules(summary["erasure"]["dropout"])
    figure = Figure(figsize=(8.9, 3.6), layout="constrained")
    panels = figure.subplots(1, len(PANELS), sharex=True, sharey=True)
    for axes, (title, names) in zip(panels, PANELS.items(), strict=True):
        axes.axvline(0, color=QUIET, linewidth=1)
        for i, name in enumerate(names):
            found = [summary["erasure"][name]["fall"][rule] for rule in rules]
            y = [row + 0.26 * (i - (len(names) - 1) / 2) for row in range(len(rules))]
            low, mean, high = (
                [one[key] for one in found] for key in ("low", "mean", "high")
            )
            color, mark = LOOKS[name]
            axes.hlines(y, low, high, color=color, linewidth=1.4)
            axes.plot(mean, y, mark, color=color, markersize=5, label=MODELS[name])
        axes.set_title(title, fontsize=11)
        axes.set_yticks(range(len(rules)), rules.values())
        axes.set_ylim(len(rules) - 0.5, -0.5)
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
            style = {"ha": "center", "va": "center"}
            number = style | {"fontsize": 10, "weight": "bold" if sure else "normal"}
            text = f"{round(cost['mean'], 3) + 0.0:+.3f}".replace("-", "−")
            axes.text(x, y - 0.17, text, **number)
            axes.text(x, y + 0.22, looked_at(head["looks"]), fontsize=9, **style)
        axes.set_xticks(range(n_heads), [f"head {h + 1}" for h in range(n_heads)])
        axes.set_yticks(range(n_layers), [f"layer {n + 1}" for n in range(n_layers)])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{MODELS[name]}, loss {part['loss']:.3f} nats", fontsize=11)
    label = "rise of the loss, head off (nats, square-root scale; a fall is white)"
    figure.colorbar(image, ax=panels, label=label, shrink=0.6, aspect=40)
    told = "Bold: the 95 % interval leaves 0 out. Below: where masked words look most, "
    told += f"−3 to +3, [CLS] or [SEP]; “spread”: under {whole_percent(BROAD)} on each."
    figure.supxlabel(told, fontsize=9, color=QUIET)
    return figure
