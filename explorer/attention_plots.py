"""Attention followed through layers, and pictures of it: one matrix, one row, or all.

Every picture has named axes and the same blue, on a scale that it states. The functions
that draw one return a matplotlib figure, which `show_figure` displays with a text for
those who cannot see it.

Shapes: N layers, H heads, T positions that look, S positions looked at, W words.
"""

import numpy as np
import seaborn as sns
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from explorer.drawn_text import drawable_text
from helpers.figure import QUIET, default_style

# Light enough that black text on it has a contrast of 5:1 everywhere.
BLUES = LinearSegmentedColormap.from_list("attention", ["white", "#4c92c3"])
RING = "#c8102e"


def attention_of_words(weights_NHTS: Tensor, spans: list[range]) -> Tensor:
    """Attention between words, [CLS] and [SEP], from that between their tokens.

    A word gets what all of its tokens get, and gives what they give on average, so the
    rows still sum to 1.
    """
    last = weights_NHTS.shape[-1] - 1
    parts = [[0], *map(list, spans), [last]]
    if len(parts) == last + 1:
        return weights_NHTS
    got_NHTW = torch.stack([weights_NHTS[..., part].sum(-1) for part in parts], -1)
    return torch.stack([got_NHTW[:, :, part].mean(2) for part in parts], 2)


def attention_rollout(weights_NHTS: Tensor) -> Tensor:
    """Attention followed through all layers, shape (T, S), rows sum to 1.

    Ã = (A + 1) / 2 in each layer, A the mean over heads and 1 what the residual
    connection carries; then the product Ã_N … Ã_1 (Abnar & Zuidema 2020, section 3).
    """
    length = weights_NHTS.shape[-1]
    one_TS = torch.eye(length, dtype=weights_NHTS.dtype, device=weights_NHTS.device)
    followed_TS = one_TS
    for weights_HTS in weights_NHTS:
        followed_TS = (weights_HTS.mean(0) + one_TS) / 2 @ followed_TS
    return followed_TS


def require_attention(weights_TS: Tensor, queries: list[str], keys: list[str]) -> None:
    """Raises ValueError unless every row sums to 1 and rows and columns have labels.

    There may be dimensions before T and S, such as those of layers and heads.
    """
    if weights_TS.shape[-2:] != (len(queries), len(keys)):
        rows, columns = weights_TS.shape[-2:]
        raise ValueError(
            f"Weights of shape {tuple(weights_TS.shape)} need {rows} query labels and "
            f"{columns} key labels, but got {len(queries)} and {len(keys)}."
        )
    if not (weights_TS.sum(-1) - 1).abs().max() < 1e-3:  # also of NaN
        raise ValueError(
            "The rows do not sum to 1. Pass the attention weights from before dropout, "
            "one row for each token that looks."
        )


def plot_attention(axes, weights_TS: Tensor, queries, keys, vmax: float, **options):
    """Draws weights in blue, from 0 to `vmax`, with their scale and labels."""
    require_attention(weights_TS, queries, keys)
    beyond = "max" if float(weights_TS.max()) > vmax else "neither"
    sns.heatmap(
        weights_TS.detach().cpu().numpy(),
        vmin=0,
        vmax=vmax,
        cmap=BLUES,
        cbar_kws={"label": "attention weight", "extend": beyond},
        ax=axes,
        **options,
    )
    columns, rows = (np.arange(len(labels)) + 0.5 for labels in (keys, queries))
    axes.set_xticks(columns, map(drawable_text, keys), rotation=90)
    axes.set_yticks(rows, map(drawable_text, queries), rotation=0)
    for axis, labels in (("x", keys), ("y", queries)):
        axes.tick_params(axis, labelsize=9 if len(labels) < 40 else 7)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a token such as $ starts no formula


@default_style()
def attention_matrix(
    weights_TS: Tensor, queries: list[str], keys: list[str], title: str, vmax=1.0
) -> Figure:
    """Draws who looks at whom: a row for each query, a column for each key.

    The colour runs from 0 to `vmax`. ValueError if labels and matrix do not match.
    """
    side = min(7.5, 2.2 + 0.3 * len(keys))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    plot_attention(axes, weights_TS, queries, keys, vmax, square=True, linewidths=0.4)
    axes.set(xlabel="key (looked at)", ylabel="query (looks)")
    axes.set_title(drawable_text(title, 80), parse_math=False)
    return figure


@default_style()
def head_matrix(prediction, vmax=1.0, marked=None) -> Figure:
    """Draws where each head of each layer looked from the masked word, L1H1 on top.

    `marked` is a layer, a head and a token, counted from 0; that cell gets a red frame.
    """
    rows_NHS = prediction.weights_NHTS[:, :, prediction.position + 1]
    n_layers, n_heads, length = rows_NHS.shape
    names = [f"L{n + 1}H{h + 1}" for n in range(n_layers) for h in range(n_heads)]
    size = min(8.8, 3.0 + 0.3 * length), 1.6 + 0.2 * len(names)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    plot_attention(axes, rows_NHS.flatten(0, 1), names, prediction.tokens, vmax)
    for border in range(n_heads, len(names), n_heads):
        axes.axhline(border, color=QUIET, linewidth=1)
    if marked:
        layer, head, token = marked
        row, look = layer * n_heads + head, {"fill": False, "linewidth": 2.2}
        axes.add_patch(Rectangle((token, row), 1, 1, edgecolor=RING, **look))
        for label in (axes.get_yticklabels()[row], axes.get_xticklabels()[token]):
            label.set(color=RING, weight="bold")
    axes.set_title("From the masked word, head by head")
    axes.set(xlabel="key (looked at)", ylabel="layer and head")
    return figure


@default_style()
def attention_mosaic(prediction, vmax=1.0) -> Figure:
    """Draws all attention matrices on one scale, layers down and heads across."""
    weights_NHTS = prediction.weights_NHTS
    require_attention(weights_NHTS, prediction.tokens, prediction.tokens)
    n_layers, n_heads, length, _ = weights_NHTS.shape
    margin = (1, max(2, length // 12) - 1)
    tiles = np.pad(weights_NHTS, [(0, 0)] * 2 + [margin] * 2, constant_values=np.nan)
    tile = tiles.shape[-1]
    mosaic = tiles.swapaxes(1, 2).reshape(n_layers * tile, n_heads * tile)
    height = 0.9 + 7.6 * n_layers / n_heads
    figure = Figure(figsize=(8.8, height), layout="constrained")
    axes = figure.subplots()
    cmap = BLUES.with_extremes(bad="#dddddd")
    image = axes.imshow(mosaic, vmin=0, vmax=vmax, cmap=cmap, interpolation="nearest")
    heads, layers = tile * np.arange(n_heads), tile * np.arange(n_layers)
    middle = (length + 1) / 2
    axes.set_xticks(middle + heads, [f"head {h + 1}" for h in range(n_heads)])
    axes.set_yticks(middle + layers, [f"layer {n + 1}" for n in range(n_layers)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title("In each square: rows are queries (look), columns keys (looked at)")
    figure.colorbar(image, label="attention weight", shrink=0.8)
    return figure
