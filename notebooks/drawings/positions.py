"""Drawings of what turns and what flows: rotary positions, attention rollout."""

import math

from notebooks.drawings.attention import product, shown
from notebooks.drawings.kit import NORMAL, SMALL, Drawing, number

STEP, QUERY, KEY = 0.4, 0.9, 0.7  # angles in radians
D_HEAD = 32


def rotary() -> Drawing:
    """Query and key turn with their positions; their angle keeps the distance."""
    cases = [
        (0, 0, "not turned", "the words alone"),
        (3, 1, "positions 3 and 1", "distance 2"),
        (7, 5, "positions 7 and 5", "distance 2, so the same angle"),
    ]
    scores = [number(math.cos(QUERY - KEY + STEP * (q - k)), 2) for q, k, *_ in cases]
    pairs = [(i, 10_000 ** (-2 * i / D_HEAD)) for i in (0, 4)]
    d = Drawing(
        "Rotary positions turn queries and keys",
        f"""Each of three dials has an arrow for a query and an arrow for a key. In the
        first dial, the arrows are not turned, and their product is
        q · k = {scores[0]}. In the other two dials, each arrow is turned by {STEP}
        radians for each position. With a query at position 3 and a key at position 1,
        the angle between the arrows has changed, and q · k = {scores[1]}. At the
        positions 7 and 5, both arrows have turned further. But the angle between the
        arrows is the same as before, so the product is again q · k = {scores[2]}. Only
        the distance between the two positions counts. Below, two pairs of coordinates
        are drawn as clock hands at ten positions. From one position to the next, pair 0
        turns by 1 radian, and pair 4 turns by {number(pairs[1][1])} radians. A head of
        {D_HEAD} numbers has {D_HEAD // 2} such pairs, and each pair turns more slowly
        than the pair before it.""",
        510,
    )
    for i, (q_at, k_at, title, what) in enumerate(cases):
        x, y = 130 + 230 * i, 158
        q, k = QUERY + STEP * q_at, KEY + STEP * k_at
        d.text(x, 32, title, 15, bold=True)
        d.text(x, 54, what, SMALL, "quiet")
        d.circle(x, y, 80)
        turns = [k + (q - k) * j / 16 for j in range(17)]
        ring = [(x + 34 * math.cos(a), y - 34 * math.sin(a)) for a in turns]
        d.line(ring, "ink", thick=2)
        for angle, colour in ((k, "green-ink"), (q, "orange-ink")):
            tip = x + 74 * math.cos(angle), y - 74 * math.sin(angle)
            d.arrow((x, y), tip, line=colour, thick=2.5, head=12)
        d.circle(x, y, 3, "ink", None)
        d.text(x, y + 102, f"q · k = {scores[i]}", 15, bold=True)
    d.text(340, 292, "query of the word that looks", ink="orange-ink", at="end")
    d.text(380, 292, "key of the word that is looked at", ink="green-ink", at="start")
    d.line([(24, 318), (696, 318)], "frame", 1)
    d.head(24, 342, "Each pair of coordinates turns at its own speed", NORMAL)
    for i, (which, turn) in enumerate(pairs):
        y = 386 + 74 * i
        d.text(24, y - 9, f"pair {which}", at="start", bold=True)
        d.text(24, y + 11, f"{number(turn)} rad", SMALL, "quiet", "start")
        for t in range(10):
            x = 130 + 61 * t
            d.circle(x, y, 20)
            tip = x + 18 * math.cos(turn * t), y - 18 * math.sin(turn * t)
            d.arrow((x, y), tip, line="blue-ink", thick=2)
    for t in range(10):
        d.text(130 + 61 * t, 423, f"{t}", SMALL, "quiet")
    return d


def rollout() -> Drawing:
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
    followed = product(halves[1], halves[0])
    she = [(halves[1][of][j], halves[0][j][0]) for j in range(4)]
    sums = " + ".join(f"{number(a, 2)}·{number(b, 2)}" for a, b in she)
    result = number(followed[of][0], 2)
    named = zip(words, shown(followed, 2), strict=True)
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
    d.cells(left, top, shown(followed, 2), 48, 30, "blue", followed)
    d.box(left - 2, top + 30 * of - 1, 196, 32, "", "bare", "ink", thick=2)
    d.text(left + 96, 306, "rows: the words on top", SMALL, "quiet")
    d.text(left + 96, 326, "columns: the words at the bottom", SMALL, "quiet")
    d.text(360, 408, f"“She” in “her”: {sums} = {result}", SMALL, mono=True)
    return d
