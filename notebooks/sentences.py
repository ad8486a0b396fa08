"""A sentence as a figure: words in coloured boxes, and a note below each of them."""

from matplotlib.figure import Figure

from explorer.drawn_text import drawn_text_places, drawn_text_widths
from helpers.figure import default_style


@default_style()
def draw_sentence(words: list[str], notes: list[str], colors: list[str]) -> Figure:
    """Sets the words like text; a word without a note has an empty one."""
    style = {"fontsize": 13, "parse_math": False}
    longest = [max(pair, key=len) for pair in zip(words, notes, strict=True)]
    places = drawn_text_places(drawn_text_widths(longest, style), 820, 20)
    height = 64 * (places[-1][1] + 1)
    figure = Figure(figsize=(8.6, height / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 860), ylim=(height, 0))
    axes.axis("off")
    for (x, line), word, note, color in zip(places, words, notes, colors, strict=True):
        box = {"facecolor": color, "edgecolor": "none", "pad": 3}
        y = 26 + 64 * line
        axes.text(20 + x, y, word, bbox=box, **style)
        axes.text(20 + x, y + 24, note, color="#444444", **style)
    return figure
