"""The controls: type a sentence, click a word to mask it.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x. A click only rewrites HTML beside
the buttons: to rewrite the buttons themselves would lose the keyboard's focus. All
positions of a sentence are predicted in one batch when it is entered; what takes
something away follows when the prediction is on its way to the page.
"""

import asyncio
import html
import uuid
from pathlib import Path

import ipywidgets as widgets
from IPython.display import display

from explorer import card
from explorer.views import CSS, Choice, Views
from helpers import ROOT
from helpers.figure import show
from helpers.sentence import caption

BOTH = "side by side"
SAVED = ROOT / "saved"  # ignored by git
PAUSE = 0.01  # seconds in which another click can come first


def labelled(kind, label: str, css: str, **options):
    """A control with its label beside it, and a class to be styled and found by."""
    layout = widgets.Layout(width="auto", flex="0 1 auto")
    style = {"description_width": "initial", **options.pop("style", {})}
    made = kind(description=label, layout=layout, style=style, **options)
    made.add_class(f"mt-{css}")
    return made


def beside(*children):
    """Controls in a row that wraps."""
    row = widgets.Layout(flex_flow="row wrap", align_items="center", overflow="visible")
    return widgets.HBox(children, layout=row)


def offer(path: Path) -> None:
    """In Colab, where the reader does not see the disk, the browser downloads it."""
    try:
        from google.colab import files  # exists in Colab only
    except ImportError:
        return
    files.download(str(path))


class Explorer:
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
        self.build(text.encode(errors="replace").decode(), config)
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
            button.on_click(self.guarded(action))
        self.guarded(self.read)()

    def build(self, text: str, config) -> None:
        """Makes the controls and puts them in their places."""
        toggle, later = widgets.ToggleButtons, {"continuous_update": False}
        narrow = {"style": {"button_width": "auto"}}
        self.text = labelled(widgets.Text, "Sentence", "sentence", value=text, **later)
        self.text.layout.width = "100%"
        examples = ["choose one", *self.examples]
        self.example = labelled(
            widgets.Dropdown, "Examples", "examples", options=examples
        )
        self.words = toggle(options=[], layout=widgets.Layout(width="auto"))
        for name in ("mt-words", self.scope):
            self.words.add_class(name)
        last = str(config.n_layers)
        self.layer = labelled(
            toggle, "Layer", "layer", options=[*self.layers], value=last, **narrow
        )
        heads = ["mean", *(str(h + 1) for h in range(config.n_heads))]
        self.head = labelled(toggle, "Head", "head", options=heads, **narrow)
        models = [*self.models, *[BOTH] * (len(self.models) > 1)]
        self.model = labelled(toggle, "Model", "model", options=models, **narrow)
        self.guess = labelled(widgets.Text, "Your guess", "guess", **later)
        self.save_picture = widgets.Button(description="Save picture")
        self.save_page = widgets.Button(description="Save page")
        self.save_picture.add_class("mt-save-picture")
        self.save_page.add_class("mt-save-page")
        look = widgets.HTML(f"<style>{CSS}</style>")
        hint = "Click a word to mask it, or type a sentence and press Enter."
        self.style, self.scale, self.own, self.card, self.knocked, self.saved = (
            widgets.HTML() for _ in range(6)
        )
        self.box = widgets.VBox(
            [
                look,
                self.text,
                *[self.example] * bool(self.examples),
                widgets.HTML(hint),
                self.style,
                self.words,
                self.scale,
                beside(self.layer, self.head),
                *[self.model] * (len(self.models) > 1),
                beside(self.guess, self.own),
                self.card,
                self.knocked,
                beside(self.save_picture, self.save_page, self.saved),
            ]
        )
        self.box.add_class("mt-box")

    def guarded(self, action):
        """The action with its errors shown as one sentence: front ends hide them."""

        def run(change=None):
            try:
                action()
            except Exception as error:  # a reader must never face a silent widget
                told = html.escape(str(error) or type(error).__name__)
                self.card.value = f'<p class="mt-alert" role="alert">⚠ {told}</p>'
                self.knocked.value = ""

        return run

    def choice(self) -> Choice:
        """What the controls say."""
        layer, head = self.layers[self.layer.value], self.head.index
        head = head - 1 if head and layer != "rollout" else None
        both = self.model.value == BOTH
        models = tuple(self.models) if both else (self.model.value,)
        return Choice(self.words.index, models, layer, head)

    def take_example(self) -> None:
        """Takes over an example's sentence; its word is masked first."""
        if self.example.index:
            text, self.start = self.examples[self.example.value]
            self.text.value = text

    def read(self) -> None:
        """Takes over the sentence: all positions are predicted, the buttons renewed."""
        text, start, self.start = self.text.value, self.start, 0
        if self.example.index and self.examples[self.example.value][0] != text:
            self.example.index = 0
        views = Views(self.models, self.tokenizer, text, self.scope)
        self.views = None  # nothing to draw while the buttons change
        self.words.options = card.button_labels(views.words)
        self.words.index = start
        self.views = views
        self.turn()

    def turn(self) -> None:
        """Another word is masked: a guess was for the one before."""
        self.guess.value = self.saved.value = ""
        self.draw()

    def draw(self) -> None:
        """Shows the prediction and the attention; then what depends on what."""
        if self.waiting:
            self.waiting.cancel()
        if not self.views:
            return
        seen = self.views.seen(self.choice())
        self.style.value = f"<style>{seen['style']}</style>"
        self.scale.value, self.card.value = seen["scale"], seen["card"]
        self.knocked.value = ""
        self.draw_own()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nobody who could click in between
            self.draw_knocked()
        else:
            self.waiting = loop.create_task(self.knock_out())

    async def knock_out(self) -> None:
        """Asks one question at a time, so that another click is served in between."""
        for question in self.views.questions(self.choice()):
            await asyncio.sleep(PAUSE)
            self.guarded(lambda asked=question: self.views.ask(*asked))()
        self.guarded(self.draw_knocked)()

    def draw_knocked(self) -> None:
        choice = self.choice()
        words, heads = (
            self.views.words_knocked(choice),
            self.views.heads_knocked(choice),
        )
        self.knocked.value = words + heads

    def draw_own(self) -> None:
        if self.views:
            self.own.value = self.views.own(self.choice(), self.guess.value)

    def write_picture(self) -> None:
        """Saves the view as PNG."""
        self.save("png", self.views.picture(self.choice()))

    def write_page(self) -> None:
        """Saves the sentence as a page that needs neither kernel nor network."""
        self.saved.value = "Saving every word …"
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
        show(self.views.heatmaps(choice)[0], alt, live)
