"""The explorer: type a sentence, click a word to hide it, see the guess and the gaze.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x. A click only rewrites HTML beside
the buttons: to rewrite the buttons themselves would lose the keyboard's focus. All
positions of a sentence are predicted in one batch when it is entered.
"""

import base64
import html
import io
import uuid

import ipywidgets as widgets
from IPython.display import display

from helpers.predict import Prediction, mask_each
from helpers.sentence import caption, percent, sentence_heatmap
from helpers.tokenizer import UNK
from helpers.viz import DPI

BLUE, RING = "76, 146, 195", "#c8102e"
REPEAT = "\u200b"  # told apart by it, two equal words are two different labels


def button_labels(words: list[str]) -> list[str]:
    """A distinct label for each word: ipywidgets finds the active button by its text.

    What cannot be shown or sent becomes ▯, and very long words are cut.
    """
    labels, seen = [], {}
    for word in words:
        shown = "".join(c if c.isprintable() else "▯" for c in word)
        shown = shown if len(shown) <= 24 else shown[:23] + "…"
        labels.append(shown + REPEAT * seen.get(shown, 0))
        seen[shown] = seen.get(shown, 0) + 1
    return labels


def sentence_css(scope: str, prediction: Prediction, unknown: list[bool], share_S):
    """Paints the word buttons: blue by attention, ring at the hidden word, dots under
    words outside the vocabulary. `share_S` includes the special tokens at both ends."""
    button = f".{scope} .widget-toggle-button"
    rules = [
        f"{button} {{ width: auto; height: auto; color: #111 !important; "
        "background: #fff !important; border: 1px solid #bbb; box-shadow: none; }",
        f"{button}:focus-visible {{ outline: 3px solid #111; outline-offset: 3px; }}",
    ]
    largest = float(share_S.max())
    for i in range(len(prediction.words)):
        blue = 0.8 * float(share_S[i + 1]) / largest
        style = f"background: rgba({BLUE}, {blue:.3f}) !important;"
        if i == prediction.position:
            style += f"box-shadow: 0 0 0 2px #fff, 0 0 0 5px {RING}; font-weight: bold;"
        if unknown[i]:
            style += "text-decoration: underline dotted;"
        rules.append(f"{button}:nth-child({i + 1}) {{ {style} }}")
    return f"<style>{' '.join(rules)}</style>"


def card_html(prediction: Prediction, share_S, view: str) -> str:
    """The guess and the gaze as a table and a sentence; every word is escaped."""
    true = prediction.true
    hidden = html.escape(prediction.words[prediction.position])
    if true is None:
        verdict = f"“{hidden}” is outside the vocabulary, so no guess can be right."
    else:
        verdict = (
            f"TRUE: <b>{hidden}</b>, {percent(prediction.p_true)}, "
            f"rank {prediction.rank_true}."
        )
    rows = "".join(
        f"<tr><td>{html.escape(word)}</td><td style='text-align:right'>{percent(p)}"
        f"</td><td><div style='height:.8em;width:{max(1, 160 * p):.0f}px;"
        f"background:rgb({BLUE})'></div></td></tr>"
        for word, p in prediction.top
    )
    order = share_S.argsort(descending=True)[:3].tolist()
    tokens = prediction.tokens
    looked = ", ".join(
        f"{html.escape(tokens[i])} {percent(float(share_S[i]))}" for i in order
    )
    return (
        "<div role='status' style='background:#fff;color:#111;padding:10px;"
        "border:1px solid #bbb;line-height:1.5'>"
        f"PRED: <b>{html.escape(prediction.pred)}</b>, {percent(prediction.p_pred)}. "
        f"{verdict}<table style='color:#111;margin:6px 0'>{rows}</table>"
        f"Looked most at ({view}): {looked}; uniform would be "
        f"{percent(1 / len(tokens))}. Red ring: the hidden word. Blue: attention, "
        f"darkest {percent(float(share_S.max()))}. Dotted line: a word outside the "
        "vocabulary, which the model sees as [UNK].</div>"
    )


class Explorer:
    """An interactive view of one or more models of the same vocabulary.

    `models` maps a name to a model. Display the object; in a saved notebook, and
    wherever no kernel runs, a picture of its first state is shown instead.
    """

    def __init__(self, models: dict, tokenizer, text: str):
        self.models, self.tokenizer = models, tokenizer
        self.cache, self.predictions = {}, []
        config = next(iter(models.values())).config
        layers = [("mean of all", None)]
        layers += [(f"layer {n + 1}", n) for n in range(config.n_layers)]
        heads = [("mean of all", None)]
        heads += [(f"head {h + 1}", h) for h in range(config.n_heads)]
        wide = widgets.Layout(width="98%")
        self.text = widgets.Text(
            value=text, description="Sentence", continuous_update=False, layout=wide
        )
        self.words = widgets.ToggleButtons(options=[], layout=wide)
        self.layer = widgets.Dropdown(
            options=layers, value=config.n_layers - 1, description="Layer"
        )
        self.head = widgets.Dropdown(options=heads, value=None, description="Head")
        self.model = widgets.Dropdown(options=list(models), description="Model")
        self.style, self.card = widgets.HTML(), widgets.HTML()
        scope = f"mini-transformer-{uuid.uuid4().hex[:8]}"
        self.scope = scope
        self.words.add_class(scope)
        row = [self.layer, self.head] + [self.model] * (len(models) > 1)
        choices = widgets.HBox(row, layout=widgets.Layout(flex_flow="row wrap"))
        hint = widgets.HTML(
            "Click a word to hide it; change the sentence, press Enter."
        )
        self.box = widgets.VBox(
            [self.text, hint, self.style, self.words, choices, self.card]
        )
        self.text.observe(self.guarded(self.read), names="value")
        self.model.observe(self.guarded(self.read), names="value")
        for control, trait in ((self.words, "index"), (self.layer, "value")):
            control.observe(self.guarded(self.draw), names=trait)
        self.head.observe(self.guarded(self.draw), names="value")
        self.guarded(self.read)()

    def guarded(self, action):
        """The action with its errors shown as one sentence: front ends hide them."""

        def run(change=None):
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                self.card.value = (
                    "<div role='alert' style='background:#fff;color:#8a1c1c;"
                    f"padding:10px'>{html.escape(str(error))}</div>"
                )

        return run

    def read(self) -> None:
        """Takes over the sentence and the model; predicts every position at once."""
        key = self.model.value, self.text.value
        if key not in self.cache:
            model = self.models[self.model.value]
            self.cache[key] = mask_each(model, self.tokenizer, self.text.value)
        self.predictions = self.cache[key]
        labels = button_labels(self.predictions[0].words)
        if list(self.words.options) != labels:
            self.words.options = labels  # sets the index, which draws
        self.draw()

    def draw(self) -> None:
        """Shows the chosen word, layer and head."""
        if self.words.index is None or self.words.index >= len(self.predictions):
            return
        prediction = self.predictions[self.words.index]
        share_S = prediction.attention(self.layer.value, self.head.value)
        unknown = [i == UNK for i in self.tokenizer.encode(prediction.words)]
        view = f"layer: {self.layer.label}, head: {self.head.label}"
        self.style.value = sentence_css(self.scope, prediction, unknown, share_S)
        self.card.value = card_html(prediction, share_S, view)

    def _ipython_display_(self) -> None:
        prediction = self.predictions[self.words.index]
        buffer = io.BytesIO()
        figure = sentence_heatmap(prediction, self.layer.value, self.head.value)
        figure.savefig(buffer, format="png", dpi=DPI)
        alt = f"The explorer: {' '.join(prediction.tokens)}. {caption(prediction)}"
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        bundle = {
            "application/vnd.jupyter.widget-view+json": view,
            "image/png": base64.b64encode(buffer.getvalue()).decode(),
            "text/plain": alt,
        }
        display(bundle, metadata={"image/png": {"alt": alt}}, raw=True)
