"""The explorer: type a sentence, click a word to mask it.

A click only rewrites HTML beside the buttons: to rewrite the buttons themselves would
lose the keyboard's focus. All positions of a sentence are predicted in one batch when
it is entered; what takes something away follows when the prediction is on its way to
the page.
"""

import html
import uuid
from collections.abc import Iterator
from copy import deepcopy
from numbers import Integral
from pathlib import Path

from IPython.display import display

from explorer import card
from explorer.controls import Controls
from explorer.heatmap import caption
from explorer.predict import BLANK
from explorer.views import Choice, Views, require_alike
from helpers import ROOT
from helpers.figure import show
from helpers.files import write_whole

SAVED = ROOT / "saved"  # ignored by git


def offer(path: Path) -> None:
    """In Colab, where the reader does not see the disk, the browser downloads it."""
    try:
        from google.colab import files  # exists in Colab only
    except ImportError:
        return
    files.download(str(path))


def require_kinds(models, places: dict) -> None:
    """Raises ValueError unless models have names, and places a text and a position."""
    if not (isinstance(models, dict) and all(isinstance(n, str) for n in models)):
        raise ValueError(
            f"models is {models!r:.20}…; give a dict from names, strings, to models."
        )
    for label, place in places.items():
        match place:
            case str(), Integral() | None:
                continue
        raise ValueError(
            f"{label} is {place!r}; give a text, and a whole number or None."
        )


class Explorer(Controls):
    """An interactive view of one or more models of the same sizes and vocabulary.

    `models` maps a name to a model; the word at `position`, or else the first blank or
    word, is masked first. `examples` maps a label to a text and the position to mask.
    The explorer shows the models as they were when it was made. Display the object; in
    a saved notebook, and wherever no kernel runs, a picture of the state in which it
    was displayed is shown instead.
    """

    def __init__(
        self, models: dict, tokenizer, text: str, position=None, examples=None
    ):
        require_kinds(models, {"text, position": (text, position), **(examples or {})})
        require_alike(models, tokenizer)
        # Copies, so that nothing done to a model can change an answer half-way.
        self.models = {name: deepcopy(model).eval() for name, model in models.items()}
        self.tokenizer, self.examples, self.start = tokenizer, examples or {}, position
        self.views, self.waiting = None, None
        self.scope = f"mt-{uuid.uuid4().hex[:8]}"
        config = next(iter(models.values())).config
        self.layers = {"mean": None}
        self.layers |= {str(n + 1): n for n in range(config.n_layers)}
        self.layers |= {"rollout": "rollout"}
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
            self.clear()
            self.card.value = told
        else:
            place.value = told

    def clear(self) -> None:
        """Nothing of an answer stays."""
        for part in (self.style, self.scale, self.own, self.card, self.knocked):
            part.value = ""

    def guarded(self, action, place=None):
        """The action as a handler that shows its errors: front ends hide them."""

        def attempt():
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                self.tell(error, place)

        return lambda change=None: self.serve(attempt)

    def choice(self) -> Choice:
        """What the controls say."""
        head = self.head.index - 1 if self.head.index else None
        both = self.model.index == len(self.models)
        models = tuple(self.models) if both else (self.model.value,)
        return Choice(self.words.index, models, self.layers[self.layer.value], head)

    def take_example(self) -> None:
        """Takes over an example's sentence; its word is masked first."""
        if self.example.index:
            before, (text, self.start) = (
                self.text.value,
                self.examples[self.example.value],
            )
            self.example.index = 0  # so that the same one can be chosen again
            self.text.value = text
            if self.text.value == before:  # nothing to observe
                self.read()

    def stop(self) -> None:
        """Knock-outs that are still to come are not wanted any more."""
        if self.waiting:
            self.waiting.cancel()

    def read(self) -> None:
        """Takes over the sentence: all positions are predicted, the buttons renewed."""
        self.stop()
        text, start, self.start = self.text.value, self.start, None
        # Nothing of the sentence before may stay, be clicked or drawn.
        self.views, self.words.options, self.saved.value = None, (), ""
        self.clear()
        if "\ufffd" in text:
            raise ValueError("� is half a character; delete it, or type it again.")
        views = Views(self.models, self.tokenizer, text, self.scope)
        if start is None:
            start = views.words.index(BLANK) if BLANK in views.words else 0
        if not 0 <= start < len(views.words):
            raise ValueError(
                f"There is no word {start}; choose 0 to {len(views.words) - 1}."
            )
        self.words.options = [*map(card.shown, views.words)]
        self.words.index = start
        self.views = views
        self.turn()

    def turn(self) -> None:
        """Another word is masked: a guess was for the one before."""
        self.guess.value = ""
        self.draw()

    def draw(self) -> None:
        """Shows the prediction and the attention; then what depends on what."""
        self.stop()
        if not self.views:
            return
        choice = self.choice()
        seen = self.views.seen(choice)
        self.style.value = f"<style>{seen['style']}</style>"
        self.scale.value, self.card.value = seen["scale"], seen["card"]
        self.draw_own()
        if questions := self.views.questions(choice):
            self.knocked.value = ""
            self.waiting = self.work(self.knock_out(questions), self.tell)
        else:
            self.draw_knocked()

    def knock_out(self, questions: list[tuple]) -> Iterator[None]:
        """Asks one question a step; the choice stays, as another one ends this work."""
        for question in questions:
            yield
            self.views.ask(*question)
        self.draw_knocked()

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
        views, choice = self.shown()
        self.save("png", views.picture(choice), views.file_name(choice))

    def write_page(self) -> None:
        """Saves models and sentence as a page that needs neither kernel nor network."""
        views, choice = self.shown()
        self.save("html", views.page(choice).encode(), views.file_name(choice))

    def shown(self) -> tuple[Views, Choice]:
        """What is shown now, whatever is clicked while it is saved."""
        if not self.views:
            raise ValueError("There is nothing to save; type a sentence first.")
        return self.views, self.choice()

    def save(self, ending: str, content: bytes, name: str) -> None:
        """Writes a file into saved/ and tells where it lies."""
        path = SAVED / f"{name}.{ending}"
        write_whole(path, content)
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
