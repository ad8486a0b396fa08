"""What an answer needed, as HTML: each word hidden and each head silenced in turn."""

import html

from torch import Tensor

from explorer.markup import (
    STRONGEST,
    attributes_markup,
    bar_markup,
    markup_text,
    percent_markup,
    points_markup,
    word_markup,
)
from explorer.predict import Prediction


def change_table_class(change: float) -> str:
    """The class that colours a change."""
    return "mt-fall" if change < 0 else "mt-rise"


def table_scroller_html(label: str, table: str) -> str:
    """A table that can be scrolled sideways, by keyboard, too."""
    return (
        f'<div class="mt-scroller" role="region" tabindex="0" aria-label="{label}">'
        f"{table}</div>"
    )


def words_table_html(
    prediction: Prediction, share_S: Tensor, after_W: Tensor, furthest: float
) -> str:
    """Attention beside what hiding one more word does to the probability.

    `share_S` is over tokens, `after_W` the probability without each word. A change as
    large as `furthest` fills its half of the column.
    """
    position, p = prediction.position, prediction.p_target
    share_W, widest = share_S[1:-1].tolist(), float(share_S.max())
    rows = []
    for i, after in enumerate(after_W.tolist()):
        share, change = share_W[i], after - p
        if i == position:
            continue
        rows.append(
            f"<tr {attributes_markup(position=i, attention=share, p=after)}>"
            f"<th scope=row>{word_markup(prediction.words[i])}</th>"
            f"<td>{percent_markup(share)}</td>"
            f'<td class="mt-bars">{bar_markup(share / widest)}</td>'
            f"<td>{percent_markup(after)}</td><td>{points_markup(change)}</td>"
            f'<td><span class="mt-change"><i class="{change_table_class(change)}" '
            f'style="--w:{abs(change) / furthest:.3f}"></i></span></td></tr>'
        )
    table = (
        f'<table class="mt-knock" {attributes_markup(**{"for": position})}><caption>'
        "<b>Hide one more word.</b> One other word at a time is hidden as well. While "
        f"all other words are visible, <b>{word_markup(prediction.target)}</b> has "
        f"{percent_markup(p)}. A point is a hundredth of probability."
        "</caption><tr><th scope=col>word</th><th scope=col colspan=2>"
        "looked at</th><th scope=col>without it</th><th scope=col colspan=2>points</th>"
        f"</tr>{''.join(rows)}</table>"
    )
    return table_scroller_html("One more word hidden", table)


def heads_table_html(prediction: Prediction, after_NH: Tensor, furthest: float) -> str:
    """Each head silenced: the change in probability; a press chooses that head.

    `after_NH` is the probability without each head. The strongest colour stands for
    `furthest`.
    """
    tokens, rows = ["start", *prediction.words, "end"], []
    for n, after_H in enumerate(after_NH.tolist()):
        cells = []
        for h, after in enumerate(after_H):
            change = after - prediction.p_target
            most = tokens[int(prediction.attention(n, h).argmax())]
            points = points_markup(change)
            told = f"Layer {n + 1}, head {h + 1}: {points} points when it is silent; "
            told += f"it looks most at “{markup_text(most)}”"
            cells.append(
                f'<td class="{change_table_class(change)}" '
                f"{attributes_markup(layer=n + 1, head=h + 1, p=after)} "
                f'style="--a:{STRONGEST * abs(change) / furthest:.3f}"><button '
                f'title="{html.escape(told, quote=True)}">{points}</button></td>'
            )
        rows.append(f"<tr><th scope=row>layer {n + 1}</th>{''.join(cells)}</tr>")
    numbers = range(1, after_NH.shape[1] + 1)
    heads = "".join(f"<th scope=col>{number}</th>" for number in numbers)
    table = (
        '<table class="mt-heads"><caption><b>Silence one head.</b> Each head is '
        "silenced in turn; a number is the change in points. Press it to see where "
        f"that head looked.</caption><tr><td></td>{heads}</tr>{''.join(rows)}</table>"
    )
    return table_scroller_html("Each head silenced", table)
