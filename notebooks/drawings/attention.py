"""Drawings of attention: its steps, its heads, and attention through all layers."""

import numpy as np
from scipy.special import softmax

from notebooks.drawings.svg import SMALL, Drawing, svg_number, svg_numbers

WORDS = ["keys", "are", "old"]
X = [[1.0, 0.5, 0.0, 0.2], [0.1, 0.4, 1.0, 0.0], [0.0, 0.1, 0.3, 1.0]]
W_Q = [[0, 0], [0, -1], [-1, 1], [0, -1]]
W_K = [[-1, 2], [1, 1], [1, 1], [0, 0]]
W_V = [[1, 0], [-1, 1], [1, 0], [0, -1]]


def attention_drawing() -> Drawing:
    """From vectors to queries, keys and values, to weights, to a mix."""

    def pair(row, digits=1):
        return f"({', '.join(svg_number(value, digits) for value in row)})"

    q, k, v = (np.array(X) @ np.array(weights) for weights in (W_Q, W_K, W_V))
    scaled = q @ k.T / 2**0.5
    weights = softmax(scaled, axis=-1)
    mixed = weights @ v
    of_are = [svg_number(weight, 2) for weight in weights[1]]
    terms = zip(of_are, v, strict=True)
    sums = " + ".join(f"{weight}·{pair(row)}" for weight, row in terms)
    d = Drawing(
        "One head of attention, with numbers",
        f"""The words “keys”, “are” and “old” have vectors of four numbers. Together,
        these vectors are the table x of shape (T, D). Three matrices, W_Q, W_K and W_V,
        turn x into queries Q, keys K and values V. Each query, key and value has two
        numbers, so these tables have the shape (T, K). The product of a query and a
        key, divided by √2, is a score. Softmax turns each row of scores into weights
        that sum to 1. The table of weights has the shape (T, S). The word “are” gives
        “keys” the weight {of_are[0]}, itself {of_are[1]} and “old” {of_are[2]}. These
        weights mix the values: {sums} = {pair(mixed[1], 2)}. The result is the new
        vector of “are”.""",
        580,
    )
    d.text(142, 84, "x: one vector for each word", bold=True)
    d.text(142, 105, "(T, D) = (3, 4)", SMALL, "quiet", mono=True)
    for i, word in enumerate(WORDS):
        d.text(56, 140 + 28 * i, word, at="end")
    d.cells(66, 126, svg_numbers(X), w=38, h=28)
    parts = [
        ("Q", W_Q, q, "orange", "what the word", "looks for"),
        ("K", W_K, k, "green", "what the word", "is found by"),
        ("V", W_V, v, "violet", "what the word", "passes on"),
    ]
    for i, (name, by, rows, colour, what, then) in enumerate(parts):
        y, ink = 36 + 112 * i, f"{colour}-ink"
        middle = y + 40
        d.arrow((222, 168 + 8 * (i - 1)), (296, middle), line=ink)
        d.text(332, y - 14, f"W_{{{name}}}", ink=ink, bold=True)
        d.cells(300, y, svg_numbers(by, 0), w=32, h=20, fill=colour, alpha=0.15)
        d.arrow((368, middle), (412, middle), line=ink)
        d.text(460, y - 14, name, ink=ink, bold=True)
        d.cells(416, y + 1, svg_numbers(rows), w=44, fill=colour, alpha=0.3)
        d.text(518, y + 14, what, at="start")
        d.text(518, y + 34, then, at="start")
        d.text(518, y + 58, "(T, K) = (3, 2)", SMALL, "quiet", "start", mono=True)
    top = 422
    d.text(138, top - 48, "scores: Q Kᵀ / √2", bold=True)
    d.text(376, top - 48, "weights", ink="blue-ink", bold=True)
    d.text(598, top - 48, "weights · V", bold=True)
    for x, w in ((66, 48), (310, 44)):
        for j, word in enumerate(WORDS):
            d.text(x + w * j + w / 2, top - 16, word, SMALL)
    for i, word in enumerate(WORDS):
        d.text(56, top + 14 + 28 * i, word, at="end")
    d.cells(66, top, svg_numbers(scaled, 2), w=48, h=28)
    d.arrow((218, top + 42), (302, top + 42))
    d.text(260, top + 26, "softmax")
    d.text(260, top + 60, "of each row", SMALL, "quiet")
    d.cells(310, top, svg_numbers(weights, 2), w=44, h=28, fill="blue", alphas=weights)
    d.arrow((450, top + 42), (540, top + 42))
    d.text(494, top + 26, "mix V")
    d.cells(550, top, svg_numbers(mixed, 2), w=48, h=28, fill="violet", alpha=0.3)
    d.text(138, top + 102, "(T, S) = (3, 3)", SMALL, "quiet", mono=True)
    d.text(376, top + 102, "(T, S) = (3, 3)", SMALL, "quiet", mono=True)
    d.text(598, top + 102, "(T, K) = (3, 2)", SMALL, "quiet", mono=True)
    rings = ((66, 154, 152), (416, 63, 88), (66, 450, 144), (310, 450, 132))
    for x, y, w in (*rings, (550, 450, 96)):
        d.box(x - 2, y - 1, w + 4, 28 if y == 63 else 30, "", "bare", "ink", thick=2)
    d.text(360, top + 134, f"“are”: {sums} = {pair(mixed[1], 2)}", SMALL, mono=True)
    return d


def heads_drawing() -> Drawing:
    """(T, D) cut into heads, which look for themselves, and joined again."""
    d = Drawing(
        "Four heads share the eight columns",
        """The queries, keys and values of four positions have eight columns each, shape
        (T, D). They are cut into four heads of two columns each, shape (T, K) with
        K = D / H. Each head computes weights of its own, shape (T, S), and mixes its
        own values. The weights of the four heads differ. The four results are put side
        by side again, shape (T, D), and the matrix W_O combines them. In the series'
        model, D is 256, H is 8 and K is 32.""",
        544,
    )
    names, side = ["blue", "orange", "green", "violet"], 26
    colours = [name for name in names for _ in range(2)]
    columns = [[f"{j}" for j in range(8)]] + [[""] * 8] * 3

    def whole(y):
        d.cells(256, y, columns, side, 20, colours, alpha=0.35)

    whole(34)
    d.text(240, 62, "Q, K and V", at="end", bold=True)
    d.text(240, 84, "each (T, D) = (4, 8)", SMALL, "quiet", "end", mono=True)
    d.text(482, 62, "cut into H = 4 heads", at="start", bold=True)
    d.text(482, 84, "K = D / H = 2", SMALL, "quiet", "start", mono=True)
    one = [[0.08, 0.76, 0.08, 0.08], [0.08, 0.08, 0.76, 0.08], [0.08] * 3 + [0.76]]
    looks = [
        [*one, [0.25] * 4],
        [[0.85, 0.05, 0.05, 0.05]] * 4,
        [[0.76, 0.08, 0.08, 0.08], [0.76, 0.08, 0.08, 0.08], *one[:2]],
        [row[::-1] for row in [[0.76, 0.08, 0.08, 0.08], *one]],
    ]
    for i, (name, weights) in enumerate(zip(names, looks, strict=True)):
        left, ink = 28 + 170 * i, f"{name}-ink"
        middle, source = left + 40, 256 + 2 * side * i + side
        piece = [[f"{2 * i}", f"{2 * i + 1}"]] + [["", ""]] * 3
        d.arrow((source, 117), (middle, 172), line=ink)
        d.text(middle, 188, f"head {i}", ink=ink, bold=True)
        d.cells(middle - side, 204, piece, side, 20, name, alpha=0.35)
        d.text(middle + 34, 244, "(T, K)", SMALL, "quiet", "start", mono=True)
        d.arrow((middle, 287), (middle, 326), line=ink)
        d.text(middle + 10, 304, "weights", SMALL, at="start")
        d.cells(left, 330, [[""] * 4] * 4, 20, 20, "blue", alphas=weights)
        d.arrow((left + 82, 370), (left + 100, 370), line=ink)
        d.text(left + 130, 304, "mix", SMALL)
        d.cells(left + 104, 330, piece, side, 20, name, alpha=0.35)
        d.arrow((left + 130, 413), (source, 446), line=ink)
    whole(450)
    d.text(240, 478, "side by side again", at="end", bold=True)
    d.text(240, 500, "(T, D)", SMALL, "quiet", "end", mono=True)
    d.arrow((468, 490), (504, 490))
    d.box(508, 471, 60, 38, "W_{O}", bold=True)
    d.arrow((570, 490), (606, 490))
    d.text(614, 490, "(T, D)", SMALL, "quiet", "start", mono=True)
    return d


def rollout_drawing() -> Drawing:
    """Attention through two layers; half of each vector comes by the residual."""
    words, of = ["She", "lost", "her", "key"], 2
    layers = [
        [[0.6, 0.2, 0.1, 0.1], [0.4, 0.3, 0.1, 0.2], [0.2, 0.1, 0.3, 0.4]]
        + [[0.2, 0.4, 0.3, 0.1]],
        [[0.5, 0.3, 0.1, 0.1], [0.2, 0.3, 0.1, 0.4], [0.6, 0.0, 0.2, 0.2]]
        + [[0.1, 0.1, 0.7, 0.1]],
    ]
    halves = [
        [[(a + (i == j)) / 2 for j, a in enumerate(row)] for i, row in enumerate(layer)]
        for layer in layers
    ]
    followed = np.array(halves[1]) @ np.array(halves[0])
    she = [(halves[1][of][j], halves[0][j][0]) for j in range(4)]
    sums = " + ".join(f"{svg_number(a, 2)}·{svg_number(b, 2)}" for a, b in she)
    result = svg_number(followed[of][0], 2)
    named = zip(words, svg_numbers(followed, 2), strict=True)
    rows = " ".join(f"Row “{word}”: {', '.join(row)}." for word, row in named)
    d = Drawing(
        "Attention followed through two layers",
        f"""The words “She”, “lost”, “her” and “key” stand in three rows: at the bottom
        as they enter, in the middle after layer 1, and at the top after layer 2. Grey
        lines run straight up: the residual connection carries one half of each vector.
        Blue lines are attention, the other half; a thicker line is a larger weight.
        Above the middle, blue lines are drawn only to “her”. Each layer multiplies by Ã
        = ½ A + ½ I. The product of layer 2 and layer 1 is a table. Each row belongs to
        a word at the top. Its four numbers say how much arrives at this word from the
        four words at the bottom: “She”, “lost”, “her” and “key”, in this order. {rows}
        For example, the share of “She” in “her” is {sums} = {result}.""",
        436,
    )
    xs, ys = [66, 152, 238, 324], [358, 224, 90]
    for level in range(2):
        for i in range(4):
            for j in range(4):
                if level == 1 and i != of and halves[1][i][j]:
                    continue
                share, strong = layers[level][i][j] / 2, level == 0 or i == of
                alpha = 0.9 if strong else 0.2
                ends = (xs[j] + 5, ys[level] - 15), (xs[i] + 5, ys[level + 1] + 15)
                if share:
                    d.line(ends, "blue", 1 + 14 * share, alpha=alpha)
            x = xs[i] - 6
            grey = (x, ys[level] - 15), (x, ys[level + 1] + 15)
            d.line(grey, "edge", 8, alpha=0.8 if level == 0 or i == of else 0.3)
    for level, y in enumerate(ys):
        for i, (x, word) in enumerate(zip(xs, words, strict=True)):
            ring = level == 2 and i == of
            how = {"line": "ink", "thick": 2.5, "bold": True} if ring else {}
            d.box(x - 31, y - 15, 62, 30, word, "plain", **how)
    for y, name in zip(ys, ("words", "layer 1", "layer 2"), strict=True):
        d.text(364, y, name, SMALL, "quiet", "start")
    d.text(24, 30, "A thicker line is a larger weight.", SMALL, "quiet", "start")
    said = "Of layer 2, only the attention of “her” is drawn."
    d.text(24, 50, said, SMALL, "quiet", "start")
    d.head(424, 30, "Ã = ½ A + ½ I  in each layer")
    d.box(424, 52, 26, 8, fill="blue", line=None, radius=0)
    d.text(460, 56, "½ A: attention, mean of the heads", SMALL, at="start")
    d.box(424, 74, 26, 8, fill="edge", line=None, radius=0)
    d.text(460, 78, "½ I: the residual connection", SMALL, at="start")
    left, top = 462, 164
    d.text(left + 96, 118, "rollout = Ã_{2} Ã_{1}", bold=True)
    for j, word in enumerate(words):
        d.text(left + 48 * j + 24, 148, word, SMALL)
        d.text(left - 10, top + 15 + 30 * j, word, at="end")
    d.cells(left, top, svg_numbers(followed, 2), 48, 30, "blue", followed)
    d.box(left - 2, top + 30 * of - 1, 196, 32, "", "bare", "ink", thick=2)
    d.text(left + 96, 306, "rows: the words on top", SMALL, "quiet")
    d.text(left + 96, 326, "columns: the words at the bottom", SMALL, "quiet")
    d.text(360, 408, f"“She” in “her”: {sums} = {result}", SMALL, mono=True)
    return d
