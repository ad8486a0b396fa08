"""The drawings: as the code draws them, described, readable in light and in dark."""

import base64
import html
import math
import re
from xml.etree import ElementTree

import pytest
from matplotlib import font_manager
from PIL import ImageFont

from notebooks.drawings import FOLDER, show_drawing
from notebooks.drawings.__main__ import drawings
from notebooks.drawings.kit import DARK, LIGHT, SMALL, WIDTH, Drawing, number, width_of

MADE = drawings()
SVG = "{http://www.w3.org/2000/svg}"
# Wider than most system fonts, so what fits with it fits with those.
FONTS = {"": "DejaVu Sans", "bold": "DejaVu Sans:bold", "mono": "DejaVu Sans Mono"}


def font(classes: set[str], size: float):
    kind = "mono" if "mono" in classes else "bold" if "bold" in classes else ""
    path = font_manager.findfont(FONTS[kind], fallback_to_default=False)
    return ImageFont.truetype(path, 100), size / 100


def length(element) -> float:
    """How wide a text is, subscripts in their own size."""
    classes, total = set(element.get("class").split()), 0
    pieces = [(element.text, element.get("font-size"))]
    for span in element:
        pieces.append((span.text, span.get("font-size", element.get("font-size"))))
        pieces.append((span.tail, element.get("font-size")))
    for text, size in pieces:
        face, scale = font(classes, float(size))
        total += face.getlength(text or "") * scale
    return total


def text_box(element) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text, of its letters without descenders."""
    x, y, size = (float(element.get(name)) for name in ("x", "y", "font-size"))
    wide = length(element)
    x -= wide * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
    box = x, y - 0.74 * size, x + wide, y + 0.1 * size
    if turned := element.get("transform"):
        angle, cx, cy = (float(n) for n in re.findall(r"-?[\d.]+", turned))
        assert angle == -90
        corners = [(cx + (b - cy), cy - (a - cx)) for a in box[::2] for b in box[1::2]]
        xs, ys = zip(*corners, strict=True)
        box = min(xs), min(ys), max(xs), max(ys)
    return box


def points(path: str) -> list[tuple[float, float]]:
    """Points along a path of one line or curve."""
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", path)]
    ends = [*zip(numbers[::2], numbers[1::2], strict=True)]
    kind = re.findall("[LQC]", path)[0]
    if kind == "L":
        parts = [[a, b] for a, b in zip(ends, ends[1:], strict=False)]
    else:
        parts = [ends]
    along = []
    for part in parts:
        for i in range(61):
            t, now = i / 60, part
            while len(now) > 1:  # de Casteljau
                now = [
                    tuple(p + t * (q - p) for p, q in zip(a, b, strict=True))
                    for a, b in zip(now, now[1:], strict=False)
                ]
            along.append(now[0])
    return along


def rectangle(element) -> tuple[float, float, float, float]:
    x, y, w, h = (float(element.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + w, y + h


def covering(element, box) -> bool:
    """Whether a box hides all that was drawn before it where a text stands."""
    if element.tag != f"{SVG}rect" or role(element) == "bare":
        return False
    x0, y0, x1, y1 = rectangle(element)
    holds = x0 <= box[0] and box[2] <= x1 and y0 <= box[1] and box[3] <= y1
    return holds and float(element.get("fill-opacity", 1)) == 1


def role(element) -> str:
    return element.get("class").split()[0]


def rgb(colour: str) -> list[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def contrast(a: list[float], b: list[float]) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def problems(svg: str) -> list[str]:
    """What a reader of a drawing would stumble over."""
    root = ElementTree.fromstring(svg)
    found, before, texts, lines = [], [], [], []
    width, height = float(root.get("width")), float(root.get("height"))
    for element in root:
        tag = element.tag.removeprefix(SVG)
        if tag in ("rect", "circle"):
            before.append(element)
        elif tag == "path":
            lines.append((element, len(before)))
        elif tag == "text":
            texts.append((element, text_box(element), [*before]))
    boxes = [rectangle(e) for e in before if e.tag == f"{SVG}rect"]
    for n, (element, box, under) in enumerate(texts):
        name = "".join(element.itertext())
        left, top, right, bottom = box
        if left < 8 or top < 8 or right > width - 8 or bottom > height - 8:
            found.append(f"{name!r} leaves the picture")
        for size in [element.get("font-size"), *(s.get("font-size") for s in element)]:
            if size and float(size) < SMALL:
                found.append(f"{name!r} is small")
        for x0, y0, x1, y1 in boxes:
            apart = right < x0 or left > x1 or bottom < y0 or top > y1
            inside = x0 <= left and right <= x1 and y0 <= top and bottom <= y1
            around = left <= x0 and x1 <= right and top <= y0 and y1 <= bottom
            if not apart and not inside or around:
                found.append(f"{name!r} runs over the border of a box")
        for other, (x0, y0, x1, y1), _ in texts[:n]:
            if left < x1 and x0 < right and top < y1 and y0 < bottom:
                found.append(f"{name!r} covers {''.join(other.itertext())!r}")
        for line, since in lines:
            covers = [e for e in under[since:] if covering(e, box)]
            if not covers and any(
                left - 1 < x < right + 1 and top - 1 < y < bottom + 1
                for x, y in points(line.get("d"))
            ):
                found.append(f"a line runs through {name!r}")
        for scheme in (LIGHT, DARK):
            ground = rgb(scheme["paper"])
            for shape in under:
                if role(shape) == "bare" or shape.tag != f"{SVG}rect":
                    continue
                x0, y0, x1, y1 = rectangle(shape)
                if x0 <= (left + right) / 2 <= x1 and y0 <= (top + bottom) / 2 <= y1:
                    part = float(shape.get("fill-opacity", 1))
                    over = rgb(scheme[role(shape)])
                    mixed = zip(ground, over, strict=True)
                    ground = [(1 - part) * g + part * c for g, c in mixed]
            ratio = contrast(rgb(scheme[role(element)]), ground)
            if ratio < 4.5:
                found.append(f"{name!r} has a contrast of {ratio:.1f}")
    return found


def test_the_files_are_what_the_code_draws():
    kept = {path.stem: path.read_text("utf-8") for path in FOLDER.glob("*.svg")}
    assert kept.keys() == MADE.keys()
    old = [name for name, drawing in MADE.items() if kept[name] != drawing.svg()]
    assert not old, "run `python -m notebooks.drawings`"


@pytest.mark.parametrize("name", MADE)
def test_a_drawing_can_be_read(name):
    assert problems(MADE[name].svg()) == []


@pytest.mark.parametrize("name", MADE)
def test_a_drawing_stands_alone_and_says_what_it_shows(name):
    svg = MADE[name].svg()
    root = ElementTree.fromstring(svg)
    assert root.get("width") == str(WIDTH) and root[0].tag == f"{SVG}title"
    title, description = root.find(f"{SVG}title").text, root.find(f"{SVG}desc").text
    assert 10 <= len(title) <= 60 and not title.endswith(".")
    assert 40 <= len(description.split()) <= 170 and description.endswith(".")
    assert "\n" not in description and "  " not in description
    for address in re.findall(r"https?://[^\"']+", svg):
        assert address == "http://www.w3.org/2000/svg"
    assert not re.search(r"<(script|image|foreignObject|use)|url\(|href|@import", svg)
    light, dark = svg.split("@media(prefers-color-scheme:dark)")
    for colours, place in ((LIGHT, light), (DARK, dark)):
        assert all(f"--{k}:{colour};" in place for k, colour in colours.items())
    used = {c for element in root.iter() for c in element.get("class", "").split()}
    known = {*LIGHT, *(f"{name}-line" for name in LIGHT), "bare", "bold", "mono"}
    assert used <= known
    assert len(svg) < 40_000


@pytest.mark.parametrize(
    "change, problem",
    [
        (lambda d: d.text(700, 90, "far too long"), "leaves the picture"),
        (lambda d: d.text(360, 90, "tiny", 9), "is small"),
        (lambda d: d.box(20, 80, 40, 20, "too long a word"), "border of a box"),
        (lambda d: d.box(300, 85, 9, 9) or d.text(304, 90, "on it"), "border of a box"),
        (lambda d: d.text(360, 30, "again"), "covers"),
        (lambda d: d.line([(300, 30), (420, 30)]), "a line runs through"),
        (lambda d: d.line([(300, 99), (360, -39), (420, 99)], curve=True), "a line"),
        (lambda d: d.text(360, 90, "pale", ink="frame"), "contrast"),
        (lambda d: d.box(20, 80, 90, 30, "on ink", "ink"), "contrast"),
        (
            lambda d: d.box(295, 15, 130, 30, alpha=0.5) or d.text(360, 30, "x"),
            "covers",
        ),
    ],
)
def test_a_fault_is_seen(change, problem):
    d = Drawing("A title", "A description.", 120)
    d.text(360, 30, "a text")
    assert problems(d.svg()) == []
    change(d)
    assert problem in " ".join(problems(d.svg()))


def test_widths_are_not_underestimated_by_much():
    for text in ("newest", "keys", "attention", "Mimi WOMAN"):
        face, scale = font(set(), 14)
        assert width_of(text) >= 0.95 * face.getlength(text) * scale


def test_numbers_have_a_real_minus_and_no_negative_zero():
    assert [number(-0.04), number(-0.26), number(1.25, 2)] == ["0.0", "−0.3", "1.25"]
    assert math.isclose(float(number(-1.5).replace("−", "-")), -1.5)


def test_a_drawing_is_shown_with_its_description():
    shown = []

    def keep(data, raw):
        shown.append(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("notebooks.drawings.display", keep)
        show_drawing("attention")
        with pytest.raises(ValueError, match="choose attention, bert_and_gpt"):
            show_drawing("none")
    page, alt = shown[0]["text/html"], shown[0]["text/plain"]
    assert alt == MADE["attention"].description
    assert f'alt="{html.escape(alt)}"' in page
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    assert base64.b64decode(source).decode() == MADE["attention"].svg()
