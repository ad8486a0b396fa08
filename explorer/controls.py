"""The explorer's controls and their places.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x.
"""

import ipywidgets as widgets

from explorer.views import CSS

BOTH = "side by side"


def labelled(kind, label: str, css: str, **options):
    """A control with its label beside it, and a class to be styled and found by."""
    layout = widgets.Layout(width="auto", flex="0 1 auto")
    style = {"description_width": "initial"}
    if kind is widgets.ToggleButtons:
        style["button_width"] = "auto"
        # The label is beside the buttons, not in them: for those who cannot see it.
        options["tooltips"] = [f"{label} {option}" for option in options["options"]]
    made = kind(description=label, layout=layout, style=style, **options)
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
        toggle, later = widgets.ToggleButtons, {"continuous_update": False}
        self.text = labelled(widgets.Text, "Sentence", "sentence", value=text, **later)
        self.text.layout.width = "100%"
        self.example = labelled(
            widgets.Dropdown, "Examples", "examples", options=["choose one", *examples]
        )
        self.words = toggle(options=[], layout=widgets.Layout(width="auto"))
        for name in ("mt-words", scope):
            self.words.add_class(name)
        self.layer = labelled(toggle, "Layer", "layer", options=[*layers])
        heads = ["mean", *(str(h + 1) for h in range(n_heads))]
        self.head = labelled(toggle, "Head", "head", options=heads)
        several = len(models) > 1
        self.model = labelled(
            toggle, "Model", "model", options=[*models, *[BOTH] * several]
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
