"""The heatmap over a sentence: where a model looked from a hidden word.

Blue blur behind each token by its share of attention, a red ring with a white halo at
the hidden one. The shares of all tokens, special ones included, add up to 100 %.
"""

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from PIL import Image, ImageFilter

from helpers.predict import Prediction
from helpers.viz import BLUES, DPI, QUIET, drawable

WIDTH, LINE, MARGIN = 880, 46, 24  # pixels
RING = "#c8102e"


def percent(share: float) -> str:
    """A share as in a caption: 36.5 %."""
    return f"{100 * share:.1f} %"


def caption(prediction: Prediction) -> str:
    """Two lines: true and predicted word, then the five best guesses."""
    true = "outside the vocabulary" if prediction.true is None else prediction.true
    best = ", ".join(f"{word} {percent(p)}" for word, p in prediction.top)
    return (
        f"TRUE: {true} • PRED: {prediction.pred} ({percent(prediction.p_pred)})\n"
        f"Top-{len(prediction.top)}: {best}"
    )


def view_name(layer: int | None, head: int | None, n_layers: int) -> str:
    """Which attention is shown, in words."""
    number = "mean of all layers" if layer is None else f"layer {layer % n_layers + 1}"
    return f"{number}, {'mean of all heads' if head is None else f'head {head + 1}'}"


def flow(widths: list[float], limit: float, gap: float) -> list[tuple[float, int]]:
    """Left edge and line of boxes that are set one after another like words."""
    places, x, line = [], 0.0, 0
    for width in widths:
        if x > 0 and x + width > limit:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += width + gap
    return places


def sentence_heatmap(
    prediction: Prediction, layer: int | None = -1, head: int | None = None, vmax=None
) -> Figure:
    """Attention of the hidden position over its sentence.

    Layer None is the mean of all layers, head None the mean of all heads. The strongest
    blue stands for `vmax`, by default the largest share; give it to compare figures.
    """
    tokens = [drawable(token) for token in prediction.tokens]
    share_S = prediction.attention(layer, head).numpy()
    vmax = float(share_S.max()) if vmax is None else vmax
    style = {"fontsize": 12, "parse_math": False, "va": "center"}
    probe = Figure(dpi=DPI)
    renderer = FigureCanvasAgg(probe).get_renderer()
    widths = [
        probe.text(0, 0, token, **style).get_window_extent(renderer).width
        for token in tokens
    ]
    places = flow(widths, WIDTH - 2 * MARGIN, gap=16)
    top = 58
    height = top + LINE * (places[-1][1] + 1) + 96
    figure = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    blue = np.zeros((height, WIDTH))
    for (x, line), width, share in zip(places, widths, share_S, strict=True):
        y = top + LINE * line + LINE // 2
        left, right = int(MARGIN + x - 5), int(MARGIN + x + width + 5)
        blue[y - 14 : y + 14, left:right] = min(1.0, share / vmax)
    soft = Image.fromarray((255 * blue).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(4)
    )
    axes.imshow(soft, cmap=BLUES, vmin=0, vmax=255, extent=(0, WIDTH, height, 0))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    for i, (token, (x, line), width) in enumerate(
        zip(tokens, places, widths, strict=True)
    ):
        y, hidden = top + LINE * line + LINE / 2, i == prediction.position + 1
        special = i in (0, len(tokens) - 1)
        axes.text(MARGIN + x, y, token, color=QUIET if special else "black", **style)
        for color, line_width in (("white", 6.5), (RING, 2.6)) if hidden else ():
            box = FancyBboxPatch(
                (MARGIN + x - 1, y - 12),
                width + 2,
                24,
                boxstyle="round,pad=4",
                fill=False,
                edgecolor=color,
                linewidth=line_width,
            )
            axes.add_patch(box)
    name = view_name(layer, head, len(prediction.weights_NHTS))
    title = f"Where the hidden position (red ring) looks: {name}"
    axes.text(MARGIN, 28, title, fontsize=12, weight="bold", va="center")
    draw_scale(axes, height, vmax, 1 / len(tokens))
    for i, line in enumerate(caption(prediction).splitlines()):
        axes.text(MARGIN, height - 62 + 24 * i, drawable(line), **style)
    return figure


def draw_scale(axes, height: int, vmax: float, uniform: float) -> None:
    """The scale of blue with its ends, and the share that each token would get if all
    were looked at alike."""
    left, right, y = WIDTH - 250, WIDTH - 90, height - 12
    ramp = np.linspace(0, 1, 64)[None]
    axes.imshow(ramp, cmap=BLUES, vmin=0, vmax=1, extent=(left, right, y + 4, y - 6))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    small = {"fontsize": 9, "va": "center"}
    axes.text(left - 6, y, "0 %", ha="right", **small)
    axes.text(right + 6, y, percent(vmax), **small)
    at = left + (right - left) * min(1.0, uniform / vmax)
    axes.plot([at, at], [y + 4, y - 6], color="black", linewidth=1)
    text = f"uniform would be {percent(uniform)}"
    axes.text(MARGIN, y, f"Shares add up to 100 %; {text} (line in the scale)", **small)


def heatmap_name(batch: int, item: int, prediction: Prediction) -> str:
    """A file name that is safe on every system, for any token."""
    true, pred = slug(prediction.true or "[UNK]"), slug(prediction.pred)
    return f"test_b{batch}_i{item}_pos{prediction.position}_true-{true}_pred-{pred}.png"


def slug(token: str) -> str:
    """ASCII letters and digits stay, any other character becomes uXXXX; 24 at most."""
    token = token.strip("<>[]") or token
    safe = (c if c.isascii() and c.isalnum() else f"u{ord(c):04x}" for c in token)
    return "".join(safe)[:24]
