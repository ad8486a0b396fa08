"""The drawings of the series: `show_drawing("attention")` in a notebook.

Each drawing is an SVG that follows the reader's light or dark scheme and carries its
own text for those who do not see it. They are drawn by the modules beside this one;
`python -m notebooks.drawings` writes them to plots/drawings/.
"""

import html
import re

from helpers import ROOT
from helpers.figure import show_figure

FOLDER = ROOT / "plots" / "drawings"
TEXT = re.compile(r"<desc>(.*?)</desc>", re.S)


def show_drawing(name: str) -> None:
    """Displays the drawing of that name with its description.

    ValueError if there is none.
    """
    names = sorted(path.stem for path in FOLDER.glob("*.svg"))
    if name not in names:
        raise ValueError(f"There is no drawing {name!r}; choose {', '.join(names)}.")
    content = (FOLDER / f"{name}.svg").read_bytes()
    alt = html.unescape(TEXT.search(content.decode("utf-8"))[1])
    show_figure(content, alt, kind="svg+xml")
