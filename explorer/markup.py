"""The explorer's HTML in a notebook: from predictions to strings, in the page's words.

Each word is escaped, and each number stands beside its colour. The colours themselves,
light and dark, are in look.css.
"""

import html
import re

from explorer.predict import Prediction

JOINER = re.compile("[\u200c\u200d\U000e0020-\U000e007f]")  # within one character
STRONGEST = 0.8  # of a colour; text on it keeps a contrast of more than 4.5:1
NEAR = 5  # guesses that count as near misses


def markup_text(word: str) -> str:
    """A word as a page can show it: odd characters become ▯, a long word is cut."""
    word = "".join(c if c.isprintable() or JOINER.match(c) else "▯" for c in word)
    return word if len(word) <= 24 else word[:23] + "…"


def word_markup(word: str) -> str:
    """A word as HTML, never read as a tag."""
    # Isolated, so that a word written from right to left does not turn its neighbours.
    return f"<bdi>{html.escape(markup_text(word), quote=True)}</bdi>"


def attributes_markup(**numbers) -> str:
    """Exact values as data attributes; what the page shows is rounded."""
    return " ".join(
        f'data-{name}="{value:.8f}"'
        if isinstance(value, float)
        else f'data-{name}="{html.escape(str(value), quote=True)}"'
        for name, value in numbers.items()
    )


def percent_markup(share: float) -> str:
    """A probability or a share as people read it: 66 %, 6.8 %."""
    if 0 < share < 0.0005:
        return "below 0.1\u00a0%"
    digits = 1 if 0 < share < 0.0995 else 0
    return f"{100 * share:.{digits}f}\u00a0%"


def points_markup(change: float) -> str:
    """A change in probability in points, which are hundredths, with its sign."""
    told = f"{100 * change:+.1f}"
    return "0.0" if told in ("+0.0", "-0.0") else told.replace("-", "−")


def markup_colours_css(
    scope: str, position: int, unknown: list[bool], share_S: list, change_S=None
) -> str:
    """Paints the word buttons: blue for `share_S`, or what a change was, instead.

    Both count from [CLS]; a share is 0 to 1, a change -1 to 1.
    """
    words = f".mt-box .mt-words.{scope}"  # outranks what look.css says of all buttons
    strength_S = [STRONGEST * abs(value) for value in change_S or share_S]
    rules = [f"{words} {{--cls: {strength_S[0]:.3f}; --sep: {strength_S[-1]:.3f}}}"]
    for i, outside in enumerate(unknown):
        style = f"--a: {strength_S[i + 1]:.3f}; "
        if change_S:
            style += f"--blue: var(--{'fall' if change_S[i + 1] < 0 else 'rise'}); "
        if outside:
            style += "text-decoration: underline dotted; "
            style += "" if i == position else '--tag: "unknown"; '
        rules.append(f"{words} button:nth-child({i + 1}) {{{style}}}")
    return "\n".join(rules)


def attention_scale_markup(view: str, vmax: float, n_tokens: int, n_words: int) -> str:
    """What blue stands for: its ends, and what even attention would be."""
    each = "" if n_tokens == n_words else " for each byte pair"
    return (
        f'<p class="mt-scale" {attributes_markup(view=view, vmax=vmax)}>'
        '<span class="mt-ramp"></span> Where the model looked from the hidden word: '
        f"0 to {percent_markup(vmax)}. "
        f"Even attention would be {percent_markup(1 / n_tokens)}{each}.</p>"
    )


def need_scale_markup(target: str, furthest: float) -> str:
    """What orange and green stand for."""
    return (
        f'<p class="mt-scale" {attributes_markup(view="need", vmax=furthest)}>'
        '<span class="mt-key mt-fall"></span> The answer needed it: without the word, '
        f"<b>{word_markup(target)}</b> becomes less probable. "
        '<span class="mt-key mt-rise"></span> It was better off without. '
        "The strongest colour stands for "
        f"{100 * furthest:.1f} points (hundredths of probability).</p>"
    )


def bar_markup(share: float) -> str:
    """A bar as long as a share; its number stands beside it."""
    return f'<i class="mt-bar" style="--w:{share:.3f}"></i>'


def verdict_markup(prediction: Prediction, vocabulary: str) -> str:
    """The model's word and the true one, and whether they are the same.

    `vocabulary` is what the model knows, such as “1,995 words”.
    """
    masked, pred = prediction.words[prediction.position], prediction.pred
    data = attributes_markup(word=pred, p=prediction.p_pred)
    said = (
        f'The model says <b class="mt-pred" {data}>{word_markup(pred)}</b>, '
        f"{percent_markup(prediction.p_pred)}. "
    )
    if prediction.blank:
        return said + "You left a blank, so no word is right or wrong."
    said += "The word that stood there: "
    if prediction.true is None:
        return said + (
            f'<b class="mt-outside">{word_markup(masked)}</b>. The model does not know '
            f"it: it is not among its {vocabulary}."
        )
    rank, pieces = prediction.rank_true, len(prediction.target_ids)
    data = attributes_markup(word=masked, p=prediction.p_true, rank=rank or "")
    said += f'<b class="mt-true" {data}>{word_markup(masked)}</b>'
    if pred == prediction.true:
        said += ". Right."
    else:
        near = rank is not None and rank <= NEAR
        near = ", but a near miss: it is among the first five" if near else ""
        chance = percent_markup(prediction.p_true)
        said += f"{number_markup(rank)}, {chance}. Wrong{near}."
    if pieces > 1:
        said += f" It has {pieces} byte pairs. The model sees how many are hidden."
    return said


def number_markup(rank: int | None) -> str:
    """Which guess of the model a word is, if that is known."""
    return "" if rank is None else f", guess number {rank:,}"


def guesses_markup(prediction: Prediction, caption: str) -> str:
    """The most probable words, with their bars."""
    rows = "".join(
        f"<tr {attributes_markup(word=word, p=p)}>"
        f"<th scope=row>{word_markup(word)}</th><td>{percent_markup(p)}</td>"
        f'<td class="mt-bars">{bar_markup(p)}</td></tr>'
        for word, p in prediction.top
    )
    return f'<table class="mt-top"><caption>{caption}</caption>{rows}</table>'


def answer_markup(prediction: Prediction, vocabulary: str) -> str:
    """The answer: a sentence and the five best guesses."""
    return (
        f'<div class="mt-card" {attributes_markup(position=prediction.position)}>'
        f'<p class="mt-verdict">{verdict_markup(prediction, vocabulary)}</p>'
        f"{guesses_markup(prediction, 'Its five best guesses')}</div>"
    )


def other_answer_markup(model: str, prediction: Prediction) -> str:
    """What a model that is not chosen would say."""
    return (
        f'<p class="mt-other">The model {html.escape(model)} says '
        f"<b>{word_markup(prediction.pred)}</b>, "
        f"{percent_markup(prediction.p_pred)}.</p>"
    )


def refused_guess_markup(why: str) -> str:
    """Why a guess has no probability."""
    return f'<span class="mt-own">{html.escape(why)}</span>'


def own_guess_markup(word: str, p: float, rank: int | None, n_tokens: int) -> str:
    """What the model thinks of the reader's own guess."""
    data = attributes_markup(word=word, p=p, rank=rank or "")
    number = number_markup(rank) if rank else f", as a word of {n_tokens} byte pairs"
    return (
        f'<span class="mt-own" {data}><b>{word_markup(word)}</b>: '
        f"{percent_markup(p)}{number}.</span>"
    )
