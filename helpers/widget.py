"""The explorer: type a sentence, click a word to mask it, see the guess and the gaze.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x. A click only rewrites HTML beside
the buttons: to rewrite the buttons themselves would lose the keyboard's focus. All
positions of a sentence are predicted in one batch when it is entered.
"""

import html
import uuid

import ipywidgets as widgets
from IPython.display import display
from torch import Tensor

from helpers.figure import show
from helpers.predict import Prediction, mask_each
from helpers.sentence import caption, percent, sentence_heatmap, view_name
from helpers.tokenizer import UNK

BLUE, RING = "76, 146, 195", "#c8102e"
CARD = "background:#fff;color:#111;padding:10px;border:1px solid #bbb;line-height:1.5"
REPEAT = "\u200b"  # told apart by it, two equal words are two different labels


def shown(word: str) -> str:
    """A word as a page can show it: odd characters become ▯, a long word is cut."""
    word = "".join(c if c.isprintable() else "▯" for c in word)
    return word if len(word) <= 24 else word[:23] + "…"


def safe(word: str) -> str:
    """A word as HTML, never read as a tag."""
    return html.escape(shown(word), quote=True)


def button_labels(words: list[str]) -> list[str]:
    """A distinct label a word: ipywidgets finds the active button by its text."""
    labels, seen = [], {}
    for word in map(shown, words):
        labels.append(word + REPEAT * seen.get(word, 0))
        seen[word] = seen.get(word, 0) + 1
    return labels


def sentence_css(scope: str, position: int, unknown: list[bool], share_S) -> str:
    """Paints the word buttons: blue by attention, ring at the masked word, dots under
    words outside the vocabulary. `share_S` includes the special tokens at both ends."""
    button = f".{scope} .widget-toggle-button"
    plain = (
        "width: auto; height: auto; margin: 4px; padding: 0 6px; line-height: 28px; "
        "font-size: 14px; border: 1px solid #bbb; box-shadow: none; "
        "color: #111 !important; background: #fff !important;"
    )
    focus = "outline: 3px solid #111 !important; outline-offset: 3px;"
    rules = [
        f".{scope} {{ overflow: visible; padding-left: 6px; }}",
        f"{button} {{ {plain} }}",
        f"{button}:focus-visible {{ {focus} }}",
    ]
    largest = float(share_S.max())
    for i, outside in enumerate(unknown):
        # 0.8 at most leaves the text a contrast of more than 4.5:1.
        blue = 0.8 * float(share_S[i + 1]) / largest
        color = f"rgba({BLUE}, {blue:.3f})"
        style = f"background: linear-gradient({color}, {color}), #fff !important; "
        if i == position:
            style += f"box-shadow: 0 0 0 2px #fff, 0 0 0 5px {RING}; font-weight: bold;"
        if outside:
            style += "text-decoration: underline dotted;"
        rules.append(f"{button}:nth-child({i + 1}) {{ {style} }}")
    return f"<style>{' '.join(rules)}</style>"


def guesses_html(prediction: Prediction) -> str:
    """The most probable words as a table with bars."""
    rows = "".join(
        f"<tr><td>{safe(word)}</td>"
        f"<td style='text-align:right;padding:0 8px'>{percent(p)}</td>"
        f"<td><div style='height:.8em;width:{max(1, 240 * p):.0f}px;"
        f"background:rgb({BLUE})'></div></td></tr>"
        for word, p in prediction.top
    )
    return f"<table style='color:#111;background:#fff;margin:6px 0'>{rows}</table>"


def scale_html(largest: float, uniform: float) -> str:
    """The scale of blue: its ends, and what even attention would be."""
    ramp = f"linear-gradient(to right, #fff, rgba({BLUE}, 0.8))"
    return (
        f"0 % <span style='display:inline-block;width:120px;height:.8em;"
        f"border:1px solid #bbb;background:{ramp}'></span> {percent(largest)}; "
        f"uniform would be {percent(uniform)}"
    )


def card_html(prediction: Prediction, share_S: Tensor, view: str) -> str:
    """The guess and the gaze as a table and in sentences; every word is escaped."""
    masked, tokens = safe(prediction.words[prediction.position]), prediction.tokens
    if prediction.true is None:
        verdict = f"TRUE: “{masked}” is outside the vocabulary; no guess can be right."
    else:
        verdict = (
            f"TRUE: <b>{masked}</b>, {percent(prediction.p_true)}, "
            f"rank {prediction.rank_true}."
        )
    order = share_S[1:-1].argsort(descending=True)[:3] + 1
    looked = ", ".join(f"“{safe(tokens[i])}” {percent(share_S[i])}" for i in order)
    words = percent(share_S[1:-1].sum())
    return (
        f"<div role='status' style='{CARD}'>"
        f"PRED: <b>{safe(prediction.pred)}</b>, {percent(prediction.p_pred)}. "
        f"{verdict}{guesses_html(prediction)}"
        f"Attention of the masked word, {view}: {words} on the words "
        f"(most on {looked}), {percent(share_S[0])} on [CLS], "
        f"{percent(share_S[-1])} on [SEP].<br>"
        f"Blue: {scale_html(float(share_S.max()), 1 / len(tokens))}. Red ring and "
        "bold: the masked word. Dotted line: outside the vocabulary, [UNK] to the "
        "model.</div>"
    )


class Explorer:
    """An interactive view of one or more models of the same vocabulary.

    `models` maps a name to a model; the word at `position` is masked first. Display the
    object; in a saved notebook, and wherever no kernel runs, a picture of the state in
    which it was displayed is shown instead.
    """

    def __init__(self, models: dict, tokenizer, text: str, position: int = 0):
        self.models, self.tokenizer = models, tokenizer
        self.cache, self.predictions = {}, []
        self.scope = f"mini-transformer-{uuid.uuid4().hex[:8]}"
        # Half a character (a lone surrogate) could not be sent to the page.
        text = text.encode(errors="replace").decode()
        self.build(next(iter(models.values())).config, text)
        self.text.observe(self.guarded(self.read), names="value")
        self.model.observe(self.guarded(self.read), names="value")
        self.words.observe(self.guarded(self.draw), names="index")
        self.layer.observe(self.guarded(self.draw), names="index")
        self.head.observe(self.guarded(self.draw), names="index")
        self.guarded(self.read)()
        if self.predictions:
            self.words.index = position

    def build(self, config, text: str) -> None:
        """Makes the controls and puts them in their places."""
        layers = ["mean of all", *(f"layer {n + 1}" for n in range(config.n_layers))]
        heads = ["mean of all", *(f"head {h + 1}" for h in range(config.n_heads))]
        wide = widgets.Layout(width="98%")
        self.text = widgets.Text(
            value=text, description="Sentence", continuous_update=False, layout=wide
        )
        self.words = widgets.ToggleButtons(options=[], layout=wide)
        self.words.add_class(self.scope)
        self.layer = widgets.Dropdown(
            options=layers, value=layers[-1], description="Layer"
        )
        self.head = widgets.Dropdown(options=heads, description="Head")
        self.model = widgets.Dropdown(options=list(self.models), description="Model")
        self.style, self.card = widgets.HTML(), widgets.HTML()
        row = [self.layer, self.head] + [self.model] * (len(self.models) > 1)
        choices = widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap"))
        hint = widgets.HTML("Click a word to mask it. Or type a sentence, press Enter.")
        parts = [self.text, hint, self.style, self.words, choices, self.card]
        self.box = widgets.VBox(parts)

    def guarded(self, action):
        """The action with its errors shown as one sentence: front ends hide them."""

        def run(change=None):
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                told = html.escape(str(error) or type(error).__name__)
                self.card.value = f"<div role='alert' style='{CARD}'>⚠ {told}</div>"

        return run

    def read(self) -> None:
        """Takes over the sentence and the model; predicts every position at once."""
        key = self.model.value, self.text.value
        if key not in self.cache:
            model = self.models[self.model.value]
            self.cache[key] = mask_each(model, self.tokenizer, self.text.value)
        self.predictions = self.cache[key]
        labels = tuple(button_labels(self.predictions[0].words))
        if self.words.options != labels:
            self.words.options = labels
        if self.words.index is None:
            self.words.index = 0
        self.draw()

    def view(self) -> tuple[int | None, int | None]:
        """The chosen layer and head; None, the mean of all, is first in both lists."""
        layer, head = self.layer.index, self.head.index
        return layer - 1 if layer else None, head - 1 if head else None

    def draw(self) -> None:
        """Shows the chosen word, layer and head."""
        if self.words.index is None or self.words.index >= len(self.predictions):
            return  # between two sentences, for a moment
        prediction = self.predictions[self.words.index]
        share_S = prediction.attention(*self.view())
        unknown = [i == UNK for i in self.tokenizer.encode(prediction.words)]
        view = view_name(*self.view(), len(prediction.weights_NHTS))
        self.style.value = sentence_css(
            self.scope, prediction.position, unknown, share_S
        )
        self.card.value = card_html(prediction, share_S, view)

    def _ipython_display_(self) -> None:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        live = {"application/vnd.jupyter.widget-view+json": view}
        if not self.predictions:  # the first sentence was refused; the card says why
            display({**live, "text/plain": "The explorer"}, raw=True)
            return
        prediction = self.predictions[self.words.index]
        figure = sentence_heatmap(prediction, *self.view())
        sentence = " ".join(map(shown, prediction.tokens))
        show(figure, f"The explorer: {sentence}. {caption(prediction)}", live)
