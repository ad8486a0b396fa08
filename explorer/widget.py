"""The explorer: type a sentence, click a word to mask it.

A click only rewrites HTML beside the buttons: to rewrite the buttons themselves would
lose the keyboard's focus. All positions of a sentence are predicted in one batch when
it is entered; what takes something away follows when the prediction is on its way to
the page.
"""

import asyncio
import html
import uuid
from pathlib import Path

from IPython.display import display

from explorer import card
from explorer.controls import BOTH, Controls
from explorer.views import Choice, Views
from helpers import ROOT
from helpers.figure import show
from helpers.sentence import caption

SAVED = ROOT / "saved"  # ignored by git
PAUSE = 0.01  # seconds in which another click can come first


def offer(path: Path) -> None:
    """In Colab, where the reader does not see the disk, the browser downloads it."""
    try:
        from google.colab import files  # exists in Colab only
    except ImportError:
        return
    files.download(str(path))


class Explorer(Controls):
    """An interactive view of one or more models of the same vocabulary.

    `models` maps a name to a model; the word at `position` is masked first. `examples`
    maps a label to a text and the position to mask. Display the object; in a saved
    notebook, and wherever no kernel runs, a picture of the state in which it was
    displayed is shown instead.
    """

    def __init__(self, models: dict, tokenizer, text: str, position=0, examples=None):
        self.models, self.tokenizer = models, tokenizer
        self.examples, self.start = examples or {}, position
        self.views, self.waiting = None, None
        self.scope = f"mt-{uuid.uuid4().hex[:8]}"
        config = next(iter(models.values())).config
        self.layers = {"mean": None}
        self.layers |= {str(n + 1): n for n in range(config.n_layers)}
        self.layers |= {"rollout": "rollout"}
        # Half a character (a lone surrogate) could not be sent to the page.
        text = text.encode(errors="replace").decode()
        names = models, self.examples
        super().__init__(text, self.scope, self.layers, config.n_heads, *names)
        self.layer.value = str(config.n_layers)
        for control, name, action in (
            (self.text, "value", self.read),
            (self.example, "index", self.take_example),
            (self.words, "index", self.turn),
            (self.layer, "index", self.draw),
            (self.head, "index", self.draw),
            (self.model, "index", self.draw),
            (self.guess, "value", self.draw_own),
        ):
            control.observe(self.guarded(action), names=name)
        for button, action in (
            (self.save_picture, self.write_picture),
            (self.save_page, self.write_page),
        ):
            button.on_click(self.guarded(action, self.saved))
        self.guarded(self.read)()

    def tell(self, error: Exception, place=None) -> None:
        """Shows an error as one sentence, in place of the result unless elsewhere."""
        told = html.escape(str(error) or type(error).__name__)
        told = f'<p class="mt-alert" role="alert">⚠ {told}</p>'
        if place is None:
            self.card.value, self.knocked.value, self.own.value = told, "", ""
        else:
            place.value = told

    def guarded(self, action, place=None):
        """The action with its errors shown: front ends hide them."""

        def run(change=None):
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                self.tell(error, place)

        return run

    def choice(self) -> Choice:
        """What the controls say."""
        head = self.head.index - 1 if self.head.index else None
        both = self.model.value == BOTH
        models = tuple(self.models) if both else (self.model.value,)
        return Choice(self.words.index, models, self.layers[self.layer.value], head)

    def take_example(self) -> None:
        """Takes over an example's sentence; its word is masked first."""
        if self.example.index:
            text, self.start = self.examples[self.example.value]
            if text == self.text.value:
                self.read()
            else:
                self.text.value = text

    def stop(self) -> None:
        """Knock-outs that are still to come are not wanted any more."""
        if self.waiting:
            self.waiting.cancel()

    def read(self) -> None:
        """Takes over the sentence: all positions are predicted, the buttons renewed."""
        self.stop()
        text, start, self.start = self.text.value, self.start, 0
        if self.example.index and self.examples[self.example.value][0] != text:
            self.example.index = 0
        views = Views(self.models, self.tokenizer, text, self.scope)
        if not 0 <= start < len(views.words):
            raise ValueError(
                f"There is no word {start}; choose 0 to {len(views.words) - 1}."
            )
        self.views = None  # nothing to draw while the buttons change
        self.words.options = [*map(card.shown, views.words)]
        self.words.index = start
        self.views = views
        self.turn()

    def turn(self) -> None:
        """Another word is masked: a guess was for the one before."""
        self.guess.value = self.saved.value = ""
        self.draw()

    def draw(self) -> None:
        """Shows the prediction and the attention; then what depends on what."""
        self.stop()
        if not self.views:
            return
        seen = self.views.seen(self.choice())
        self.style.value = f"<style>{seen['style']}</style>"
        self.scale.value, self.card.value = seen["scale"], seen["card"]
        self.draw_own()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nobody who could click in between
            loop = None
        if loop and self.views.questions(self.choice()):
            self.knocked.value = ""
            self.waiting = loop.create_task(self.knock_out())
        else:
            self.draw_knocked()

    async def knock_out(self) -> None:
        """Asks one question at a time, so that another click is served in between."""
        try:
            for question in self.views.questions(self.choice()):
                await asyncio.sleep(PAUSE)
                self.views.ask(*question)
            self.draw_knocked()
        except Exception as error:  # which nobody else would see
            self.tell(error)

    def draw_knocked(self) -> None:
        """Shows each other word and each head taken away."""
        choice = self.choice()
        words = self.views.words_knocked(choice)
        self.knocked.value = words + self.views.heads_knocked(choice)

    def draw_own(self) -> None:
        """Scores the reader's own guess."""
        if self.views:
            self.own.value = self.views.own(self.choice(), self.guess.value)

    def write_picture(self) -> None:
        """Saves the view as PNG."""
        if self.views:
            self.save("png", self.views.picture(self.choice()))

    def write_page(self) -> None:
        """Saves the sentence as a page that needs neither kernel nor network."""
        if self.views:
            self.saved.value = "Saving every word; for a long sentence, a minute …"
            page = self.views.page(self.choice(), self.layers)
            self.save("html", page.encode())

    def save(self, ending: str, content: bytes) -> None:
        """Writes a file into saved/ and tells where it lies."""
        SAVED.mkdir(exist_ok=True)
        path = SAVED / f"{self.views.file_name(self.choice())}.{ending}"
        path.write_bytes(content)
        name = f"{SAVED.name}/{path.name}"
        told = f'<span class="mt-saved" data-path="{name}">Saved as {name}, in the '
        self.saved.value = told + "folder of the project.</span>"
        offer(path)

    def _ipython_display_(self) -> None:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        live = {"application/vnd.jupyter.widget-view+json": view}
        if not self.views:  # the first sentence was refused; the card says why
            display({**live, "text/plain": "The explorer"}, raw=True)
            return
        choice = self.choice()
        prediction = self.views.predictions(choice)[0]
        sentence = " ".join(map(card.shown, prediction.tokens))
        alt = f"The explorer: {sentence}. {caption(prediction)}"
        show(self.views.picture(choice), alt, live)
