"""Pictures of training runs and of attention.

One look for the series: one sequential blue for attention, on one scale for all that is
compared, with named axes; colour never speaks alone. Functions return a matplotlib
figure, which `show` displays with a text for those who cannot see it.
"""

import numpy as np
import seaborn as sns
import torch
from matplotlib.figure import Figure
from torch import Tensor

from helpers.figure import (
    BLUES,
    QUIET,
    default_style,
    drawable,
)

TRAIN, VALIDATION, WRONG = "#0072B2", "#D55E00", "#8a1c1c"
TITLES = {"no_dropout": "without dropout", "dropout": "with dropout"}


def rollout(weights_NHTS: Tensor) -> Tensor:
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


def label_ticks(axes, xlabels: list[str], ylabels: list[str]) -> None:
    """Puts a token at each column and row, as it is: a $ starts no formula."""
    axes.set_xticks(np.arange(len(xlabels)) + 0.5, map(drawable, xlabels), rotation=90)
    axes.set_yticks(np.arange(len(ylabels)) + 0.5, map(drawable, ylabels), rotation=0)
    for axis, labels in (("x", xlabels), ("y", ylabels)):
        axes.tick_params(axis, labelsize=9 if len(labels) < 40 else 7)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)


def check_weights(weights_TS: Tensor, queries: list[str], keys: list[str]) -> None:
    """ValueError unless each row has a label and sums to 1, and each column a label."""
    if tuple(weights_TS.shape) != (len(queries), len(keys)):
        raise ValueError(
            f"Weights of shape {tuple(weights_TS.shape)} need as many labels, not "
            f"{len(queries)} queries and {len(keys)} keys."
        )
    if not (weights_TS.sum(-1) - 1).abs().max() < 1e-3:  # also of NaN
        raise ValueError(
            "The rows do not sum to 1. Give weights as attention has them, before "
            "dropout, with a row for each token that looks."
        )


def draw_weights(axes, weights_TS: Tensor, vmax: float, **options) -> None:
    """A matrix of weights in blue, from 0 to `vmax`, with its scale."""
    highest = float(weights_TS.max())
    sns.heatmap(
        weights_TS.detach().cpu().numpy(),
        vmin=0,
        vmax=vmax,
        cmap=BLUES,
        cbar_kws={
            "label": "attention weight",
            "extend": "max" if highest > vmax else "neither",
        },
        ax=axes,
        **options,
    )


@default_style()
def attention_matrix(
    weights_TS: Tensor, queries: list[str], keys: list[str], title: str, vmax=1.0
) -> Figure:
    """Who looks at whom: a row for each token that looks, a column for each looked at.

    The colour runs from 0 to `vmax`. ValueError if labels and matrix do not match.
    """
    check_weights(weights_TS, queries, keys)
    side = min(7.5, 2.2 + 0.3 * len(keys))
    figure = Figure(figsize=(side + 0.9, side), layout="constrained")
    axes = figure.subplots()
    draw_weights(axes, weights_TS, vmax, square=True, linewidths=0.4)
    label_ticks(axes, keys, queries)
    axes.set(xlabel="key (looked at)", ylabel="query (looks)")
    axes.set_title(drawable(title, 80), parse_math=False)
    return figure


@default_style()
def head_matrix(prediction, vmax=1.0) -> Figure:
    """Where each head of each layer looked from the masked word; rows L1H1 to L4H8."""
    rows_NHS = prediction.weights_NHTS[:, :, prediction.position + 1]
    n_layers, n_heads, length = rows_NHS.shape
    rows = rows_NHS.flatten(0, 1)
    names = [f"L{n + 1}H{h + 1}" for n in range(n_layers) for h in range(n_heads)]
    check_weights(rows, names, prediction.tokens)
    size = min(8.8, 3.0 + 0.3 * length), 1.6 + 0.2 * len(rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    draw_weights(axes, rows, vmax)
    label_ticks(axes, prediction.tokens, names)
    for border in range(n_heads, len(rows), n_heads):
        axes.axhline(border, color=QUIET, linewidth=1)
    axes.set_title("From the masked word, head by head")
    axes.set(xlabel="key (looked at)", ylabel="layer and head")
    return figure


@default_style()
def attention_mosaic(prediction, vmax=1.0) -> Figure:
    """All attention matrices, layers down and heads across, on one scale."""
    weights_NHTS = prediction.weights_NHTS
    n_layers, n_heads, length, _ = weights_NHTS.shape
    tile = length + max(2, length // 12)
    mosaic = np.full((n_layers * tile, n_heads * tile), np.nan)
    for n in range(n_layers):
        for h in range(n_heads):
            check_weights(weights_NHTS[n, h], prediction.tokens, prediction.tokens)
            rows = slice(n * tile + 1, n * tile + 1 + length)
            columns = slice(h * tile + 1, h * tile + 1 + length)
            mosaic[rows, columns] = weights_NHTS[n, h].numpy()
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
