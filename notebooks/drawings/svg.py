"""A small kit for drawings in SVG: boxes, cells with numbers, arrows and text.

Each drawing carries its own paper and follows the reader's light or dark scheme. The
origin is at the top left, and a text is placed by its middle line. A colour is named by
its role: `ink` and `quiet` for text, `edge` for lines, `plain` for boxes, `blue` for
attention, `orange` for queries, `green` for keys, `violet` for values, `red` for what
is hidden. Each of the last five has a darker form for text, as in `blue-ink`.
"""

import math
import re
from html import escape

WIDTH = 720
SMALL, NORMAL = 13, 14
SANS = "system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',Arial,sans-serif"
MONO = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
COLOURS = {  # in a light scheme, and in a dark one
    "paper": ("#fdfcfa", "#1b1c1e"),
    "frame": ("#d9d6d0", "#3c3e42"),
    "plain": ("#f1efea", "#2a2c2f"),
    "ink": ("#161616", "#eeeeee"),
    "quiet": ("#595959", "#b4b4b4"),
    "edge": ("#767676", "#8f8f8f"),
    "blue": ("#4c92c3", "#2f7ab5"),
    "blue-ink": ("#1c5c8c", "#86c0ea"),
    "orange": ("#de7a28", "#b5601f"),
    "orange-ink": ("#97480c", "#f0aa6e"),
    "green": ("#28a078", "#1c7d5b"),
    "green-ink": ("#11664a", "#72cfab"),
    "violet": ("#9166c8", "#7550ac"),
    "violet-ink": ("#6535a0", "#c3a4f0"),
    "red": ("#c8102e", "#ff6678"),
    "red-ink": ("#b80d28", "#ff8a98"),
}
LIGHT, DARK = ({name: pair[i] for name, pair in COLOURS.items()} for i in (0, 1))


def svg_style() -> str:
    """The style sheet: for each role a fill and a line, in both schemes."""

    def scheme(colours):
        return "".join(f"--{name}:{colour};" for name, colour in colours.items())

    rules = "".join(
        f".{name}{{fill:var(--{name})}}.{name}-line{{stroke:var(--{name})}}"
        for name in LIGHT
    )
    return (
        f"svg{{{scheme(LIGHT)}font-family:{SANS}}}.mono{{font-family:{MONO}}}"
        ".bold{font-weight:600}.bare{fill:none}"
        f"{rules}@media(prefers-color-scheme:dark){{svg{{{scheme(DARK)}}}}}"
    )


def svg_number(value: float, digits: int = 1) -> str:
    """A number as a cell shows it, with a real minus sign."""
    shown = f"{value:.{digits}f}"
    shown = shown.removeprefix("-") if float(shown) == 0 else shown
    return shown.replace("-", "−")


def svg_numbers(rows: list, digits: int = 1) -> list:
    """The numbers of a matrix as its cells show them."""
    return [[svg_number(value, digits) for value in row] for row in rows]


def svg_text_width(text: str, size: float = NORMAL, mono: bool = False) -> float:
    """About how wide a text is; rather too much than too little."""
    if mono:
        return 0.605 * size * len(text)
    wide = {**dict.fromkeys("ijlI.,:;'|! ", 0.33), **dict.fromkeys("ftr()[]-", 0.42)}
    wide |= dict.fromkeys("mwMW", 0.95) | dict.fromkeys("ABCDEGHKNOPQRSTUVXYZ", 0.74)
    return size * sum(wide.get(c, 0.63) for c in text)


class Drawing:
    """A drawing of that height, with a title and a full description in words."""

    def __init__(self, title: str, description: str, height: int):
        self.title, self.height = title, height
        self.description = " ".join(description.split())
        self.marks = []

    def svg(self) -> str:
        """The drawing as a file that stands alone."""
        size = f'width="{WIDTH}" height="{self.height}"'
        start = 'xmlns="http://www.w3.org/2000/svg" '
        start += f'viewBox="0 0 {WIDTH} {self.height}"'
        paper = f'<rect class="paper frame-line" x="1" y="1" width="{WIDTH - 2}" '
        paper += f'height="{self.height - 2}" rx="12"/>'
        head = f"<title>{escape(self.title)}</title>\n"
        head += f"<desc>{escape(self.description, quote=False)}</desc>\n"
        parts = [head + f"<style>{svg_style()}</style>", paper, *self.marks]
        return f"<svg {start} {size} role='img'>\n" + "\n".join(parts) + "\n</svg>\n"

    def put(self, element: str, classes: str, **attributes) -> None:
        """Adds an element without content; lengths are rounded to a tenth."""
        given = {
            name.replace("_", "-"): f"{round(value, 1):g}"
            if isinstance(value, float) and "opacity" not in name
            else value
            for name, value in attributes.items()
            if value is not None
        }
        shown = " ".join(f'{name}="{value}"' for name, value in given.items())
        self.marks.append(f'<{element} class="{classes}" {shown}/>')

    def text(self, x, y, text, size=NORMAL, ink="ink", at="middle", **how):
        """A line of text whose middle line is `y`; `_{…}` sets a subscript.

        `at` says which part is at `x`: start, middle or end; `how`: bold, mono, turn.
        """
        classes = " ".join([ink, *(kind for kind in ("bold", "mono") if how.get(kind))])
        small = max(SMALL, round(0.78 * size))
        shown = re.sub(
            r"_\{(.*?)\}(.?)",
            lambda m: (
                f'<tspan dy="4" font-size="{small}">{m[1]}</tspan>'
                + (f'<tspan dy="-4">{m[2]}</tspan>' if m[2] else "")
            ),
            escape(text, quote=False),
        )
        turn = how.get("turn")
        turned = f' transform="rotate({turn} {x} {y})"' if turn else ""
        self.marks.append(
            f'<text class="{classes}" x="{round(x, 1):g}" y="{y + 0.36 * size:.1f}" '
            f'font-size="{size}" text-anchor="{at}"{turned}>{shown}</text>'
        )

    def head(self, x, y, text, size=15):
        """A heading, which begins at `x`."""
        self.text(x, y, text, size, at="start", bold=True)

    def box(self, x, y, w, h, text="", fill="plain", line="edge", **how):
        """A rectangle with lines of text in its middle.

        `how`: alpha (of the fill), dash, radius, thick, and size, ink, bold, mono of
        the text.
        """
        self.put(
            "rect",
            f"{fill} {line}-line" if line else fill,
            x=float(x),
            y=float(y),
            width=float(w),
            height=float(h),
            rx=how.pop("radius", 6),
            stroke_width=how.pop("thick", None),
            stroke_dasharray="4 3" if how.pop("dash", False) else None,
            fill_opacity=f"{how.pop('alpha', 1):.3g}",
        )
        lines = [text] if isinstance(text, str) else text
        step = 1.3 * how.get("size", NORMAL)
        for i, one in enumerate(lines):
            if one:
                middle = y + h / 2 + (i - (len(lines) - 1) / 2) * step
                self.text(x + w / 2, middle, one, **how)

    def cells(self, x, y, rows, w=40, h=26, fill="plain", alphas=None, **how):
        """A matrix of cells; `alphas` gives the strength of each cell's fill."""
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                kind = fill[j] if isinstance(fill, list) else fill
                alpha = how.get("alpha", 1) if alphas is None else alphas[i][j]
                place = x + j * w, y + i * h, w, h
                ink = {"size": SMALL, "mono": True, "ink": how.get("ink", "ink")}
                self.box(*place, value, kind, "edge", alpha=alpha, radius=0, **ink)

    def line(self, points, line="edge", thick=1.5, dash=False, curve=False, alpha=None):
        """A line through points; with `curve` the points between them bend it."""
        first, *rest = [f"{x:.1f} {y:.1f}" for x, y in points]
        kind = {2: "L", 3: "Q", 4: "C"}[len(points)] if curve else "L"
        path = f"M{first}{kind}{' '.join(rest)}"
        self.put(
            "path",
            f"bare {line}-line",
            d=path,
            stroke_width=thick,
            stroke_dasharray="4 3" if dash else None,
            stroke_opacity=alpha,
            stroke_linejoin="round",
        )

    def arrow(self, *points, line="edge", thick=1.5, curve=False, dash=False, head=7):
        """A line that ends in a head."""
        (x, y), (before_x, before_y) = points[-1], points[-2]
        turn = math.atan2(y - before_y, x - before_x)
        back = x - head * math.cos(turn), y - head * math.sin(turn)
        across = 0.5 * head * math.sin(turn), 0.5 * head * math.cos(turn)
        self.line([*points[:-1], back], line, thick, dash, curve)
        left = back[0] - across[0], back[1] + across[1]
        right = back[0] + across[0], back[1] - across[1]
        corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in ((x, y), left, right))
        self.put("polygon", line, points=corners)

    def circle(self, x, y, r, fill="plain", line="edge", alpha=1, thick=None):
        """A circle, or a dot."""
        classes = f"{fill} {line}-line" if line else fill
        where = {"cx": float(x), "cy": float(y), "r": float(r)}
        self.put("circle", classes, **where, fill_opacity=alpha, stroke_width=thick)
