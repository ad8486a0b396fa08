"""Figures: named axes, one scale, any token, nothing clipped, a text for each."""

import base64
import io
import re
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from explorer.heatmap import WIDTH, caption, sentence_heatmap
from explorer.predict import Prediction
from helpers import attention_plots, curves, figure

HARD = [
    "$5",
    "$x$",
    "–",
    "東京",
    "😀",
    "<unk>",
    "@-@",
    '""',
    "שלום",
    "\0a",
    "\ud800",
    "_",
]


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
    weights_NHTS = (3 * scores).softmax(-1)
    return Prediction(words, position, top, weights_NHTS=weights_NHTS, **known)


def texts(drawn) -> list:
    """All texts of a figure that are drawn."""
    found = (artist for artist in drawn.findobj(lambda a: hasattr(a, "get_text")))
    return [t for t in found if t.get_text() and t.get_visible()]


def rendered(drawn):
    """The renderer of a figure that was just drawn."""
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return canvas.get_renderer()


def clipped(drawn) -> list[str]:
    """Texts that reach beyond the figure."""
    renderer, page = rendered(drawn), drawn.bbox
    return [
        t.get_text()
        for t in texts(drawn)
        # Ticks beyond the axes have labels too, which are not drawn.
        if not re.fullmatch(r"−?\d+", t.get_text())
        and not (
            (box := t.get_window_extent(renderer)).x0 >= page.x0 - 1
            and box.x1 <= page.x1 + 1
            and box.y0 >= page.y0 - 1
            and box.y1 <= page.y1 + 1
        )
    ]


def attention_figures(p: Prediction) -> list:
    weights_TS = p.weights_NHTS[0, 0]
    return [
        attention_plots.attention_matrix(
            weights_TS, p.tokens, p.tokens, "costs $5 or $6"
        ),
        attention_plots.head_matrix(p),
        attention_plots.attention_mosaic(p),
        sentence_heatmap(p),
    ]


@pytest.mark.parametrize(
    "words", [["Hello"], (HARD * 6)[:62], ["x" * 300, "of"]], ids=["1", "62", "long"]
)
def test_any_sentence_is_drawn_whole(words):
    for drawn in attention_figures(prediction(words, len(words) - 1)):
        assert clipped(drawn) == []
        assert drawn.get_figwidth() <= 9
        assert not any(t.get_parse_math() for t in texts(drawn) if "$" in t.get_text())


def test_odd_characters_are_replaced_visibly_and_all_others_stay():
    assert figure.drawable("東a\0\ud800\u200b") == "▯a▯▯▯"
    assert figure.drawable("$ – ’ £ ° é @-@ <unk>") == "$ – ’ £ ° é @-@ <unk>"
    assert figure.drawable("x" * 300) == "x" * 23 + "…"


def test_a_matrix_names_its_axes_and_puts_queries_down():
    weights_TS = torch.tensor([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    drawn = attention_plots.attention_matrix(
        weights_TS, ["q1", "q2"], ["a", "b", "c"], "t"
    )
    axes, scale = drawn.axes
    assert axes.get_ylabel() == "query (looks)"
    assert axes.get_xlabel() == "key (looked at)"
    assert [t.get_text() for t in axes.get_xticklabels()] == ["a", "b", "c"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["q1", "q2"]
    mesh = axes.collections[0]
    assert np.allclose(mesh.get_array(), weights_TS)
    assert axes.yaxis_inverted()  # the first query is on top
    assert mesh.get_clim() == (0, 1)
    assert scale.get_ylabel() == "attention weight"


def test_wrong_weights_are_refused():
    even_TS = torch.full((2, 2), 0.5)
    good, bad = ["a", "b"], ["a", "b", "c"]
    for queries, keys in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="labels"):
            attention_plots.attention_matrix(even_TS, queries, keys, "t")
    for wrong_TS in (even_TS * 0.9, even_TS.log(), even_TS * float("nan")):
        with pytest.raises(ValueError, match="sum to 1"):
            attention_plots.attention_matrix(wrong_TS, good, good, "t")
    p = prediction(["a", "b", "c"])
    transposed = replace(p, weights_NHTS=p.weights_NHTS.transpose(-1, -2))
    for picture in (attention_plots.head_matrix, attention_plots.attention_mosaic):
        with pytest.raises(ValueError, match="sum to 1"):
            picture(transposed)
        with pytest.raises(ValueError, match="labels"):
            picture(replace(p, words=["a", "b"]))


def test_the_head_matrix_shows_the_row_of_the_masked_word():
    p = prediction(list("abcde"), 2)
    axes = attention_plots.head_matrix(p).axes[0]
    rows = axes.collections[0].get_array()
    assert rows.shape == (32, 7)
    assert np.allclose(rows[8 + 3], p.weights_NHTS[1, 3, 3])
    names = [t.get_text() for t in axes.get_yticklabels()]
    assert (names[0], names[8], names[-1]) == ("L1H1", "L2H1", "L4H8")


def test_the_mosaic_has_layers_down_and_heads_across():
    p = prediction(list("abcde"), n_layers=2, n_heads=3)
    drawn = attention_plots.attention_mosaic(p)
    image = drawn.axes[0].images[0]
    mosaic = image.get_array().filled(np.nan)
    tile = mosaic.shape[0] // 2
    part = mosaic[tile + 1 : tile + 8, 2 * tile + 1 : 2 * tile + 8]
    assert np.allclose(part, p.weights_NHTS[1, 2])
    assert image.get_clim() == (0, 1)


def blueness(drawn, p: Prediction) -> list[float]:
    """How blue the page is above each token of a heatmap, from 0 to 1."""
    page = np.asarray(Image.open(io.BytesIO(figure.png(drawn))).convert("RGB"))
    labels = [t for t in texts(drawn) if t.get_text() in p.tokens]
    renderer = rendered(drawn)
    strongest = 255 * (1 - to_rgb("#4c92c3")[0])
    found = []
    for label in labels[: len(p.tokens)]:
        box = label.get_window_extent(renderer)
        x, y = int((box.x0 + box.x1) / 2), int(drawn.bbox.height - box.y1 - 2)
        found.append((255 - int(page[y, x, 0])) / strongest)
    return found


def test_blue_follows_attention_and_vmax_sets_the_scale():
    p = prediction("the cat saw another animal".split(), 1)
    for layer, head in ((-1, None), (0, 3), (None, None), ("rollout", None)):
        shares = p.attention(layer, head)
        vmax = float(shares.max())
        seen = blueness(sentence_heatmap(p, layer, head), p)
        shares = shares / shares.max()
        others = [0, 1, 3, 4, 5, 6]  # the ring's halo covers the masked word
        assert max(seen[i] for i in others) > 0.8 * max(shares[i] for i in others)
        for i in others:
            # At the upper edge of a word the blur has faded a little.
            assert 0.8 * shares[i] - 0.05 < seen[i] < shares[i] + 0.05
        half = blueness(sentence_heatmap(p, layer, head, 2 * vmax), p)
        assert half == pytest.approx([blue / 2 for blue in seen], abs=0.03)


def test_the_heatmap_says_what_it_shows():
    p = prediction("In 1905 the ship sank".split(), 0)
    said = "\n".join(t.get_text() for t in texts(sentence_heatmap(p)))
    assert "layer 4, mean of all heads" in said
    assert "uniform would be 14.3 %" in said
    assert "add up to 100 %" in said
    assert "[CLS]" in said and "[SEP]" in said
    assert f"{100 * p.attention().max():.1f} %" in said
    said = "\n".join(t.get_text() for t in texts(sentence_heatmap(p, None, 2, 0.01)))
    assert "mean of all layers, head 3" in said
    assert "1.0 % or more" in said
    named = sentence_heatmap(p, "rollout", note="without dropout")
    said = "\n".join(t.get_text() for t in texts(named))
    assert "rollout through all layers, mean of all heads (without dropout)" in said
    assert clipped(named) == []


def test_the_ring_is_red_on_a_white_halo_around_the_masked_word():
    p = prediction("a b c d".split(), 2)
    drawn = sentence_heatmap(p)
    halo, ring = drawn.axes[0].patches
    assert to_rgb(halo.get_edgecolor()) == (1, 1, 1)
    assert halo.get_linewidth() > ring.get_linewidth()
    assert to_rgb(ring.get_edgecolor()) == to_rgb("#c8102e")
    mask = next(t for t in texts(drawn) if t.get_text() == "[MASK]")
    x, y = mask.get_position()
    box = ring.get_path().get_extents(ring.get_patch_transform())
    assert box.x0 < x < box.x1
    assert box.y0 < y < box.y1


def test_the_caption_is_that_of_the_series():
    assert caption(prediction(["In", "$5"])) == (
        "TRUE: In • PRED: In (36.5 %)\n"
        "Top-5: In 36.5 %, On 20.0 %, $ 10.0 %, – 5.0 %, the 1.0 %"
    )
    unknown = prediction(["zzz"], true=None, p_true=None, rank_true=None)
    assert caption(unknown).startswith("TRUE: outside the vocabulary •")
    assert clipped(sentence_heatmap(unknown)) == []


def test_a_caption_of_long_words_fits():
    p = replace(
        prediction(["In"]), top=[("internationalization", 0.123)] * 5, true="x" * 20
    )
    drawn = sentence_heatmap(p)
    assert round(drawn.get_figwidth() * figure.DPI) == WIDTH
    assert clipped(drawn) == []


def test_few_colours_are_still_the_right_ones():
    p = prediction("In 1905 the ship sank".split(), 0)
    pictures = (
        sentence_heatmap(p),
        attention_plots.attention_mosaic(p),
        curves.training_curves([RECORD]),
    )
    for drawn in pictures:
        figure.png(drawn)  # after which a constrained layout is settled
        exact = io.BytesIO()
        drawn.savefig(exact, format="png", dpi=figure.DPI)
        exact.seek(0)
        small = figure.png(drawn)
        assert len(small) < 0.6 * len(exact.getvalue())
        pages = (exact, io.BytesIO(small))
        before, after = (np.asarray(Image.open(x).convert("RGB"), int) for x in pages)
        apart = np.abs(before - after).max(-1)
        assert apart.max() <= 10 and apart.mean() < 1


def test_show_gives_a_picture_and_a_text(monkeypatch):
    sent = []
    monkeypatch.setattr(figure, "display", lambda *a, **k: sent.append((a, k)))
    figure.show(sentence_heatmap(prediction(["In"])), "what is seen")
    ((forms,), options), *others = sent
    assert others == []
    assert set(forms) == {"image/png", "text/plain"}
    assert forms["text/plain"] == "what is seen"
    assert options == {"metadata": {"image/png": {"alt": "what is seen"}}, "raw": True}
    assert base64.b64decode(forms["image/png"]).startswith(b"\x89PNG")


def test_no_figure_stays_in_pyplot():
    import matplotlib.pyplot as plt

    attention_figures(prediction(["In", "the"]))
    curves.training_curves([RECORD])
    assert plt.get_fignums() == []


HISTORY = [
    {"step": step, "train_loss": train, "validation_loss": validation}
    for step, train, validation in (
        (0, 7.6, 7.7),
        (100, 5.6, 5.5),
        (200, 3.0, 3.2),
        (300, 2.0, 3.4),
    )
]
RECORD = {
    "name": "no_dropout",
    "history": HISTORY,
    "vocab_size": 2000,
    "unigram_loss": 5.61,
    "seed": 3,
    "corpus": "toy",
    "samples": [
        {"phase": phase, "step": 10 * i, "most_predicted": "the"}
        | {"most_predicted_share": 0.19}
        | {
            "predictions": [
                {"left": list("abcdef"), "right": ["$5", "東京"], "true": "In"}
                | {"pred": pred, "p": 0.365}
                for pred in ("In", "$")
            ]
        }
        for i, phase in enumerate(("start", "plateau", "after", "end"))
    ],
}


def test_curves_share_their_axes_and_mark_the_best_step():
    other = RECORD | {"name": "dropout", "history": HISTORY[:3]}
    drawn = curves.training_curves([RECORD, other])
    left, right = drawn.axes
    assert left.get_xlim() == right.get_xlim() and left.get_ylim() == right.get_ylim()
    assert left.get_title().startswith("without dropout")
    assert right.get_title().startswith("with dropout")
    train, validation, best, *references = left.lines
    assert list(train.get_ydata()) == [7.6, 5.6, 3.0, 2.0]
    assert list(validation.get_ydata()) == [7.7, 5.5, 3.2, 3.4]
    assert (train.get_linestyle(), validation.get_linestyle()) == ("--", "-")
    assert best.get_xydata().tolist() == [[200, 3.2]]
    heights = [line.get_ydata()[0] for line in references]
    assert heights == pytest.approx([7.6009, 5.61], abs=1e-4)
    said = [t.get_text() for t in texts(left)]
    assert {"training text", "validation text", "unigram 5.61"} <= {*said}
    assert "best 3.20\nat step 200" in said
    assert clipped(drawn) == []


def test_right_and_wrong_differ_by_more_than_colour():
    drawn = curves.true_vs_pred(RECORD)
    said = {t.get_text(): t for t in texts(drawn)}
    assert {"start", "plateau", "after", "end", "c d e f [In] $5 ▯▯"} <= {*said}
    assert said["✓ In 36%"].get_weight() == "bold"
    assert said["✗ $ 36%"].get_weight() != "bold"
    assert "the 19%" in said
    assert clipped(drawn) == []
