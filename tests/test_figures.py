"""Figures: named axes, one scale, any token, nothing clipped, a text for each."""

import ast
import io
import warnings
from dataclasses import replace

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import seaborn as sns
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from explorer.attention_plots import attention_matrix, attention_mosaic, head_matrix
from explorer.drawn_text import drawable_text, drawn_text_widths
from explorer.heatmap import WIDTH, heatmap_caption, sentence_heatmap
from explorer.predict import Prediction
from helpers import ROOT, figure
from helpers.figure import training_curves
from helpers.record import read_record
from studies.lab.samples import samples_table

HARD = ["$5", "$x$", "–", "東京", "😀", "<unk>", "@-@", '""', "שלום", "\0a", "\ud800"]
SHIP = "In 1905 the ship sank".split()
RECORD = read_record(ROOT / "plots" / "records" / "dropout.json")


@pytest.fixture(autouse=True)
def no_warnings():
    """A figure that warns, about a missing glyph say, fails its test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def prediction(words, position=0, n_layers=4, n_heads=8, **others) -> Prediction:
    draw = torch.Generator().manual_seed(0)
    length = len(words) + 2
    scores = torch.randn(n_layers, n_heads, length, length, generator=draw)
    top = [("In", 0.365), ("On", 0.2), ("$", 0.1), ("–", 0.05), ("the", 0.01)]
    known = {"true": words[position], "p_true": 0.365, "rank_true": 1} | others
    known["chance_V"] = torch.tensor([0.635, 0.365])
    known |= {"target_ids": [1], "n_tokens": length}
    weights_NHTS = (3 * scores).softmax(-1)
    return Prediction(words, position, top, weights_NHTS=weights_NHTS, **known)


def all_figures(p: Prediction) -> list:
    """Every figure of helpers/ and explorer/."""
    matrix = attention_matrix(p.weights_NHTS[0, 0], p.tokens, p.tokens, "costs $5, $6")
    curves = training_curves([RECORD, RECORD | {"name": "dropout"}])
    return [matrix, head_matrix(p), attention_mosaic(p), sentence_heatmap(p), curves]


def texts(drawn) -> list:
    """All texts of a figure that are drawn."""
    artists = drawn.findobj(lambda artist: hasattr(artist, "get_text"))
    return [t for t in artists if t.get_text() and t.get_visible()]


def said(drawn) -> str:
    return "\n".join(text.get_text() for text in texts(drawn))


def overflow(drawn) -> float:
    """How many inches the texts and all else reach beyond the page."""
    FigureCanvasAgg(drawn).draw()
    x0, y0, x1, y1 = drawn.get_tightbbox().extents
    width, height = drawn.get_size_inches()
    return max(-x0, -y0, x1 - width, y1 - height)


@pytest.mark.parametrize(
    "words", [["Hello"], (HARD * 6)[:62], ["x" * 300, "of"]], ids=["1", "62", "long"]
)
def test_any_sentence_is_drawn_whole_and_not_kept_by_pyplot(words):
    for drawn in all_figures(prediction(words, len(words) - 1)):
        assert overflow(drawn) < 0.02
        assert drawn.get_figwidth() <= 9
        assert not any(t.get_parse_math() for t in texts(drawn) if "$" in t.get_text())
    assert plt.get_fignums() == []


def test_odd_characters_are_replaced_visibly_and_all_others_stay():
    assert drawable_text("東a\0\ud800\u200b") == "▯a▯▯▯"
    assert drawable_text("$ – ’ £ ° é @-@ <unk>") == "$ – ’ £ ° é @-@ <unk>"
    assert drawable_text("x" * 300) == "x" * 23 + "…"


def names(labels) -> list[str]:
    return [label.get_text() for label in labels]


def test_a_matrix_names_its_axes_and_puts_queries_down():
    weights_TS = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    axes, scale = attention_matrix(weights_TS, ["q1", "q2"], [*"abc"], "t").axes
    assert axes.get_ylabel() == "query (looks)" and axes.yaxis_inverted()  # q1 on top
    assert axes.get_xlabel() == "key (looked at)"
    assert names(axes.get_xticklabels()) == ["a", "b", "c"]
    assert names(axes.get_yticklabels()) == ["q1", "q2"]
    (mesh,) = axes.collections
    assert np.allclose(mesh.get_array(), weights_TS) and mesh.get_clim() == (0, 1)
    assert scale.get_ylabel() == "attention weight"


def test_heads_stand_where_their_names_say():
    p = prediction(list("abcde"), 2, n_layers=2, n_heads=3)
    axes = head_matrix(p, marked=(1, 2, 4)).axes[0]
    rows = axes.collections[0].get_array()
    assert rows.shape == (6, 7) and np.allclose(rows[3 + 2], p.weights_NHTS[1, 2, 3])
    assert names(axes.get_yticklabels()) == "L1H1 L1H2 L1H3 L2H1 L2H2 L2H3".split()
    (frame,) = axes.patches
    assert (frame.get_x(), frame.get_y()) == (4, 3 + 2)  # a column, a row
    (image,) = attention_mosaic(p).axes[0].images
    mosaic = image.get_array().filled(np.nan)
    tile = mosaic.shape[0] // 2
    part = mosaic[tile + 1 : tile + 8, 2 * tile + 1 : 2 * tile + 8]
    assert np.allclose(part, p.weights_NHTS[1, 2]) and image.get_clim() == (0, 1)


def test_wrong_weights_are_refused():
    even_TS, two, three = torch.full((2, 2), 0.5), ["a", "b"], ["a", "b", "c"]
    for queries, keys in ((two, three), (three, two)):
        with pytest.raises(ValueError, match="labels"):
            attention_matrix(even_TS, queries, keys, "t")
    for wrong_TS in (even_TS * 0.9, even_TS.log(), even_TS * float("nan")):
        with pytest.raises(ValueError, match="sum to 1"):
            attention_matrix(wrong_TS, two, two, "t")
    p = prediction(three)
    for picture in (head_matrix, attention_mosaic):
        with pytest.raises(ValueError, match="sum to 1"):
            picture(replace(p, weights_NHTS=p.weights_NHTS.transpose(-1, -2)))
        with pytest.raises(ValueError, match="labels"):
            picture(replace(p, words=two))


def blueness(drawn, p: Prediction) -> list[float]:
    """How blue the page is above each token of a heatmap, from 0 to 1."""
    page = np.asarray(Image.open(io.BytesIO(figure.figure_png(drawn))).convert("RGB"))
    labels = [t for t in texts(drawn) if t.get_text() in p.tokens][: len(p.tokens)]
    FigureCanvasAgg(drawn).draw()
    strongest, blues = 255 * (1 - to_rgb("#4c92c3")[0]), []
    for box in (label.get_window_extent() for label in labels):
        x, y = int((box.x0 + box.x1) / 2), int(drawn.bbox.height - box.y1 - 2)
        blues.append((255 - int(page[y, x, 0])) / strongest)
    return blues


@pytest.mark.parametrize("layer, head", [(-1, None), (0, 3), ("rollout", None)])
def test_blue_follows_attention_and_vmax_sets_the_scale(layer, head):
    p = prediction("the cat saw another animal".split(), 1)
    share_S = p.attention(layer, head)
    vmax = float(share_S.max())
    blues = blueness(sentence_heatmap(p, layer, head), p)
    share_S = share_S / vmax
    others = [0, 1, 3, 4, 5, 6]  # the ring's halo covers the masked word
    assert max(blues[i] for i in others) > 0.8 * max(share_S[i] for i in others)
    for i in others:
        # At the upper edge of a word the blue blur has faded a little.
        assert 0.8 * share_S[i] - 0.05 < blues[i] < share_S[i] + 0.05
    half = blueness(sentence_heatmap(p, layer, head, 2 * vmax), p)
    assert half == pytest.approx([blue / 2 for blue in blues], abs=0.03)


def test_the_heatmap_says_what_it_shows_and_rings_the_masked_word():
    p = prediction(SHIP)
    last, capped = sentence_heatmap(p), sentence_heatmap(p, None, 2, 0.01)
    rolled = sentence_heatmap(p, "rollout", note="without dropout")
    largest = f"{100 * p.attention().max():.1f} %"
    for drawn, parts in (
        (last, ["layer 4, mean of all heads", "uniform would be 14.3 %", "[CLS]"]),
        (last, ["add up to 100 %", "[SEP]", largest]),
        (capped, ["mean of all layers, head 3", "1.0 % or more"]),
        (rolled, ["rollout through all layers, mean of all heads (without dropout)"]),
    ):
        assert [part for part in parts if part not in said(drawn)] == []
    assert overflow(rolled) < 0.02
    halo, ring = rolled.axes[0].patches
    assert to_rgb(halo.get_edgecolor()) == (1, 1, 1)
    assert halo.get_linewidth() > ring.get_linewidth()
    assert to_rgb(ring.get_edgecolor()) == to_rgb("#c8102e")
    mask = next(t for t in texts(rolled) if t.get_text() == "[MASK]")
    box = ring.get_path().get_extents(ring.get_patch_transform())
    assert box.contains(*mask.get_position())


def test_the_caption_is_that_of_the_series_and_fits():
    assert heatmap_caption(prediction(["In", "$5"])) == (
        "TRUE: In • PRED: In (36.5 %)\n"
        "Top-5: In 36.5 %, On 20.0 %, $ 10.0 %, – 5.0 %, the 1.0 %"
    )
    unknown = prediction(["zzz"], true=None, p_true=None, rank_true=None)
    assert heatmap_caption(unknown).startswith("TRUE: outside the vocabulary •")
    long = [("internationalization", 0.123)] * 5
    for p in (unknown, replace(prediction(["In"]), top=long, true="x" * 20)):
        drawn = sentence_heatmap(p)
        assert round(drawn.get_figwidth() * figure.DPI) == WIDTH
        assert overflow(drawn) < 0.02


def test_few_colours_are_still_the_right_ones():
    p = prediction(SHIP)
    for drawn in (sentence_heatmap(p), training_curves([RECORD])):
        figure.figure_png(drawn)  # after which a constrained layout is settled
        small, exact = figure.figure_png(drawn), io.BytesIO()
        drawn.savefig(exact, format="png", dpi=figure.DPI)
        assert len(small) < 0.6 * len(exact.getvalue())
        pages = (exact, io.BytesIO(small))
        before, after = (np.asarray(Image.open(x).convert("RGB"), int) for x in pages)
        apart = np.abs(before - after).max(-1)
        assert apart.max() <= 10 and apart.mean() < 1


def test_curves_of_runs_lie_over_each_other_and_mark_the_best_step():
    history = RECORD["history"]
    shorter = RECORD | {"name": "no_dropout", "history": history[:3]}
    left, right = training_curves([RECORD, shorter]).axes
    train, validation, best, short_train, *rest = left.lines
    assert list(train.get_ydata()) == [entry["train_loss"] for entry in history]
    losses = [entry["validation_loss"] for entry in history]
    assert list(validation.get_ydata()) == losses
    assert (train.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert train.get_color() == validation.get_color() != short_train.get_color()
    step, lowest = history[losses.index(min(losses))]["step"], min(losses)
    assert best.get_xydata().tolist() == [[step, lowest]]
    heights = [line.get_ydata()[0] for line in rest[-2:]]
    assert heights == pytest.approx([np.log(2_000), RECORD["unigram_loss"]])
    accuracies = [entry["validation_accuracy"] for entry in history]
    assert list(right.lines[0].get_ydata()) == accuracies
    assert len(right.lines) == 2 and right.get_ylim()[0] == 0
    unigram = f"unigram {RECORD['unigram_loss']:.2f}"
    assert "with dropout, seed 0" in said(right) and unigram in said(left)


def test_right_and_wrong_differ_by_more_than_colour_and_any_word_stands_as_it_is():
    phases = RECORD["samples"]
    titles, _, *rows = samples_table(phases).splitlines()
    assert all(f"{phase['phase']}, step" in titles for phase in phases)
    for answer, row in zip(phases[-1]["predictions"], rows, strict=False):
        word = f"{answer['pred']} {answer['p']:.0%}"
        right = answer["pred"] == answer["true"]
        assert row.endswith(f"| ✓ **{word}** |" if right else f"| ✗ {word} |")
    answer = {"left": ["|"], "right": ["*"], "true": "<unk>", "pred": "a_b", "p": 0.5}
    phase = {"phase": "end", "step": 9, "predictions": [answer]}
    phase |= {"most_predicted": "$", "most_predicted_share": 0.5}
    *_, row, last = samples_table([phase]).splitlines()
    assert row == r"| \| \[\<unk\>\] \* | ✗ a\_b 50% |"
    assert last.endswith(r"| \$ 50% |")


HOSTILE = {"text.usetex": True, "font.family": "monospace", "text.color": "white"}
HOSTILE |= {"figure.facecolor": "black", "savefig.facecolor": "red", "figure.dpi": 30}
HOSTILE |= {"savefig.bbox": "tight", "lines.linewidth": 9, "axes.grid": True}


def test_a_readers_style_changes_no_figure_and_stays_the_readers():
    def look():
        pngs = [figure.figure_png(drawn) for drawn in all_figures(prediction(SHIP))]
        return pngs, drawn_text_widths(["words"], {"fontsize": 12})

    plain = look()
    with matplotlib.rc_context():
        plt.style.use("dark_background")
        sns.set_theme(style="darkgrid", palette="bright", font_scale=2)
        matplotlib.rcParams |= HOSTILE
        before = dict(matplotlib.rcParams)
        try:
            assert look() == plain and dict(matplotlib.rcParams) == before
        finally:
            sns.set_color_codes("reset")


@pytest.mark.parametrize("folder", ["helpers", "explorer", "studies"])
def test_every_figure_is_made_in_the_default_style(folder):
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef) and "Figure(" in ast.unparse(node):
                assert "default_style()" in ast.unparse(node), (path, node.name)
