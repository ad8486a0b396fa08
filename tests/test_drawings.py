"""The drawings: as the code draws them, described, readable in light and in dark."""

import base64
import html
import re
from unittest.mock import Mock
from xml.etree import ElementTree

import pytest
from matplotlib import font_manager
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox
from PIL import ImageFont

from notebooks.drawings import FOLDER, show_drawing
from notebooks.drawings.__main__ import all_drawings
from notebooks.drawings.svg import (
    DARK,
    LIGHT,
    SMALL,
    WIDTH,
    Drawing,
    svg_number,
    svg_text_width,
)

MADE = all_drawings()
SVG = "{http://www.w3.org/2000/svg}"
# Wider than most system fonts, so what fits with it fits with those.
FONTS = {"": "DejaVu Sans", "bold": "DejaVu Sans:bold", "mono": "DejaVu Sans Mono"}


def font(classes: set[str], size: float):
    kind = "mono" if "mono" in classes else "bold" if "bold" in classes else ""
    path = font_manager.findfont(FONTS[kind], fallback_to_default=False)
    return ImageFont.truetype(path, 100), size / 100


def text_box(element) -> Bbox:
    """Where a text stands, its letters without descenders, subscripts in their size."""
    classes, wide = set(element.get("class").split()), 0
    x, y, size = (float(element.get(name)) for name in ("x", "y", "font-size"))
    pieces = [(element.text, size)]
    for span in element:
        pieces += [(span.text, span.get("font-size", size)), (span.tail, size)]
    for text, own in pieces:
        face, scale = font(classes, float(own))
        wide += face.getlength(text or "") * scale
    x -= wide * {"start": 0, "middle": 0.5, "end": 1}[element.get("text-anchor")]
    box = Bbox.from_extents(x, y - 0.74 * size, x + wide, y + 0.1 * size)
    turn = map(float, re.findall(r"-?[\d.]+", element.get("transform", "0 0 0")))
    angle, *around = turn
    return box.transformed(Affine2D().rotate_deg_around(*around, angle))


def curve(element) -> Path:
    """The path of a line or of one curve."""
    numbers = re.findall(r"-?[\d.]+", element.get("d"))
    points = [*zip(map(float, numbers[::2]), map(float, numbers[1::2]), strict=True)]
    kinds = {"L": Path.LINETO, "Q": Path.CURVE3, "C": Path.CURVE4}
    kind = kinds[re.search("[LQC]", element.get("d"))[0]]
    return Path(points, [Path.MOVETO] + [kind] * (len(points) - 1))


def rectangle(element) -> Bbox:
    sides = (element.get(name) for name in ("x", "y", "width", "height"))
    return Bbox.from_bounds(*map(float, sides))


def holds(outer: Bbox, inner: Bbox) -> bool:
    return outer.contains(*inner.min) and outer.contains(*inner.max)


def role(element) -> str:
    return element.get("class").split()[0]


def contrast(*colours) -> float:
    """The ratio of WCAG 2.2, from 1 to 21."""
    linear = [
        [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        for colour in colours
    ]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)


def ground(box: Bbox, shapes: list, scheme: dict) -> list[float]:
    """The colour below the middle of a text."""
    colour = to_rgb(scheme["paper"])
    middle = (box.min + box.max) / 2
    for shape in shapes:
        if role(shape) != "bare" and rectangle(shape).contains(*middle):
            part = float(shape.get("fill-opacity", 1))
            mixed = zip(colour, to_rgb(scheme[role(shape)]), strict=True)
            colour = [(1 - part) * below + part * above for below, above in mixed]
    return colour


def problems(svg: str) -> list[str]:
    """What a reader of a drawing would stumble over."""
    root = ElementTree.fromstring(svg)
    sizes = float(root.get("width")), float(root.get("height"))
    paper = Bbox.from_extents(0, 0, *sizes).padded(-8)
    order = [(e.tag.removeprefix(SVG), e) for e in root]
    shapes = [(at, e) for at, (tag, e) in enumerate(order) if tag == "rect"]
    lines = [(at, curve(e)) for at, (tag, e) in enumerate(order) if tag == "path"]
    found, texts = [], []
    for at, (tag, element) in enumerate(order):
        if tag != "text":
            continue
        name, box = "".join(element.itertext()), text_box(element)
        if not holds(paper, box):
            found.append(f"{name!r} leaves the picture")
        if any(float(e.get("font-size", SMALL)) < SMALL for e in (element, *element)):
            found.append(f"{name!r} is small")
        for other in (rectangle(shape) for _, shape in shapes):
            if holds(box, other) or (box.overlaps(other) and not holds(other, box)):
                found.append(f"{name!r} runs over the border of a box")
        for other, place in texts:
            if box.fully_overlaps(place):
                found.append(f"{name!r} covers {other!r}")
        texts.append((name, box))
        under = [(since, shape) for since, shape in shapes if since < at]
        covers = [
            since
            for since, shape in under
            if role(shape) != "bare" and float(shape.get("fill-opacity", 1)) == 1
            if holds(rectangle(shape), box)
        ]
        for since, line in lines:
            hidden = any(since < cover for cover in covers)
            if not hidden and line.intersects_bbox(box.padded(1), filled=False):
                found.append(f"a line runs through {name!r}")
        for scheme in (LIGHT, DARK):
            below = ground(box, [shape for _, shape in under], scheme)
            ratio = contrast(to_rgb(scheme[role(element)]), below)
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
    assert used <= {*LIGHT, *(f"{name}-line" for name in LIGHT), "bare", "bold", "mono"}
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
        assert svg_text_width(text) >= 0.95 * face.getlength(text) * scale


def test_numbers_have_a_real_minus_and_no_negative_zero():
    shown = [svg_number(-0.04), svg_number(-0.26), svg_number(1.25, 2)]
    assert shown == ["0.0", "−0.3", "1.25"]


def test_a_drawing_is_shown_with_its_description(monkeypatch):
    monkeypatch.setattr("helpers.figure.display", display := Mock())
    show_drawing("attention")
    with pytest.raises(ValueError, match="choose attention, bert_and_gpt"):
        show_drawing("none")
    (shown,) = display.call_args.args
    page, alt = shown["text/html"], shown["text/plain"]
    assert alt == MADE["attention"].description
    assert f'alt="{html.escape(alt)}"' in page
    source = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', page)[1]
    assert base64.b64decode(source).decode() == MADE["attention"].svg()
