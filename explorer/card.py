"""The explorer's HTML: from predictions to strings, the same live and in a saved page.

Each word is escaped, and each number stands beside its colour. The colours themselves,
light and dark, are in look.css.
"""

import html
import re

from torch import Tensor

from explorer.heatmap import percent
from explorer.knockout import rank_correlation
from explorer.predict import BLANK, Prediction

JOINER = re.compile("[\u200c\u200d\U000e0020-\U000e007f]")  # within one character
STRONGEST = 0.8  # of the blue; text on it keeps a contrast of more than 4.5:1


def shown(word: str) -> str:
    """A word as a page can show it: odd characters become ▯, a long word is cut."""
    word = "".join(c if c.isprintable() or JOINER.match(c) else "▯" for c in word)
    return word if len(word) <= 24 else word[:23] + "…"


def safe(word: str) -> str:
    """A word as HTML, never read as a tag."""
    # Isolated, so that a word written from right to left does not turn its neighbours.
    return f"<bdi>{html.escape(shown(word), quote=True)}</bdi>"


def data(**numbers) -> str:
    """Exact values as data attributes; what the page shows is rounded."""
    return " ".join(
        f'data-{name}="{value:.8f}"'
        if isinstance(value, float)
        else f'data-{name}="{html.escape(str(value), quote=True)}"'
        for name, value in numbers.items()
    )


def points(change: float) -> str:
    """A change in probability in percentage points, with its sign."""
    told = f"{100 * change:+.1f}"
    return "0.0" if told in ("+0.0", "-0.0") else told.replace("-", "−")


def words_css(scope: str, position: int, unknown: list[bool], blue_S: list) -> str:
    """Paints the word buttons: blue, ring and tags. `blue_S` counts from [CLS]."""
    words = f".mt-box .mt-words.{scope}"  # outranks what look.css says of all buttons
    rules = [f"{words} {{--cls: {blue_S[0]:.3f}; --sep: {blue_S[-1]:.3f}}}"]
    for i, outside in enumerate(unknown):
        style = f"--a: {blue_S[i + 1]:.3f}; "
        if outside:
            style += '--tag: "[UNK]"; text-decoration: underline dotted; '
        if i == position:
            style += '--tag: "[MASK]"; font-weight: bold; box-shadow: '
            style += "0 0 0 2px var(--paper), 0 0 0 5px var(--ring)"
        rules.append(f"{words} button:nth-child({i + 1}) {{{style}}}")
    return "\n".join(rules)


def strip_html(prediction: Prediction, unknown: list[bool], blue_S: list) -> str:
    """The sentence painted by one of two models."""
    kinds = [["mt-unknown"] if outside else [] for outside in unknown]
    kinds[prediction.position] = ["mt-ring"]
    kinds = [["mt-special"], *kinds, ["mt-special"]]
    tokens = ["[CLS]", *prediction.words, "[SEP]"]
    spans = (
        f'<span class="{" ".join(kind)}" style="--a:{blue:.3f}">{safe(token)}</span>'
        for token, kind, blue in zip(tokens, kinds, blue_S, strict=True)
    )
    return f'<div class="mt-strip">{"".join(spans)}</div>'


def scale_html(vmax: float, length: int, unknown: list[bool]) -> str:
    """The scale of blue: its ends, and what even attention would be; the signs."""
    said = "Red ring, bold and [MASK]: the masked word."
    if outside := sum(unknown):
        said += " Dotted and [UNK]: outside the vocabulary; the model cannot read "
        said += f"{outside} of these {len(unknown)} words."
    return (
        f'<p class="mt-scale" {data(vmax=vmax)}>Attention 0 % <span class="mt-ramp">'
        f"</span> {percent(vmax)}; uniform would be {percent(1 / length)}. {said}</p>"
    )


def bar(share: float) -> str:
    """A bar as long as a share; its number stands beside it."""
    return f'<i class="mt-bar" style="--w:{share:.3f}"></i>'


def verdict_html(prediction: Prediction, n_words: int) -> str:
    """TRUE and PRED in one line."""
    masked, pred = prediction.words[prediction.position], prediction.pred
    guess = (
        f'<span class="mt-pred" {data(word=pred, p=prediction.p_pred)}>PRED: '
        f"<b>{safe(pred)}</b> {percent(prediction.p_pred)}</span>"
    )
    if prediction.blank:
        return f"TRUE: there is none, the word was left blank. {guess}"
    if prediction.true is None:
        return (
            f'<span class="mt-outside">TRUE: “{safe(masked)}” is outside the '
            f"vocabulary, so no guess can be right.</span> {guess}"
        )
    p, rank = prediction.p_true, prediction.rank_true
    return (
        f'<span class="mt-true" {data(word=masked, p=p, rank=rank)}>TRUE: '
        f"<b>{safe(masked)}</b> {percent(p)}, rank {rank} of {n_words:,}</span> "
        f"• {guess}: {'right ✓' if pred == masked else 'wrong ✗'}"
    )


def card_html(prediction: Prediction, share_S: Tensor, view: str, n_words: int) -> str:
    """The guess and the gaze, in sentences and as a table."""
    position, tokens = prediction.position, prediction.tokens
    others = [i for i in range(1, len(tokens) - 1) if i != position + 1]
    most = sorted(others, key=lambda i: -share_S[i])[:3]
    looked = [f"“{safe(tokens[i])}” {percent(share_S[i])}" for i in most]
    looked += [f"itself {percent(share_S[position + 1])}"]
    looked += [f"[CLS] {percent(share_S[0])}", f"[SEP] {percent(share_S[-1])}"]
    rows = "".join(
        f"<tr {data(word=word, p=p)}><th scope=row>{safe(word)}</th>"
        f"<td>{percent(p)}</td>"
        f'<td class="mt-bars">{bar(p)}</td></tr>'
        for word, p in prediction.top
    )
    return (
        f'<div class="mt-card" {data(position=position)}>'
        f'<div role="status"><p>{verdict_html(prediction, n_words)}</p>'
        f"<p>Attention of the masked position ({view}): {', '.join(looked)}.</p></div>"
        f'<table class="mt-top"><caption>The {len(prediction.top)} most probable words'
        f"</caption>{rows}</table>"
        "</div>"
    )


def unknown_html(guess: str, n_words: int) -> str:
    """That a guess is no word of the vocabulary."""
    return (
        f'<span class="mt-own">“{safe(guess)}” is not one of the {n_words:,} words '
        "that the model knows, so it has no probability.</span>"
    )


def own_html(word: str, p: float, rank: int, n_words: int) -> str:
    """What the model thinks of the reader's own guess."""
    return (
        f'<span class="mt-own" {data(word=word, p=p, rank=rank)}>Your guess '
        f"<b>{safe(word)}</b>: {percent(p)}, rank {rank:,} of {n_words:,}.</span>"
    )


def change_kind(change: float) -> str:
    """The class that colours a change."""
    return "mt-fall" if change < 0 else "mt-rise"


def words_html(
    prediction: Prediction,
    share_S: Tensor,
    after_W: Tensor,
    unknown: list[bool],
    vmax: float,
    furthest: float,
) -> str:
    """Attention beside what hiding one more word does to the probability.

    `share_S` is over tokens, `after_W` the probability without each word. Bars are as
    long as their share of `vmax`, or of `furthest`, the largest change.
    """
    position, p = prediction.position, prediction.p_target
    share_W, followed = share_S[1:-1], f"p({safe(prediction.target)})"
    others = [i for i in range(len(after_W)) if i != position]
    rows = []
    for i in others:
        share, after = float(share_W[i]), float(after_W[i])
        change = after - p
        rows.append(
            f"<tr {data(position=i, attention=share, p=after)}>"
            f"<th scope=row>{safe(prediction.words[i])}</th><td>{percent(share)}</td>"
            f'<td class="mt-bars">{bar(share / vmax)}</td>'
            f"<td>{percent(after)}</td><td>{points(change)}</td>"
            f'<td><span class="mt-change"><i class="{change_kind(change)}" '
            f'style="--w:{abs(change) / furthest:.3f}"></i></span></td></tr>'
        )
    # As in the study of many sentences: all [UNK] are one token, and not compared.
    words = prediction.words  # and a blank is hidden anyway
    known = [i for i in others if not unknown[i] and words[i] != BLANK]
    rho = rank_correlation(share_W[known], p - after_W[known])
    told = "not defined" if rho is None else f"{rho:.2f}".replace("-", "−")
    return (
        f'<table class="mt-knock" {data(**{"for": position})}><caption><b>Looked at, '
        "and needed?</b> Each other word replaced by [MASK] in turn. With all of them "
        f"{followed} is {percent(p)}; a full bar is {100 * furthest:.1f} points."
        "</caption><tr><th scope=col>word</th><th scope=col colspan=2>attention</th>"
        f"<th scope=col>{followed}</th><th scope=col>points</th>"
        f'<td class="mt-sides">falls | rises</td></tr>{"".join(rows)}</table>'
        f"<p>Rank correlation (Spearman) of attention and fall: {told}, over the "
        f"{len(known)} other words of the vocabulary. That is one sentence, and says "
        "nothing about others.</p>"
    )


def heads_html(prediction: Prediction, after_NH: Tensor, furthest: float) -> str:
    """Each head switched off: the change in probability, and where that head looked.

    `after_NH` is the probability without each head. The strongest colour stands for
    `furthest`, the largest change.
    """
    rows = []
    for n, after_H in enumerate(after_NH.tolist()):
        cells = []
        for h, after in enumerate(after_H):
            share_S, change = prediction.attention(n, h), after - prediction.p_target
            most = int(share_S.argmax())
            cells.append(
                f'<td class="{change_kind(change)}" '
                f"{data(layer=n + 1, head=h + 1, p=after)} "
                f'style="--a:{STRONGEST * abs(change) / furthest:.3f}">{points(change)}'
                f"<small>{safe(prediction.tokens[most])} {100 * share_S[most]:.0f} %"
                "</small></td>"
            )
        rows.append(f"<tr><th scope=row>layer {n + 1}</th>{''.join(cells)}</tr>")
    numbers = range(1, after_NH.shape[1] + 1)
    heads = "".join(f"<th scope=col>head {number}</th>" for number in numbers)
    return (
        '<table class="mt-heads"><caption><b>And which head?</b> Each switched off in '
        f"turn: change of p({safe(prediction.target)}) in points, in the strongest "
        f"colour {100 * furthest:.1f}; below it, what that head looked at most."
        f"</caption><tr><td></td>{heads}</tr>{''.join(rows)}</table>"
    )
