"""How training went: curves of runs, and what a model predicted at each phase."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from helpers.figure import default_style, reference_lines

TRAIN, VALIDATION = "#0072B2", "#D55E00"
TITLES = {"no_dropout": "without dropout", "dropout": "with dropout"}
SPECIAL = str.maketrans({c: f"\\{c}" for c in "\\`*_|<>$[]~"})  # in Markdown


@default_style()
def training_curves(records: list[dict]) -> Figure:
    """Draws the runs over each other: losses on the left, right guesses beside them.

    All of it is measured with dropout off. A dot marks the lowest validation loss;
    dotted lines are the uniform guess and the unigram plateau.
    """
    figure = Figure(figsize=(8.8, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    colors = TRAIN, VALIDATION, "#009E73"
    for color, record in zip(colors, records, strict=False):
        steps, train, validation, accuracy = (
            [entry[name] for entry in record["history"]]
            for name in ("step", "train_loss", "validation_loss", "validation_accuracy")
        )
        name = TITLES.get(record["name"], record["name"])
        label, best = f"{name}, seed {record['seed']}", int(np.argmin(validation))
        left.plot(steps, train, "--", color=color, linewidth=1)
        left.plot(steps, validation, "-", color=color, linewidth=1.8)
        left.plot(steps[best], validation[best], "o", color=color, clip_on=False)
        right.plot(steps, accuracy, "-", color=color, linewidth=1.8, label=label)
    left.plot([], [], "-", color="#555555", label="validation text")
    left.plot([], [], "--", color="#555555", linewidth=1, label="training text")
    reference_lines(
        left,
        {"uniform": np.log(record["vocab_size"]), "unigram": record["unigram_loss"]},
    )
    left.set_ylabel("loss (nats per word)")
    right.set_ylabel("validation words guessed right")
    right.set_ylim(0)
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.legend(frameon=False, fontsize=9, loc=(0.55, 0.4))
    right.legend(frameon=False, fontsize=9, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{record['corpus']}, dropout off while scoring", fontsize=11)
    return figure


def true_vs_pred(phases: list[dict]) -> str:
    """The same masked words at each phase of training, as a Markdown table.

    A tick and bold letters mark what is right, a cross what is wrong. The last row is
    the word predicted most often over all masked words, with its share.
    """

    def told(answer: dict) -> str:
        word = f"{answer['pred'].translate(SPECIAL)} {answer['p']:.0%}"
        return f"✓ **{word}**" if answer["pred"] == answer["true"] else f"✗ {word}"

    def context(answer: dict) -> str:
        words = [*answer["left"][-4:], f"[{answer['true']}]", *answer["right"][:3]]
        return " ".join(words).translate(SPECIAL)

    titles = [f"{phase['phase']}, step {phase['step']:,}" for phase in phases]
    often = [
        f"{phase['most_predicted'].translate(SPECIAL)} "
        f"{phase['most_predicted_share']:.0%}"
        for phase in phases
    ]
    rows = [["The masked word in its context", *titles], ["---"] * (1 + len(phases))]
    answers = zip(*(phase["predictions"] for phase in phases), strict=True)
    rows += [[context(row[0]), *map(told, row)] for row in answers]
    rows += [["*predicted most often, over all masked words*", *often]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
