"""Drawings of the model: its block, the whole of it, and what it is asked."""

from torch import nn

from helpers.masking import IGNORE
from helpers.model import MaskedLanguageModel, ModelConfig
from notebooks.drawings.kit import SMALL, Drawing


def plus(d: Drawing, x: float, y: float) -> None:
    """A sum, as a plus in a circle."""
    d.circle(x, y, 11, "paper", "ink", thick=2)
    d.line([(x - 6, y), (x + 6, y)], "ink", 2)
    d.line([(x, y - 6), (x, y + 6)], "ink", 2)


def block() -> Drawing:
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
            plus(d, stream, added)
            if column == 1:
                where = stream - 46, added + 24, 104, 28
                d.box(*where, fill="paper", line=None)
                d.box(*where, "LayerNorm", "green", alpha=0.35)
        for i, line in enumerate(notes[column]):
            d.text(left, 458 + 20 * i, line, SMALL, "quiet", "start")
    return d


def count(*modules: nn.Module) -> int:
    """How many weights some modules have."""
    return sum(weight.numel() for m in modules for weight in m.parameters())


def model() -> Drawing:
    """From ids to logits, with shapes and numbers of weights."""
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


def masking() -> Drawing:
    """Which words are hidden, and what the model sees in their place."""
    text = "the keys near the lamp are old but they are useful and the book behind the"
    words = (text + " clock is heavy .").split()
    chosen = {1: "[MASK]", 9: "river", 16: "clock"}
    share = f"{100 * len(chosen) / len(words):.0f} %"
    d = Drawing(
        "Which words are hidden, and what the model sees",
        f"""A text of {len(words)} tokens, of which {len(chosen)} ({share}) are
        selected: "keys", "are" and "clock". Then the drawing shows what the model sees.
        80 % of all selected words become [MASK]: here, [MASK] stands in place of
        "keys". 10 % become a random word: here, "river" stands in place of "are". 10 %
        stay as they are: here, "clock" stays. All other tokens are unchanged. The
        labels are the true words at these three places and {IGNORE} everywhere else, so
        only the three selected words count in the loss.""",
        432,
    )
    d.head(24, 28, f"The text: {share} of its tokens are selected")

    def sentence(top, seen):
        for i, word in enumerate(words):
            x, y = 24 + 67.8 * (i % 10), top + 38 * (i // 10)
            how = {"line": "red", "thick": 2.5} if i in chosen else {}
            d.box(x, y, 62, 30, seen.get(i, word), size=SMALL, **how)

    sentence(48, {})
    fates = [
        (0.8, "80 % become [MASK]", "keys → [MASK]", "red", 0.4),
        (0.1, "10 % are random words", "are → river", "orange", 0.5),
        (0.1, "10 % stay as they are", "clock → clock", "green", 0.5),
    ]
    x = 24
    for i, (part, what, example, colour, alpha) in enumerate(fates):
        wide = 672 * part
        d.box(x, 146, wide, 14, fill=colour, alpha=alpha, radius=0)
        x += wide
        left = 24 + 234 * i
        d.box(left, 174, 204, 60, fill=colour, alpha=alpha / 2, line=colour)
        d.text(left + 102, 192, what, bold=True)
        d.text(left + 102, 215, example, SMALL, mono=True)
    d.head(24, 266, "What the model sees")
    sentence(286, chosen)
    d.head(24, 384, "The labels")
    labels = f"“keys”, “are” and “clock” at the red places, {IGNORE} at all others"
    d.text(116, 384, labels.replace("-", "−"), at="start")
    d.text(116, 404, "The loss counts only the red places.", SMALL, "red-ink", "start")
    return d
