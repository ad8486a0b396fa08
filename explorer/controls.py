"""The explorer's controls and their places.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x; what they lack in a page, such as
`aria-pressed`, is added there by box.js.
"""

import html
from pathlib import Path

import ipywidgets as widgets
import traitlets

from explorer.events import EventServer

HERE = Path(__file__).parent
CSS = (HERE / "look.css").read_text("utf-8")
SCRIPT = html.escape((HERE / "box.js").read_text("utf-8"))
LATER = {"continuous_update": False}  # a text counts once Enter is pressed
HINT = "Press a word to hide it, or type a sentence and press Enter."


class TextField(widgets.Text):
    """A line to type into; half a character (a lone surrogate) becomes �.

    It could not be sent to the page, nor in the echo that ipywidgets 8 sends first.
    """

    value = traitlets.Unicode().tag(sync=True, echo_update=False)

    @traitlets.validate("value")
    def sendable(self, proposal) -> str:
        """The text with its pairs of surrogates joined, and single ones replaced."""
        return proposal.value.encode("utf-16", "surrogatepass").decode(
            "utf-16", "replace"
        )


class ToggleRow(widgets.HBox):
    """Buttons of which one is pressed; each click presses one, in the order of clicks.

    Stock toggles will not do. Those of ToggleButtons are made anew at every click
    (ipywidgets 7), and the keyboard's focus is lost; two equal words are one to them. A
    ToggleButton is toggled by the page before it is answered: of the quick clicks A, B,
    A the last one would release A.
    """

    options = traitlets.Tuple()
    index = traitlets.Int(0)

    def __init__(self, description="", options=(), pressed="chosen", layout=None):
        super().__init__(layout=layout or widgets.Layout())
        self.add_class("mt-toggles")
        self.name, self.pressed, self.buttons = description, pressed, []
        self.before = [widgets.Label(description)] if description else []
        # One for all buttons of a row: half as much to send, and nothing left behind.
        self.shared = {"layout": widgets.Layout(width="auto")}
        self.shared["style"] = widgets.ButtonStyle()
        self.serve = lambda action: action()  # says when and where a click is answered
        self.observe(self.renew, "options")
        self.observe(self.press, "index")
        self.options = tuple(options)

    @property
    def value(self) -> str:
        """The option that is pressed."""
        return self.options[self.index]

    @value.setter
    def value(self, option: str) -> None:
        self.index = self.options.index(option)

    def renew(self, change=None) -> None:
        """Other buttons, of which the first is pressed."""
        old = self.buttons
        self.buttons = [
            widgets.Button(description=o, **self.shared) for o in self.options
        ]
        for button in self.buttons:
            button.on_click(lambda b: self.serve(lambda: self.click(b)))
        self.index = 0
        self.press()
        self.children = [*self.before, *self.buttons]
        for button in old:
            button.close()

    def click(self, button) -> None:
        """Presses a button, unless another sentence has replaced it."""
        if button in self.buttons:
            self.index = self.buttons.index(button)

    def press(self, change=None) -> None:
        """Shows on the buttons which one is pressed, in words, too."""
        for i, button in enumerate(self.buttons):
            # The row's label is beside the buttons, not in them.
            told = [f"{self.name} {button.description}"] if self.name else []
            if i == self.index:
                button.add_class("mod-active")
                told.append(self.pressed)
            else:
                button.remove_class("mod-active")
            button.tooltip = ", ".join(told)


def labelled_control(kind, label: str, css: str, **options):
    """A control with its label beside it, and a class to be styled and found by."""
    if kind is not ToggleRow:
        options["style"] = {"description_width": "initial"}
    made = kind(description=label, layout=widgets.Layout(width="auto"), **options)
    made.add_class(f"mt-{css}")
    return made


def push_button(label: str, css: str):
    """A button that does something, once."""
    made = widgets.Button(description=label, layout=widgets.Layout(width="auto"))
    made.add_class(f"mt-{css}")
    return made


def control_box(kind, css: str, *children):
    """A box of widgets, with a class for its place and look."""
    made = kind(children)
    made.add_class(f"mt-{css}")
    return made


def control_details(summary: str, content: str):
    """Some HTML that a press on its summary unfolds."""
    return widgets.HTML(f"<details><summary>{summary}</summary>{content}</details>")


def show_control(part, shown: bool) -> None:
    """Lets a part of the box be there or not."""
    part.layout.display = None if shown else "none"


class Controls(EventServer):
    """What a reader sees and touches: a box of widgets that do nothing yet.

    `layers`, `models` and `examples` are the names to choose from; `scope` is the class
    of the word buttons.
    """

    def __init__(self, text: str, scope: str, layers, n_heads: int, models, examples):
        super().__init__()
        field = {"value": text, **LATER}
        self.text = labelled_control(TextField, "Sentence", "sentence", **field)
        names = ["choose one", *examples]
        choice = widgets.Dropdown, "Examples", "examples"
        self.example = labelled_control(*choice, options=names)
        self.words = labelled_control(ToggleRow, "", "words", pressed="hidden")
        self.words.add_class(scope)
        looks = ["where it looked", "what it needed"]
        self.paint = labelled_control(ToggleRow, "by", "paint", options=looks)
        self.layer = labelled_control(ToggleRow, "Layer", "layer", options=[*layers])
        heads = ["all", *(str(h + 1) for h in range(n_heads))]
        self.head = labelled_control(ToggleRow, "Head", "head", options=heads)
        self.model = labelled_control(ToggleRow, "Model", "model", options=[*models])
        self.guess = labelled_control(TextField, "Your own guess", "guess", **LATER)
        self.save_picture = push_button("Save picture", "save-picture")
        self.save_page = push_button("Save page", "save-page")
        for row in (self.words, self.paint, self.layer, self.head, self.model):
            row.serve = self.serve
        self.style, self.scale, self.own, self.card, self.other = (
            widgets.HTML() for _ in range(5)
        )
        self.needed, self.heads, self.saved = (widgets.HTML() for _ in range(3))
        self.card.add_class("mt-said")
        self.style.add_class("mt-colours")
        rows, columns = widgets.VBox, widgets.HBox
        title = widgets.HTML("<h3>What did the answer need?</h3>")
        self.needs = control_box(rows, "needs", title, self.needed, self.heads)
        self.more = control_box(rows, "more")
        own = control_box(columns, "form", self.guess, self.own)
        choices = [self.paint, self.layer, self.head]
        choices += [self.model] if len(models) > 1 else []
        title = widgets.HTML("<h3>Colour the sentence</h3>")
        places = control_box(
            rows,
            "places",
            control_box(rows, "answer", self.card, self.other, own),
            control_box(rows, "controls", title, self.scale, *choices),
            self.needs,
            self.more,
        )
        examples = [self.example] if examples else []
        self.box = control_box(
            rows,
            "box",
            widgets.HTML(f'<style onload="{SCRIPT}">{CSS}</style>'),
            control_box(columns, "form", self.text, *examples),
            widgets.HTML(f"<p>{HINT}</p>"),
            self.style,
            self.words,
            places,
            control_box(columns, "form", self.save_picture, self.save_page, self.saved),
        )
        self.box.add_class("mt-widget")
