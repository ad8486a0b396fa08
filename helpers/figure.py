"""Figures in a notebook: one look for all, shown with a text; curves of a training.

Figures are made without pyplot, so none is shown twice or kept in memory. A reader's
own style does not reach them: what makes or draws one does so in the `default_style`.
"""

import base64
import html
import io
from functools import partial

import numpy as np
from IPython.display import display
from matplotlib import style
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from PIL import Image

DPI = 100  # with a width of at most 9 inches, a figure fits a notebook's page
QUIET, TRAIN, VALIDATION = "#595959", "#0072B2", "#D55E00"
TITLES = {"no_dropout": "without dropout", "dropout": "with dropout"}


# Matplotlib's own style, for a `with` statement or as a decorator. Its settings act
# both when the parts of a figure are made and when it is drawn.
default_style = partial(style.context, "default")


@default_style()
def figure_png(figure: Figure) -> bytes:
    """A figure as PNG in 256 colours, a third of the bytes for a notebook to carry."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    # The 256 that leave no colour far from its own, also those of few points.
    few = Image.Quantize.MAXCOVERAGE
    with Image.open(drawn) as picture:
        small = picture.convert("RGB").quantize(256, few, dither=Image.Dither.NONE)
    small.save(packed, "png", optimize=True)
    return packed.getvalue()


def show_figure(figure: Figure | bytes, alt: str, live: dict | None = None, kind="png"):
    """Displays a figure, or a picture of that kind; `alt` describes it in words.

    `live` is a form of the same output, by MIME type, for pages that can show it.
    """
    content = figure if isinstance(figure, bytes) else figure_png(figure)
    source = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    # As HTML, because no front end gives the text of a bare picture to its readers.
    page = f'<img alt="{html.escape(alt)}" src="{source}">'
    display({**(live or {}), "text/html": page, "text/plain": alt}, raw=True)


def reference_loss_lines(axes, losses: dict[str, float]) -> None:
    """A dotted line, with its name and number, for each loss to compare with."""
    for name, loss in losses.items():
        axes.axhline(loss, color=QUIET, linestyle=":", linewidth=1)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        style = {"ha": "right", "fontsize": 9, "color": QUIET}
        axes.annotate(f"{name} {loss:.2f}", (1, loss), (-2, 3), **place, **style)


@default_style()
def training_curves(records: list[dict]) -> Figure:
    """Draws the runs over each other: losses on the left, right guesses beside them.

    All of it is measured with dropout off. A dot marks the lowest validation loss;
    dotted lines are the uniform guess and the unigram plateau.
    """
    figure = Figure(figsize=(8.8, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for color, record in zip((TRAIN, VALIDATION, "#009E73"), records, strict=False):
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
    key = {"-": "validation text", "--": "training text", "o": "lowest validation loss"}
    for look, label in key.items():
        left.plot([], [], look, color="#555555", label=label)
    uniform, unigram = np.log(record["vocab_size"]), record["unigram_loss"]
    reference_loss_lines(left, {"uniform": uniform, "unigram": unigram})
    left.set_ylabel("loss (nats per word)")
    right.set(ylabel="validation words guessed right", ylim=(0, None))
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    left.legend(frameon=False, fontsize=9, loc=(0.45, 0.32))
    right.legend(frameon=False, fontsize=9, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("step")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{record['corpus']}, dropout off while scoring", fontsize=11)
    return figure
