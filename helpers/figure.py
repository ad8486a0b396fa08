"""A figure in a notebook: one look for all, shown with a text, saved in its place.

Figures are made without pyplot, so none is shown twice or kept in memory. A reader's
own style does not reach them: what makes or draws one does so in the `default_style`.
"""

import base64
import html
import io
import unicodedata
from functools import cache
from pathlib import Path

from IPython.display import display
from matplotlib import font_manager, ft2font, style
from matplotlib.figure import Figure
from PIL import Image

from helpers.files import write_whole
from helpers.notebook import plots_dir

DPI = 100  # with a width of at most 9 inches, a figure fits a notebook's page
QUIET = "#595959"


def default_style():
    """Matplotlib's own style, for a `with` statement or as a decorator.

    Its settings act both when the parts of a figure are made and when it is drawn.
    """
    return style.context("default")


@default_style()
def png(figure: Figure) -> bytes:
    """A figure as PNG in 256 colours, a third of the bytes for a notebook to carry."""
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    # The 256 that leave no colour far from its own, also those of few points.
    few = Image.Quantize.MAXCOVERAGE
    with Image.open(drawn) as picture:
        small = picture.convert("RGB").quantize(256, few, dither=Image.Dither.NONE)
    small.save(packed, "png", optimize=True)
    return packed.getvalue()


def show(figure: Figure | bytes, alt: str, live: dict | None = None) -> None:
    """Displays a figure, or the PNG of one; `alt` describes it in words.

    `live` is a form of the same output, by MIME type, for pages that can show it.
    """
    content = figure if isinstance(figure, bytes) else png(figure)
    # As HTML, because no front end gives the text of a bare picture to its readers.
    page = image_html("image/png", content, alt)
    display({**(live or {}), "text/html": page, "text/plain": alt}, raw=True)


def image_html(kind: str, content: bytes, alt: str) -> str:
    """An `img` element of that MIME type that holds its picture and describes it."""
    source = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    return f'<img alt="{html.escape(alt)}" src="{source}">'


def save(figure: Figure, name: str) -> Path:
    """Saves a figure among the plots of the current budget."""
    path = plots_dir() / name
    write_whole(path, png(figure))
    return path


def reference_lines(axes, losses: dict[str, float]) -> None:
    """A dotted line, with its name and number, for each loss to compare with."""
    for name, loss in losses.items():
        axes.axhline(loss, color=QUIET, linestyle=":", linewidth=1)
        place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
        style = {"ha": "right", "fontsize": 9, "color": QUIET}
        axes.annotate(f"{name} {loss:.2f}", (1, loss), (-2, 3), **place, **style)


@cache
def glyphs() -> frozenset[int]:
    """The characters that matplotlib's own font can draw, in bold too."""
    font = ft2font.FT2Font(font_manager.findfont("DejaVu Sans:bold"))
    return frozenset(font.get_charmap())


def drawable(text: str, limit: int = 24) -> str:
    """A text with ▯ for each character that cannot be drawn, cut at `limit`."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    # Only matplotlib 3.11 and later draws right-to-left script in its own direction.
    leftward = () if hasattr(ft2font, "__libraqm_version__") else ("R", "AL")
    return "".join(
        c
        if ord(c) in glyphs()
        and c.isprintable()
        and unicodedata.bidirectional(c) not in leftward
        else "▯"
        for c in text
    )
