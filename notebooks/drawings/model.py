"""Drawings of the model: its block, the whole of it, and GPT beside it."""

from torch import nn

from helpers.model import MaskedLanguageModel, ModelConfig
from notebooks.drawings.svg import SMALL, Drawing


def block_drawing() -> Drawing:
    """The residual stream of an encoder block, with pre-norm and with post-norm."""
    d = Drawing(
        "An encoder block with pre-norm and with post-norm",
        """The left column shows pre-norm, as in this series. A stream of vectors, of
        shape (B, T, D), runs from top to bottom without a break. A first branch passes
        LayerNorm and then self-attention, which mixes positions, and is added to the
        stream. A second branch passes LayerNorm and then feed-forward, and is added,
        too. Feed-forward works on each position separately: it turns D numbers into F
        and back into D. The right column shows post-norm, as in BERT. Its branches have
        no LayerNorm. Instead, a LayerNorm stands on the stream itself after each of the
        two sums.""",
        500,
    )
    titles = [
        ("pre-norm: x + f(LayerNorm(x))", "this series"),
        ("post-norm: LayerNorm(x + f(x))", "BERT, and the first transformer"),
    ]
    notes = [
        (
            "The stream runs through without a break,",
            "and gradients run back along it.",
        ),
        ("A LayerNorm follows each sum,", "so the stream itself is changed."),
    ]
    parts = [
        ("self-attention", "mixes positions"),
        ("feed-forward, D → F → D", "each position alone"),
    ]
    for column, (title, who) in enumerate(titles):
        left = 26 + 352 * column
        stream, side, wide = left + 46, left + 112, 204
        middle = side + wide / 2
        d.head(left, 30, title)
        d.text(left, 52, who, SMALL, "quiet", "start")
        d.text(stream, 84, "x", 16, bold=True)
        d.text(stream + 18, 84, "(B, T, D)", SMALL, "quiet", "start", mono=True)
        d.arrow((stream, 98), (stream, 438), line="blue", thick=5, head=14)
        for part, lines in enumerate(parts):
            top = 112 + 160 * part
            box = top + 62 if column == 0 else top + 28
            added = box + 54
            first = top + 18 if column == 0 else box
            d.arrow((stream + 3, top), (middle, top), (middle, first - 2))
            if column == 0:
                d.box(side, first, wide, 28, "LayerNorm", "green", alpha=0.35)
                d.arrow((middle, first + 28), (middle, box - 2))
            d.box(side, box, wide, 42, lines, "orange", alpha=0.3, size=SMALL)
            d.arrow((middle, box + 42), (middle, added), (stream + 13, added))
            d.circle(stream, added, 11, "paper", "ink", thick=2)
            d.line([(stream - 6, added), (stream + 6, added)], "ink", 2)
            d.line([(stream, added - 6), (stream, added + 6)], "ink", 2)
            if column == 1:
                where = stream - 46, added + 24, 104, 28
                d.box(*where, fill="paper", line=None)
                d.box(*where, "LayerNorm", "green", alpha=0.35)
        for i, line in enumerate(notes[column]):
            d.text(left, 458 + 20 * i, line, SMALL, "quiet", "start")
    return d


def model_drawing() -> Drawing:
    """From ids to logits, with shapes and numbers of weights."""

    def count(*modules: nn.Module) -> int:
        return sum(weight.numel() for m in modules for weight in m.parameters())

    c = ModelConfig()
    made = MaskedLanguageModel(c)
    head = made.head
    parts = [
        ("embedding: one row for each word", [made.embedding], "violet"),
        *((f"encoder block {i}", [b], "blue") for i, b in enumerate(made.blocks, 1)),
        ("LayerNorm", [made.norm], "green"),
        ("head: Linear, GELU, LayerNorm", [head.transform, head.norm], "orange"),
    ]
    rows = [(name, "(B, T, D)", count(*some), colour) for name, some, colour in parts]
    rows.append(("decoder", "(B, T, V)", head.decoder.bias.numel(), "violet"))
    total = count(made)
    sizes = f"V {c.vocab_size:,} · D {c.d_model} · F {c.d_ff} · H {c.n_heads}"
    listed = "; ".join(f"{name}, {shape}, {n:,} weights" for name, shape, n, _ in rows)
    d = Drawing(
        "The whole model with its shapes and weights",
        f"""From top to bottom, each part with the shape of its output and its number
        of weights: ids, (B, T); {listed}. The output of the decoder is the logits: one
        score for each word. Bars compare the numbers of weights. The decoder uses the
        embedding's table once more, so only the decoder's bias is counted. The model
        has {total:,} weights in all. Sizes: {sizes} · N {c.n_layers}.""",
        566,
    )
    d.text(210, 30, "ids", bold=True)
    d.text(232, 30, "(B, T)", SMALL, "quiet", "start", mono=True)
    d.text(470, 30, "weights", at="start", bold=True)
    most = max(n for _, _, n, _ in rows)
    for i, (name, shape, n, colour) in enumerate(rows):
        y = 62 + 56 * i
        d.arrow((210, y - 20), (210, y - 2))
        d.box(78, y, 264, 34, name, colour, alpha=0.35)
        d.text(358, y + 17, shape, SMALL, "quiet", "start", mono=True)
        wide = max(2, 130 * n / most)
        d.box(470, y + 8, wide, 18, fill=colour, line=None, radius=2)
        d.text(478 + wide, y + 17, f"{n:,}", SMALL, at="start")
    d.arrow((210, 490), (210, 510))
    d.text(210, 526, "logits: a score for each word", bold=True)
    d.text(470, 526, f"total {total:,}", at="start", bold=True)
    d.text(470, 547, f"{sizes} · N {c.n_layers}", SMALL, "quiet", "start")
    d.line([(76, 79), (46, 79), (46, 471), (76, 471)], "violet-ink", 2, dash=True)
    d.text(28, 275, "the same table", SMALL, "violet-ink", turn=-90)
    return d


def bert_and_gpt_drawing() -> Drawing:
    """The same sentence, as BERT and as GPT see it."""
    words, hidden = "the keys near the lamp are old".split(), 5
    d = Drawing(
        "BERT fills a blank, GPT writes the next word",
        """The drawing shows the sentence “the keys near the lamp are old” twice. Above,
        for BERT, the word “are” is replaced by [MASK]. Arrows lead to [MASK] from all
        other words, on both sides. BERT guesses the hidden word. In training, it has to
        guess about 15 of 100 words. Below, for GPT, a question mark stands in the place
        of “are”. Arrows lead to the question mark only from the words on its left,
        because “old” is not written yet. After every word, GPT guesses the next
        one.""",
        400,
    )
    panels = [
        (
            "BERT fills a blank and sees the words on both sides",
            "guesses about 15 of 100 words",
        ),
        (
            "GPT writes the next word and sees the words before it",
            "guesses after every word",
        ),
    ]
    questions = "Which word is hidden here?", "Which word comes next?"
    for i, (title, how_often) in enumerate(panels):
        top = 14 + 192 * i
        y = top + 112
        d.head(24, top + 18, title)
        d.text(696, top + 18, how_often, SMALL, "quiet", "end")
        middles = [52 + 88 * j + 44 for j in range(len(words))]
        for j, (word, middle) in enumerate(zip(words, middles, strict=True)):
            text, how = word, {}
            if j == hidden:
                text = ("[MASK]", "?")[i]
                how = {"line": "red", "thick": 3, "bold": True}
            elif i == 1 and j > hidden:
                how = {"dash": True, "ink": "quiet", "fill": "paper"}
            d.box(middle - 38, y, 76, 34, text, **how)
            if j == hidden or "dash" in how:
                continue
            to = middles[hidden] + (26 if j > hidden else 12 - 11 * j)
            high = (middle + to) / 2, y - 20 - 0.25 * abs(to - middle)
            way = (middle, y - 3), high, (to, y - 6)
            d.arrow(*way, line="blue", curve=True, thick=2)
        side = middles[hidden] + 38
        d.text(side, y + 52, questions[i], SMALL, "red-ink", "end")
    d.text(side + 12, y + 52, "not written yet", SMALL, "quiet", "start")
    d.line([(24, 208), (696, 208)], "frame", 1)
    return d
