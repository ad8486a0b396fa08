"""Nine small sketches for the map of the series, each about 76 by 56 around (x, y)."""

from notebooks.drawings.svg import SMALL, Drawing


def tokens_icon(d: Drawing, x: float, y: float) -> None:
    """A word above its id."""
    d.box(x - 24, y - 30, 48, 24, "old", "paper", size=SMALL)
    d.arrow((x, y - 5), (x, y + 7))
    d.box(x - 24, y + 8, 48, 24, "392", "blue", alpha=0.35, size=SMALL, mono=True)


def attention_icon(d: Drawing, x: float, y: float) -> None:
    """Four words and how much one of them looks at the others."""
    places = [x - 36, x - 12, x + 12, x + 36]
    for place, thick in zip(places[:3], (5, 1.5, 3), strict=True):
        high = (place + places[3]) / 2, y - 14 - 0.62 * (places[3] - place)
        d.line([(place, y + 14), high, (places[3], y + 14)], "blue", thick, curve=True)
    for place in places:
        d.box(place - 9, y + 14, 18, 14, fill="paper", radius=3)


def model_icon(d: Drawing, x: float, y: float) -> None:
    """Four layers."""
    d.arrow((x, y + 36), (x, y - 34))
    for i in range(4):
        d.box(x - 34, y - 24 + 14 * i, 68, 10, fill="blue", radius=3)


def training_icon(d: Drawing, x: float, y: float) -> None:
    """A loss that falls."""
    d.line([(x - 36, y - 30), (x - 36, y + 28), (x + 38, y + 28)])
    curve = [(x - 32, y - 28), (x - 22, y + 24), (x - 6, y + 16), (x + 36, y + 20)]
    d.line(curve, "blue", 3.5, curve=True)


def looking_icon(d: Drawing, x: float, y: float) -> None:
    """A hidden word, the words it looks at, three guesses."""
    for i, alpha in enumerate((0.9, 0.25, 0, 0.5)):
        fill = "paper" if i == 2 else "blue"
        line = {"line": "red", "thick": 3} if i == 2 else {"alpha": alpha}
        d.box(x - 39 + 20 * i, y - 26, 17, 16, fill=fill, radius=3, **line)
    for i, wide in enumerate((62, 24, 10)):
        d.box(x - 38, y + 2 + 11 * i, wide, 7, fill="blue", line=None, radius=0)


def evidence_icon(d: Drawing, x: float, y: float) -> None:
    """Three differences with their intervals, beside nought."""
    d.line([(x + 10, y - 30), (x + 10, y + 30)], dash=True)
    for i, (middle, half) in enumerate(((-20, 14), (-8, 10), (12, 20))):
        at = y - 18 + 18 * i
        d.line([(x + middle - half, at), (x + middle + half, at)], "blue", 2.5)
        d.circle(x + middle, at, 4.5, "blue", None)


def speed_icon(d: Drawing, x: float, y: float) -> None:
    """A batch that two processes share."""
    d.box(x - 38, y - 20, 14, 40, fill="blue", radius=3)
    for side in (-1, 1):
        d.arrow((x - 22, y + 6 * side), (x - 10, y + 16 * side))
        d.box(x - 8, y + 18 * side - 10, 20, 20, fill="paper", radius=3)
        d.arrow((x + 14, y + 16 * side), (x + 26, y + 6 * side))
    d.circle(x + 34, y, 7, "blue")


def bugs_icon(d: Drawing, x: float, y: float) -> None:
    """A beetle."""
    for side in (-1, 1):
        for rise in (-12, 2, 16):
            d.line([(x, y + rise / 2 + 4), (x + 28 * side, y + rise + 2)], thick=2)
        d.line([(x, y - 16), (x + 10 * side, y - 30)], thick=2)
    d.circle(x, y - 14, 8, "ink", None)
    d.circle(x, y + 6, 16, "red", None)
    d.line([(x, y - 10), (x, y + 22)], "paper", 2)


def bert_icon(d: Drawing, x: float, y: float) -> None:
    """Four layers beside twelve."""
    for i in range(4):
        d.box(x - 34, y + 11 - 6 * (3 - i), 22, 4, fill="blue", radius=1, line=None)
    d.arrow((x - 8, y + 4), (x + 4, y + 4))
    for i in range(12):
        d.box(x + 8, y + 27 - 5 * i, 30, 3.4, fill="blue", radius=1, line=None)
