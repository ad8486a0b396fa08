"""The drawing of rotary positions."""

import math

from notebooks.drawings.svg import NORMAL, SMALL, Drawing, svg_number

STEP, QUERY, KEY = 0.4, 0.9, 0.7  # angles in radians
D_HEAD = 32


def rotary_drawing() -> Drawing:
    """Query and key turn with their positions; their angle keeps the distance."""
    cases = [
        (0, 0, "not turned", "the words alone"),
        (3, 1, "positions 3 and 1", "distance 2"),
        (7, 5, "positions 7 and 5", "distance 2, so the same angle"),
    ]
    angles = [QUERY - KEY + STEP * (q - k) for q, k, *_ in cases]
    scores = [svg_number(math.cos(angle), 2) for angle in angles]
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
        turns by 1 radian, and pair 4 turns by {svg_number(pairs[1][1])} radians. A head
        of {D_HEAD} numbers has {D_HEAD // 2} such pairs, and each pair turns more
        slowly than the pair before it.""",
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
    title = "From one position to the next, each pair of coordinates turns by its angle"
    d.head(24, 342, title, NORMAL)
    for i, (which, turn) in enumerate(pairs):
        y = 386 + 74 * i
        d.text(24, y - 9, f"pair {which}", at="start", bold=True)
        d.text(24, y + 11, f"{svg_number(turn)} rad", SMALL, "quiet", "start")
        for t in range(10):
            x = 130 + 61 * t
            d.circle(x, y, 20)
            tip = x + 18 * math.cos(turn * t), y - 18 * math.sin(turn * t)
            d.arrow((x, y), tip, line="blue-ink", thick=2)
    d.text(24, 423, "position", SMALL, "quiet", "start")
    for t in range(10):
        d.text(130 + 61 * t, 423, f"{t}", SMALL, "quiet")
    return d
