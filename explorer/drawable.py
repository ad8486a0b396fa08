"""Which characters of a text matplotlib can draw."""

import unicodedata
from functools import cache

from matplotlib import font_manager, ft2font


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
