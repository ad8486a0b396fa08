"""The explorer: type a sentence, press a word to hide it.

A click only rewrites HTML beside the buttons: to rewrite the buttons themselves would
lose the keyboard's focus. All positions of a sentence are predicted when it is entered;
what takes something away follows when the prediction is on its way to the page.
"""

import html
import uuid
from collections.abc import Iterator
from copy import deepcopy

from IPython.display import display

from explorer import markup
from explorer.comparison import Comparison
from explorer.controls import Controls, control_details
from explorer.game import GuessingGame, game_sentences
from explorer.page.build import page_explanation
from explorer.predict import predict_positions
from explorer.saving import save_for_reader
from explorer.tokens import BLANK
from explorer.views import ViewChoice, Views, require_view_arguments
from helpers.figure import show_figure


class Explorer(Controls):
    """An interactive view of one or more models with as many layers and heads.

    `models` maps a name to a model. They share a tokenizer, or `tokenizer` maps each
    name to its own, of words or of byte pairs. The word at `position`, or else the
    first blank or word, is hidden first. `examples` maps a label to a text and a
    position. The explorer shows the models as they were when it was made. Display the
    object; in a saved notebook, and wherever no kernel runs, a picture of the state in
    which it was displayed is shown instead.
    """

    def __init__(
        self, models: dict, tokenizer, text: str, position=None, examples=None
    ):
        places = {"text, position": (text, position), **(examples or {})}
        self.tokenizers = require_view_arguments(models, tokenizer, places)
        # Copies, so that nothing done to a model can change an answer half-way.
        self.models = {name: deepcopy(model).eval() for name, model in models.items()}
        self.examples, self.start = examples or {}, position
        self.views, self.waiting = None, None
        self.scope = f"mt-{uuid.uuid4().hex[:8]}"
        config = next(iter(self.models.values())).config
        numbers = {str(n + 1): n for n in range(config.n_layers)}
        self.layers = {"all": None, **numbers, "rollout": "rollout"}
        options = self.layers, config.n_heads, models, self.examples
        super().__init__(text, self.scope, *options)
        self.play(config.max_length - 2)
        for control, name, action in (
            (self.text, "value", self.read),
            (self.example, "index", self.take_example),
            (self.words, "index", self.turn),
            (self.paint, "index", self.draw),
            (self.layer, "index", self.take_layer),
            (self.head, "index", self.take_head),
            (self.model, "index", self.draw),
            (self.guess, "value", self.draw_own),
        ):
            control.observe(self.guarded(action), names=name)
        self.save_picture.on_click(self.guarded(self.write_picture, self.saved))
        self.save_page.on_click(self.guarded(self.write_page, self.saved))
        self.guarded(self.read)()

    def play(self, longest: int) -> None:
        """Puts what there is more to try in its place; a model takes so many tokens."""

        def predict(words: list[str], position: int):
            asked = self.models[self.model.value], self.tokenizers[self.model.value]
            return predict_positions(*asked, words, [position])[0]

        tokenizer = next(iter(self.tokenizers.values()))  # all split a text alike
        actions = self.shown, predict, self.take_over, self.guarded
        self.change = Comparison(tokenizer, *actions)
        sentences = game_sentences([*self.tokenizers.values()], longest)
        self.game = GuessingGame(sentences, tokenizer, predict, self.guarded)
        games = [self.game.part] if sentences else []
        told = page_explanation(self.models, self.tokenizers)
        about = control_details("What am I looking at?", told)
        self.more.children = [*games, self.change.part, about]

    def tell(self, error: Exception, place=None) -> None:
        """Shows an error as one sentence, in place of the result unless elsewhere."""
        told = html.escape(str(error) or type(error).__name__)
        told = f'<p class="mt-alert" role="alert">⚠ {told}</p>'
        if place is None:
            self.clear()
            place = self.card
        place.value = told

    def clear(self) -> None:
        """Nothing of an answer stays."""
        answers = self.style, self.scale, self.own, self.card, self.other
        for part in (*answers, self.needed, self.heads):
            part.value = ""
        self.change.clear()

    def guarded(self, action, place=None):
        """The action as a handler that shows its errors: front ends hide them."""

        def attempt():
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                self.tell(error, place)

        return lambda change=None: self.serve(attempt)

    def choice(self) -> ViewChoice:
        """What the controls say."""
        head = self.head.index - 1 if self.head.index else None
        asked = self.words.index, self.model.value, self.layers[self.layer.value]
        return ViewChoice(*asked, head, need=self.paint.index == 1)

    def take_layer(self) -> None:
        """Rollout goes through all heads."""
        if self.layer.value == "rollout":
            self.head.index = 0
        self.draw()

    def take_head(self) -> None:
        """A head belongs to a layer, or to the mean of all, but not to rollout."""
        if self.head.index and self.layer.value == "rollout":
            self.layer.index = 0
        self.draw()

    def take_example(self) -> None:
        """Takes over an example's sentence; its word is hidden first."""
        if self.example.index:
            example = self.examples[self.example.value]
            self.example.index = 0  # so that the same one can be chosen again
            self.take_over(*example)

    def take_over(self, text: str, position) -> None:
        """Takes over a sentence as if it had been typed, and the word to hide."""
        before, self.start = self.text.value, position
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
        self.change.renew([])
        if "\ufffd" in text:
            raise ValueError("� is half a character; delete it, or type it again.")
        views = Views(self.models, self.tokenizers, text, self.scope)
        if start is None:
            start = views.words.index(BLANK) if BLANK in views.words else 0
        if not 0 <= start < len(views.words):
            raise ValueError(
                f"There is no word {start}; choose 0 to {len(views.words) - 1}."
            )
        self.words.options = [*map(markup.markup_text, views.words)]
        self.words.index = start
        self.change.renew(views.words, start)
        self.views = views
        self.turn()

    def turn(self) -> None:
        """Another word is hidden: guess and comparison were for the one before."""
        self.guess.value = ""
        self.change.clear()
        self.draw()

    def draw(self) -> None:
        """Shows the prediction and the attention; then what depends on what."""
        self.stop()
        if not self.views:
            return
        choice = self.choice()
        questions = self.views.questions(choice)
        if questions:  # what is shown is of another word
            self.needs.add_class("mt-waiting")
        self.colour(choice)
        self.card.value = self.views.answer(choice)
        self.draw_own()
        if questions:
            self.waiting = self.work(self.knock_out(questions), self.tell)
        else:
            self.draw_needs()

    def knock_out(self, questions: list[tuple]) -> Iterator[None]:
        """Asks one question a step; the choice stays, as another one ends this work."""
        for question in questions:
            yield
            self.views.ask(*question)
        self.draw_needs()

    def draw_needs(self) -> None:
        """Shows each other word and each head taken away, and the other models."""
        choice = self.choice()
        self.needed.value, self.heads.value = self.views.needs(choice)
        self.other.value = self.views.other_answers(choice)
        if choice.need:
            self.colour(choice)
        self.needs.remove_class("mt-waiting")

    def colour(self, choice: ViewChoice) -> None:
        """Paints the words, and says what the colours stand for."""
        style, scale = self.views.colours(choice)
        self.style.value, self.scale.value = f"<style>{style}</style>", scale

    def draw_own(self) -> None:
        """Scores the reader's own guess."""
        if self.views:
            self.own.value = self.views.own(self.choice(), self.guess.value)

    def write_picture(self) -> None:
        """Saves the view as PNG."""
        views, choice = self.shown()
        name, picture = views.file_name(choice), views.picture(choice)
        self.saved.value = save_for_reader(f"{name}.png", picture)

    def write_page(self) -> None:
        """Saves models and sentence as a page that needs neither kernel nor network."""
        views, choice = self.shown()
        page = views.page(choice).encode()
        self.saved.value = save_for_reader(views.file_name(choice) + ".html", page)

    def shown(self) -> tuple[Views, ViewChoice]:
        """What is shown now, whatever is clicked while it is saved."""
        if not self.views:
            raise ValueError("There is no answer yet; type a sentence first.")
        return self.views, self.choice()

    def _ipython_display_(self) -> None:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        live = {"application/vnd.jupyter.widget-view+json": view}
        if not self.views:  # the first sentence was refused; the card says why
            display({**live, "text/plain": "The explorer"}, raw=True)
            return
        choice, views = self.choice(), self.views
        show_figure(views.picture(choice), views.picture_text(choice), live)
