"""Pictures of training: loss curves, and what a model predicted at each phase.

Functions return a matplotlib figure, which `figure.show` displays.
"""

import numpy as np
from matplotlib.figure import Figure

from helpers.figure import QUIET, default_style, drawable, reference_lines

TRAIN, VALIDATION, WRONG = "#0072B2", "#D55E00", "#8a1c1c"
TITLES = {"no_dropout": "without dropout", "dropout": "with dropout"}


@default_style()
def training_curves(records: list[dict]) -> Figure:
    """Draws training and validation loss of runs side by side, on the same axes.

    Both losses are measured with dropout off. The dot is the best validation loss;
    dotted lines are the unigram plateau and the uniform guess.
    """
    figure = Figure(figsize=(8.8, 3.8), layout="constrained")
    panels = figure.subplots(1, len(records), sharex=True, sharey=True, squeeze=False)
    for axes, record in zip(panels[0], records, strict=True):
        history = record["history"]
        steps, train, validation = (
            [entry[name] for entry in history]
            for name in ("step", "train_loss", "validation_loss")
        )
        axes.fill_between(steps, train, validation, color="#e8e8e8", linewidth=0)
        axes.plot(steps, train, "--", color=TRAIN, linewidth=1.3)
        axes.plot(steps, validation, "-", color=VALIDATION, linewidth=2)
        lowest = min(validation)
        dot = steps[validation.index(lowest)], lowest
        axes.plot(*dot, "o", color=VALIDATION, clip_on=False)
        beside = {"textcoords": "offset points", "ha": "right", "fontsize": 9}
        best = f"best {lowest:.2f}\nat step {dot[0]:,}"
        axes.annotate(best, dot, xytext=(2, 12), **beside)
        middle = len(steps) // 2
        for name, losses, color, offset, side in (
            ("validation text", validation, VALIDATION, (4, 8), "left"),
            ("training text", train, TRAIN, (-2, -14), "right"),
        ):
            look = beside | {"ha": side, "color": color}
            axes.annotate(name, (steps[middle], losses[middle]), xytext=offset, **look)
        uniform, unigram = np.log(record["vocab_size"]), record["unigram_loss"]
        reference_lines(axes, {"uniform": uniform, "unigram": unigram})
        name = TITLES.get(record["name"], record["name"])
        axes.set(title=f"{name}, seed {record['seed']}", xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("loss (nats a word, dropout off)")
    figure.suptitle(records[0]["corpus"])
    return figure


@default_style()
def true_vs_pred(record: dict) -> Figure:
    """Draws the same masked words at each phase of training: true word and prediction.

    A tick and bold letters mark what is right, a cross what is wrong. The last row is
    the word predicted most often over all masked words, with its share.
    """
    phases = record["samples"]
    samples = phases[0]["predictions"]
    count = len(samples)
    figure = Figure(figsize=(8.9, 1.2 + 0.33 * count))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(count + 2.1, -0.6))
    axes.axis("off")

    def write(x, y, text, **style):
        style = {"fontsize": 8, "va": "center", "parse_math": False} | style
        axes.text(x, y, drawable(text, 57), **style)

    write(0.01, 0, "context, with the masked word in [ ]", weight="bold", fontsize=9)
    for y, sample in enumerate(samples, start=1):
        left, right = " ".join(sample["left"][-4:]), " ".join(sample["right"][:3])
        write(0.01, y + 0.2, f"{left} [{sample['true']}] {right}")
    write(0.01, count + 1.3, "predicted most often, of all masked words")
    for x, phase in zip(0.47 + 0.135 * np.arange(len(phases)), phases, strict=True):
        write(x, -0.15, phase["phase"], weight="bold", fontsize=9)
        write(x, 0.35, f"step {phase['step']:,}", color=QUIET)
        for y, answer in enumerate(phase["predictions"], start=1):
            right = answer["pred"] == answer["true"]
            style = {"weight": "bold"} if right else {"color": WRONG}
            mark = "✓" if right else "✗"
            write(x, y + 0.2, f"{mark} {answer['pred']} {answer['p']:.0%}", **style)
        often = f"{phase['most_predicted']} {phase['most_predicted_share']:.0%}"
        write(x, count + 1.3, often)
    axes.axhline(count + 0.7, 0.01, 0.99, color=QUIET, linewidth=0.5)
    return figure
