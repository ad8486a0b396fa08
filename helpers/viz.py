"""Pictures of training runs and of attention.

One look for the series: one sequential blue for attention, on one scale for all that is
compared, with named axes; colour never speaks alone. Functions return a matplotlib
figure, which `show` displays with a text for those who cannot see it.
"""

import base64
import io
from functools import cache
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from IPython.display import display
from matplotlib import font_manager, ft2font
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor

from helpers.notebook import plots_dir

DPI = 100  # with a width of at most 9 inches, a figure fits a notebook's page
TRAIN, VALIDATION, QUIET = "#0072B2", "#D55E00", "#666666"
BLUES = LinearSegmentedColormap.from_list("attention", ["white", "#4c92c3"])
TITLES = {"no_dropout": "without dropout", "dropout": "with dropout"}


def show(figure: Figure, alt: str) -> None:
    """Displays a figure as PNG; `alt` describes it in words."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    picture = base64.b64encode(buffer.getvalue()).decode()
    display(
        {"image/png": picture, "text/plain": alt},
        metadata={"image/png": {"alt": alt}},
        raw=True,
    )
    plt.close(figure)


def save(figure: Figure, name: str) -> Path:
    """Saves a figure among the plots of the current budget."""
    path = plots_dir() / name
    figure.savefig(path, dpi=DPI)
    return path


@cache
def glyphs() -> frozenset[int]:
    """The characters that the default font can draw."""
    font = ft2font.FT2Font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def drawable(token: str) -> str:
    """A token with ▯ for each character that the font lacks."""
    return "".join(c if ord(c) in glyphs() and c >= " " else "▯" for c in token)


def label_ticks(axes, xlabels: list[str], ylabels: list[str]) -> None:
    """Puts a token at each column and row, as it is: a $ starts no formula."""
    axes.set_xticks(np.arange(len(xlabels)) + 0.5, map(drawable, xlabels), rotation=90)
    axes.set_yticks(np.arange(len(ylabels)) + 0.5, map(drawable, ylabels), rotation=0)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)


def check_weights(weights_TS: Tensor, queries: list[str], keys: list[str]) -> None:
    """ValueError unless each row has a label and sums to 1, and each column a label."""
    if tuple(weights_TS.shape) != (len(queries), len(keys)):
        raise ValueError(
            f"Weights of shape {tuple(weights_TS.shape)} need as many labels, not "
            f"{len(queries)} queries and {len(keys)} keys."
        )
    if (weights_TS.sum(-1) - 1).abs().max() > 1e-3:
        raise ValueError(
            "The rows do not sum to 1; give weights as attention has them."
        )


def attention_matrix(
    weights_TS: Tensor, queries: list[str], keys: list[str], title: str, vmax=1.0
) -> Figure:
    """Who looks at whom: a row for each token that looks, a column for each looked at.

    The colour runs from 0 to `vmax`. ValueError if labels and matrix do not match.
    """
    check_weights(weights_TS, queries, keys)
    side = min(7.0, 1.8 + 0.32 * len(keys))
    figure, axes = plt.subplots(figsize=(side + 0.8, side), layout="constrained")
    sns.heatmap(
        weights_TS.detach().cpu().numpy(),
        vmin=0,
        vmax=vmax,
        cmap=BLUES,
        square=True,
        linewidths=0.5,
        cbar_kws={"label": "attention weight", "shrink": 0.8},
        ax=axes,
    )
    label_ticks(axes, keys, queries)
    axes.set(title=title, xlabel="key (looked at)", ylabel="query (looks)")
    return figure


def head_matrix(prediction) -> Figure:
    """Where each head of each layer looked from the hidden word; rows L1H1 to L4H8."""
    rows_NHS = prediction.weights_NHTS[:, :, prediction.position + 1]
    n_layers, n_heads, length = rows_NHS.shape
    rows = rows_NHS.flatten(0, 1)
    names = [f"L{n + 1}H{h + 1}" for n in range(n_layers) for h in range(n_heads)]
    check_weights(rows, names, prediction.tokens)
    height = 1.4 + 0.17 * len(rows)
    width = min(8.8, 2.4 + 0.32 * length)
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    sns.heatmap(
        rows, vmin=0, vmax=1, cmap=BLUES, cbar_kws={"label": "attention weight"}
    )
    label_ticks(axes, prediction.tokens, names)
    axes.tick_params("y", labelsize=7)
    for border in range(n_heads, len(rows), n_heads):
        axes.axhline(border, color=QUIET, linewidth=1)
    axes.set(
        title="Attention of the hidden position, head by head",
        xlabel="key (looked at)",
        ylabel="layer and head",
    )
    return figure


def attention_mosaic(prediction) -> Figure:
    """All attention matrices, layers down and heads across, on one scale."""
    weights_NHTS = prediction.weights_NHTS
    n_layers, n_heads, length, _ = weights_NHTS.shape
    tile = length + 2
    mosaic = np.full((n_layers * tile, n_heads * tile), np.nan)
    for n in range(n_layers):
        for h in range(n_heads):
            rows = slice(n * tile + 1, n * tile + 1 + length)
            columns = slice(h * tile + 1, h * tile + 1 + length)
            mosaic[rows, columns] = weights_NHTS[n, h]
    figure, axes = plt.subplots(
        figsize=(8.8, 0.8 + 8.0 * n_layers / n_heads), layout="constrained"
    )
    cmap = BLUES.copy()
    cmap.set_bad("#dddddd")
    image = axes.imshow(mosaic, vmin=0, vmax=1, cmap=cmap, interpolation="nearest")
    middle = tile / 2 - 0.5
    axes.set_xticks(
        middle + tile * np.arange(n_heads), [f"head {h + 1}" for h in range(n_heads)]
    )
    axes.set_yticks(
        middle + tile * np.arange(n_layers), [f"layer {n + 1}" for n in range(n_layers)]
    )
    axes.tick_params(length=0)
    axes.set_title(
        "In each square: rows are queries (look), columns keys (looked at)", fontsize=10
    )
    figure.colorbar(image, label="attention weight", shrink=0.8)
    return figure


def training_curves(records: list[dict]) -> Figure:
    """Training and validation loss of runs side by side, on the same axes.

    Both losses are measured in eval mode. Dotted lines: the unigram plateau and the
    uniform guess.
    """
    figure, panels = plt.subplots(
        1,
        len(records),
        figsize=(8.8, 3.6),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, record in zip(panels[0], records, strict=True):
        history = record["history"]
        steps = [entry["step"] for entry in history]
        train = [entry["train_loss"] for entry in history]
        validation = [entry["validation_loss"] for entry in history]
        best = min(history, key=lambda entry: entry["validation_loss"])
        axes.fill_between(steps, train, validation, color="#eeeeee")
        axes.plot(steps, train, "--", color=TRAIN, lw=1.4, label="training text")
        axes.plot(steps, validation, color=VALIDATION, lw=1.8, label="validation text")
        axes.plot(
            best["step"], best["validation_loss"], "o", color=VALIDATION, clip_on=False
        )
        axes.annotate(
            f"best {best['validation_loss']:.2f}",
            (best["step"], best["validation_loss"]),
            xytext=(-4, 12),
            textcoords="offset points",
            ha="right",
        )
        references = {
            "uniform": np.log(record["vocab_size"]),
            "unigram": record["unigram_loss"],
        }
        for name, loss in references.items():
            axes.axhline(loss, color=QUIET, linestyle=":", linewidth=1)
            axes.annotate(
                f"{name} {loss:.2f}",
                (1, loss),
                xycoords=("axes fraction", "data"),
                xytext=(-2, 2),
                textcoords="offset points",
                ha="right",
                color=QUIET,
                fontsize=9,
            )
        axes.set(title=TITLES.get(record["name"], record["name"]), xlabel="step")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].set_ylabel("loss (nats a word, dropout off)")
    panels[0][0].legend(loc="upper right", bbox_to_anchor=(1, 0.62), frameon=False)
    seeds = {record["seed"] for record in records}
    figure.suptitle(f"{records[0]['corpus']}, seed {', '.join(map(str, seeds))}")
    return figure


def true_vs_pred(record: dict) -> Figure:
    """The same hidden words at each phase of training: true word and prediction."""
    phases = record["samples"]
    count = len(phases[0]["predictions"])
    figure = Figure(figsize=(8.9, 0.9 + 0.33 * count))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(count + 1.6, -0.6))
    axes.axis("off")

    def write(x, y, text, **style):
        axes.text(x, y, drawable(text), va="center", parse_math=False, **style)

    columns = 0.47 + 0.135 * np.arange(len(phases))
    write(0.01, 0, "context, with the hidden word in [ ]", weight="bold", fontsize=9)
    for x, phase in zip(columns, phases, strict=True):
        write(x, -0.15, phase["phase"], weight="bold", fontsize=9)
        write(x, 0.35, f"step {phase['step']:,}", color=QUIET, fontsize=8)
    for row in range(count):
        first, y = phases[0]["predictions"][row], row + 1.2
        left, right = " ".join(first["left"][-4:]), " ".join(first["right"][:3])
        text = f"{left} [{first['true']}] {right}"
        write(0.01, y, text if len(text) < 58 else text[:57] + "…", fontsize=8)
        for x, phase in zip(columns, phases, strict=True):
            found = phase["predictions"][row]
            right = found["pred"] == found["true"]
            write(
                x,
                y,
                f"{'✓' if right else '✗'} {found['pred']} {found['p']:.0%}",
                fontsize=8,
                weight="bold" if right else "normal",
                color="black" if right else "#8a1c1c",
            )
    return figure
