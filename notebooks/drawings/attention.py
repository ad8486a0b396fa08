"""Drawings of attention: its steps, its heads, its mask, its positions, its layers."""

import math

from notebooks.drawings.kit import SMALL, Drawing, number

WORDS = ["keys", "are", "old"]
X = [[1.0, 0.5, 0.0, 0.2], [0.1, 0.4, 1.0, 0.0], [0.0, 0.1, 0.3, 1.0]]
W_Q = [[0, 0], [0, -1], [-1, 1], [0, -1]]
W_K = [[-1, 2], [1, 1], [1, 1], [0, 0]]
W_V = [[1, 0], [-1, 1], [1, 0], [0, -1]]


def product(a: list, b: list) -> list:
    """The product of two matrices, each a list of rows."""
    columns = [*zip(*b, strict=True)]
    return [
        [sum(x * y for x, y in zip(row, column, strict=True)) for column in columns]
        for row in a
    ]


def softmax(row: list[float]) -> list[float]:
    """Positive weights that sum to 1."""
    powers = [math.exp(score) for score in row]
    return [power / sum(powers) for power in powers]


def shown(rows: list, digits: int = 1) -> list:
    """The numbers of a matrix as its cells show them."""
    return [[number(value, digits) for value in row] for row in rows]


def pair(row: list[float], digits: int = 1) -> str:
    """A vector of two numbers, as in (0.5, 0.3)."""
    return f"({', '.join(number(value, digits) for value in row)})"


def attention() -> Drawing:
    """From vectors to queries, keys and values, to weights, to a mix."""
    q, k, v = (product(X, weights) for weights in (W_Q, W_K, W_V))
    scores = product(q, [*zip(*k, strict=True)])
    scaled = [[score / 2**0.5 for score in row] for row in scores]
    weights = [softmax(row) for row in scaled]
    mixed = product(weights, v)
    of_are = [number(weight, 2) for weight in weights[1]]
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
    d.cells(66, 126, shown(X), w=38, h=28)
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
        d.cells(300, y, shown(by, 0), w=32, h=20, fill=colour, alpha=0.15)
        d.arrow((368, middle), (412, middle), line=ink)
        d.text(460, y - 14, name, ink=ink, bold=True)
        d.cells(416, y + 1, shown(rows), w=44, fill=colour, alpha=0.3)
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
    d.cells(66, top, shown(scaled, 2), w=48, h=28)
    d.arrow((218, top + 42), (302, top + 42))
    d.text(260, top + 26, "softmax")
    d.text(260, top + 60, "of each row", SMALL, "quiet")
    d.cells(310, top, shown(weights, 2), w=44, h=28, fill="blue", alphas=weights)
    d.arrow((450, top + 42), (540, top + 42))
    d.text(494, top + 26, "mix V")
    d.cells(550, top, shown(mixed, 2), w=48, h=28, fill="violet", alpha=0.3)
    d.text(138, top + 102, "(T, S) = (3, 3)", SMALL, "quiet", mono=True)
    d.text(376, top + 102, "(T, S) = (3, 3)", SMALL, "quiet", mono=True)
    d.text(598, top + 102, "(T, K) = (3, 2)", SMALL, "quiet", mono=True)
    rings = ((66, 154, 152), (416, 63, 88), (66, 450, 144), (310, 450, 132))
    for x, y, w in (*rings, (550, 450, 96)):
        d.box(x - 2, y - 1, w + 4, 28 if y == 63 else 30, "", "bare", "ink", thick=2)
    d.text(360, top + 134, f"“are”: {sums} = {pair(mixed[1], 2)}", SMALL, mono=True)
    return d


def heads() -> Drawing:
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


def padding_mask() -> Drawing:
    """No word may look at padding: −∞ before softmax is 0 after it."""
    words = ["She", "slept", "[PAD]", "[PAD]"]
    scores = [[0.4, 1.2], [1.6, 0.3], [0.1, 0.1], [0.1, 0.1]]
    weights = [softmax([*row, -math.inf, -math.inf]) for row in scores]
    d = Drawing(
        "Padding is hidden before softmax",
        f"""A row of a batch holds the words “She” and “slept”, and two [PAD] tokens
        that fill the row up. On the left are the scores. In the columns of [PAD], the
        scores are set to minus infinity. On the right are the weights after softmax. In
        the columns of [PAD], the weights are exactly 0, and the two words share the
        whole weight. “She” gives itself the weight {number(weights[0][0], 2)} and
        “slept” the weight {number(weights[0][1], 2)}. The rows of the two [PAD] tokens
        are computed as well, but nobody reads these rows.""",
        296,
    )
    d.text(200, 34, "scores", bold=True)
    d.text(522, 34, "weights", ink="blue-ink", bold=True)
    for x in (96, 418):
        for j, word in enumerate(words):
            d.text(x + 52 * j + 26, 64, word, SMALL, "red-ink" if j > 1 else "ink")
    for i, word in enumerate(words):
        d.text(86, 97 + 34 * i, word, at="end", ink="quiet" if i > 1 else "ink")
        if i < 2:
            d.text(636, 97 + 34 * i, "sum 1", SMALL, "quiet", "start")
    for i in range(4):
        for j in range(4):
            y, ink = 80 + 34 * i, "ink" if i < 2 else "quiet"
            how = {"size": SMALL, "ink": ink, "radius": 0, "dash": i > 1}
            if j > 1:
                hidden = how | {"size": 15, "ink": "red-ink" if i < 2 else "quiet"}
                d.box(96 + 52 * j, y, 52, 34, "−∞", "plain", **hidden)
            else:
                text = number(scores[i][j])
                d.box(96 + 52 * j, y, 52, 34, text, "plain", mono=True, **how)
            text, alpha = number(weights[i][j], 2), weights[i][j] if i < 2 else 0
            d.box(418 + 52 * j, y, 52, 34, text, "blue", alpha=alpha, mono=True, **how)
    d.arrow((312, 114), (410, 114))
    d.text(360, 98, "softmax")
    d.text(360, 132, "of each row", SMALL, "quiet")
    d.text(252, 240, "real_BS is False here", SMALL, "red-ink")
    d.text(574, 240, "exactly 0", SMALL, "red-ink")
    d.text(360, 270, "The dashed rows are computed as well, but nobody reads them.")
    return d
