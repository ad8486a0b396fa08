"""Texts that matplotlib draws: what it can draw, how wide it is, and its lines."""

import unicodedata
from functools import cache

from matplotlib import font_manager, ft2font
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from helpers.figure import DPI, default_style


@cache
def drawable_glyphs() -> frozenset[int]:
    """The characters that matplotlib's own font can draw, in bold too."""
    font = ft2font.FT2Font(font_manager.findfont("DejaVu Sans:bold"))
    return frozenset(font.get_charmap())


def drawable_text(text: str, limit: int = 24) -> str:
    """A text with ▯ for each character that cannot be drawn, cut at `limit`."""
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    # Only matplotlib 3.11 and later draws right-to-left script in its own direction.
    leftward = () if hasattr(ft2font, "__libraqm_version__") else ("R", "AL")
    return "".join(
        c
        if ord(c) in drawable_glyphs()
        and c.isprintable()
        and unicodedata.bidirectional(c) not in leftward
        else "▯"
        for c in text
    )


def drawn_text_places(
    widths: list[float], limit: float, gap: float
) -> list[tuple[float, int]]:
    """Left edge and line of boxes that are set one after another like words."""
    places, x, line = [], 0.0, 0
    for width in widths:
        if x > 0 and x + width > limit:
            x, line = 0.0, line + 1
        places.append((x, line))
        x += width + gap
    return places


@default_style()
def drawn_text_widths(texts: list[str], style: dict) -> list[float]:
    """Widths in pixels of texts as matplotlib will draw them."""
    probe = Figure(dpi=DPI)
    renderer = FigureCanvasAgg(probe).get_renderer()
    drawn = (probe.text(0, 0, text, **style) for text in texts)
    return [text.get_window_extent(renderer).width for text in drawn]
