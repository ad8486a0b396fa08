"""The heatmap over a sentence: where a model looked from a masked word.

The blue behind a token is as strong as its share of attention, and a red ring with a
white halo marks the masked one. The shares of all tokens, special ones included, add up
to 100 %.
"""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image, ImageFilter

from explorer.attention_plots import BLUES, RING
from explorer.drawn_text import drawable_text, drawn_text_places, drawn_text_widths
from explorer.predict import Prediction
from helpers.figure import DPI, default_style

WIDTH, LINE, MARGIN, GAP = 880, 46, 24, 20  # pixels


def heatmap_percent(share: float) -> str:
    """A share as in a caption: 36.5 %."""
    return f"{100 * share:.1f} %"


def heatmap_caption(prediction: Prediction) -> str:
    """Two lines: true and predicted word, then the five best guesses."""
    unknown = "none, a blank" if prediction.blank else "outside the vocabulary"
    true = prediction.true or unknown
    best = ", ".join(f"{word} {heatmap_percent(p)}" for word, p in prediction.top)
    return (
        f"TRUE: {true} • PRED: {prediction.pred} "
        f"({heatmap_percent(prediction.p_pred)})\nTop-{len(prediction.top)}: {best}"
    )


def heatmap_view(layer, head: int | None, n_layers: int) -> str:
    """Which attention is shown, in words; `layer` and `head` as in a Prediction."""
    if layer == "rollout":
        return "rollout through all layers, mean of all heads"
    number = "mean of all layers" if layer is None else f"layer {layer % n_layers + 1}"
    return f"{number}, {'mean of all heads' if head is None else f'head {head + 1}'}"


def heatmap_blur(boxes: list[tuple[float, float, float]], shares, height: int):
    """A soft picture, 0 to 255: each box (left, right, y) as strong as its share."""
    blue = np.zeros((height, WIDTH))
    for (left, right, y), share in zip(boxes, shares, strict=True):
        blue[int(y) - 15 : int(y) + 15, int(left - 8) : int(right + 8)] = share
    soft = Image.fromarray((255 * blue).astype(np.uint8))
    return soft.filter(ImageFilter.GaussianBlur(4))


def heatmap_ring(axes, left: float, right: float, y: float) -> None:
    """A red ring on a white halo, which shows on blue also without colour vision."""
    for color, line_width in (("white", 6.5), (RING, 2.6)):
        box = FancyBboxPatch(
            (left - 1, y - 12),
            right - left + 2,
            24,
            boxstyle="round,pad=4",
            fill=False,
            edgecolor=color,
            linewidth=line_width,
        )
        axes.add_patch(box)


@default_style()
def sentence_heatmap(
    prediction: Prediction, layer=-1, head: int | None = None, vmax=None, note=""
) -> Figure:
    """Attention of the masked position over its sentence.

    `layer` and `head` as in `Prediction.attention`. The strongest blue stands for
    `vmax`, by default the largest share; give it to compare figures, and a `note` for
    the title to tell them apart.
    """
    tokens = [drawable_text(token) for token in prediction.tokens]
    share_S = prediction.attention(layer, head).numpy()
    vmax = float(share_S.max()) if vmax is None else vmax
    style = {"fontsize": 12, "parse_math": False, "va": "center"}
    widths = drawn_text_widths(tokens, style)
    places = drawn_text_places(widths, WIDTH - 2 * MARGIN, GAP)
    top = 56
    height = top + LINE * (places[-1][1] + 1) + 92
    boxes = [
        (MARGIN + x, MARGIN + x + width, top + LINE * (line + 0.5))
        for (x, line), width in zip(places, widths, strict=True)
    ]
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    soft = heatmap_blur(boxes, (share_S / vmax).clip(0, 1), height)
    axes.imshow(soft, cmap=BLUES, vmin=0, vmax=255, extent=(0, WIDTH, height, 0))
    heatmap_ring(axes, *boxes[prediction.position + 1])
    for i, (token, (left, _, y)) in enumerate(zip(tokens, boxes, strict=True)):
        special = i in (0, len(tokens) - 1)
        axes.text(left, y, token, **style, style="italic" if special else "normal")
    name = heatmap_view(layer, head, len(prediction.weights_NHTS))
    title = f"Where the masked word (red ring) looks: {name}"
    title += f" ({note})" if note else ""
    heatmap_line(axes, 26, title, style | {"weight": "bold"})
    for i, line in enumerate(heatmap_caption(prediction).splitlines()):
        heatmap_line(axes, height - 68 + 23 * i, drawable_text(line, 200), style)
    heatmap_scale(axes, height, vmax, 1 / prediction.n_tokens, share_S.max())
    return figure


def heatmap_line(axes, y: float, text: str, style: dict) -> None:
    """One line from margin to margin, in smaller letters where it is too long."""
    (width,) = drawn_text_widths([text], style)
    smaller = min(1, (WIDTH - 2 * MARGIN) / width)
    axes.text(MARGIN, y, text, **style | {"fontsize": style["fontsize"] * smaller})


def heatmap_scale(axes, height: int, vmax: float, uniform: float, most: float) -> None:
    """The scale of blue with its ends, and the share of each token if all were equal.

    `most` is the largest share; it may lie beyond the scale.
    """
    left, right, y = WIDTH - 290, WIDTH - 140, height - 16
    ramp = np.linspace(0, 1, 64)[None]
    axes.imshow(ramp, cmap=BLUES, vmin=0, vmax=1, extent=(left, right, y + 5, y - 5))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    small = {"fontsize": 9, "va": "center"}
    axes.text(left - 6, y, "0 %", ha="right", **small)
    end = heatmap_percent(vmax) + (" or more" if most > vmax else "")
    axes.text(right + 6, y, end, **small)
    at = left + (right - left) * min(1.0, uniform / vmax)
    axes.plot([at, at], [y + 5, y - 5], color="black", linewidth=1.2)
    text = f"uniform would be {heatmap_percent(uniform)}"
    axes.text(MARGIN, y, f"Shares add up to 100 %; {text} (line in the scale)", **small)
