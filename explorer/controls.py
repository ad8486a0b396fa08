"""The explorer's controls and their places.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x.
"""

import ipywidgets as widgets
import traitlets

from explorer.views import CSS

BOTH = "side by side"


class Toggles(widgets.HBox):
    """Buttons of which one is pressed, like ToggleButtons, but each one a widget.

    The ToggleButtons of ipywidgets 7 make all their buttons anew at every click, and
    the keyboard's focus is lost; they also take two equal words for one.
    """

    options = traitlets.Tuple()
    index = traitlets.Int(0)

    def __init__(self, description="", options=(), tooltips=None, layout=None):
        super().__init__(layout=layout or widgets.Layout())
        self.layout.flex_flow, self.layout.align_items = "row wrap", "center"
        self.layout.overflow = "visible"
        self.before = [widgets.Label(description)] * bool(description)
        self.buttons, self.tooltips, self.moving = [], tooltips, False
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
        old, shared = self.buttons, {"layout": widgets.Layout(width="auto")}
        self.buttons = []
        for i, option in enumerate(self.options):
            tip = self.tooltips[i] if self.tooltips else ""
            button = widgets.ToggleButton(description=option, tooltip=tip, **shared)
            shared["style"] = button.style  # one for all: half as much to send
            button.observe(lambda change, i=i: self.clicked(i), "value")
            self.buttons.append(button)
        self.index = 0
        self.press()
        self.children = [*self.before, *self.buttons]
        for button in old:
            button.unobserve_all()
            button.close()

    def clicked(self, i: int) -> None:
        """Presses a button; one that is pressed already stays so."""
        if self.moving:
            return
        if i == self.index:
            self.press()
        self.index = i

    def press(self, change=None) -> None:
        """Shows on the buttons which one is pressed."""
        self.moving = True
        for i, button in enumerate(self.buttons):
            button.value = i == self.index
        self.moving = False


def labelled(kind, label: str, css: str, **options):
    """A control with its label beside it, and a class to be styled and found by."""
    layout = widgets.Layout(width="auto", flex="0 1 auto")
    if kind is Toggles:
        # The label is beside the buttons, not in them: for those who cannot see it.
        options["tooltips"] = [f"{label} {option}" for option in options["options"]]
    else:
        options["style"] = {"description_width": "initial"}
    made = kind(description=label, layout=layout, **options)
    made.add_class(f"mt-{css}")
    return made


def beside(*children):
    """Controls in a row that wraps."""
    row = widgets.Layout(flex_flow="row wrap", align_items="center", overflow="visible")
    return widgets.HBox(children, layout=row)


class Controls:
    """What a reader sees and touches: a box of widgets that do nothing yet.

    `layers`, `models` and `examples` are the names to choose from; `scope` is the class
    of the word buttons.
    """

    def __init__(self, text: str, scope: str, layers, n_heads: int, models, examples):
        later = {"continuous_update": False}
        self.text = labelled(widgets.Text, "Sentence", "sentence", value=text, **later)
        self.text.layout.width = "100%"
        self.example = labelled(
            widgets.Dropdown, "Examples", "examples", options=["choose one", *examples]
        )
        self.words = Toggles()
        for name in ("mt-words", scope):
            self.words.add_class(name)
        self.layer = labelled(Toggles, "Layer", "layer", options=[*layers])
        heads = ["mean", *(str(h + 1) for h in range(n_heads))]
        self.head = labelled(Toggles, "Head", "head", options=heads)
        several = len(models) > 1
        self.model = labelled(
            Toggles, "Model", "model", options=[*models, *[BOTH] * several]
        )
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
                *[self.example] * bool(examples),
                widgets.HTML(hint),
                self.style,
                self.words,
                self.scale,
                beside(self.layer, self.head),
                *[self.model] * several,
                beside(self.guess, self.own),
                self.card,
                self.knocked,
                beside(self.save_picture, self.save_page, self.saved),
            ]
        )
        self.box.add_class("mt-box")
