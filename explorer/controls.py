"""The explorer's controls and their places.

Stock ipywidgets, the same on 7.7.1 (Colab) and 8.x.
"""

import asyncio
import contextvars
import threading
from collections.abc import Iterator

import ipywidgets as widgets
import traitlets

from explorer.views import CSS

BOTH = "side by side"
# Half a character (a lone surrogate) ends the connection of a classic server: the page
# has to replace it by �, when a field changes and before the field itself hears of it.
MEND = """this.closest('.mt-box')?.addEventListener('change', event => {
  const field = event.target;
  if (field.matches('input')) field.value = field.value.toWellFormed();
}, true)"""
PAUSE = 0.01  # seconds in which another event can come first


def running_loop():
    """The event loop that runs in this thread; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Turns:
    """Answers events one at a time, whichever thread they come in.

    JupyterLab sends some to threads of their own (subshells). All are answered in the
    event loop in which the object was made: while a cell runs there they wait for its
    end, as cells do. Where there was no loop each thread answers its own, under a lock.

    Answers go out in the context of the cell that made the object, too: ipykernel takes
    the next event of a widget to the thread of the request that its last message
    answered, so that quick clicks on two widgets would overtake each other.
    """

    def __init__(self):
        self.loop, self.lock = running_loop(), threading.RLock()
        self.context = contextvars.copy_context()

    @property
    def at_once(self) -> bool:
        """Whether there is no loop, so that nothing can come in between."""
        return self.loop is None or self.loop.is_closed()

    def serve(self, action) -> None:
        """Does what an event asks for."""
        if self.at_once or self.loop is running_loop():
            with self.lock:
                self.context.copy().run(action)
        else:
            self.loop.call_soon_threadsafe(self.serve, action)

    def work(self, steps: Iterator, failed):
        """Goes through long work, events served in between; returns the task, if any.

        `failed` is told of an error, which nobody else would see.
        """

        async def pace():
            try:
                for _ in steps:
                    await asyncio.sleep(PAUSE)
            except Exception as error:
                failed(error)

        if not self.at_once:
            return self.loop.create_task(pace())
        for _ in steps:
            pass


class Field(widgets.Text):
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


class Toggles(widgets.HBox):
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
        self.layout.flex_flow, self.layout.align_items = "row wrap", "center"
        self.layout.overflow = "visible"
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


def labelled(kind, label: str, css: str, **options):
    """A control with its label beside it, and a class to be styled and found by."""
    layout = widgets.Layout(width="auto", flex="0 1 auto")
    if kind is not Toggles:
        options["style"] = {"description_width": "initial"}
    made = kind(description=label, layout=layout, **options)
    made.add_class(f"mt-{css}")
    return made


def beside(*children):
    """Controls in a row that wraps."""
    row = widgets.Layout(flex_flow="row wrap", align_items="center", overflow="visible")
    return widgets.HBox(children, layout=row)


class Controls(Turns):
    """What a reader sees and touches: a box of widgets that do nothing yet.

    `layers`, `models` and `examples` are the names to choose from; `scope` is the class
    of the word buttons.
    """

    def __init__(self, text: str, scope: str, layers, n_heads: int, models, examples):
        super().__init__()
        later = {"continuous_update": False}
        self.text = labelled(Field, "Sentence", "sentence", value=text, **later)
        self.text.layout.width = "100%"
        self.example = labelled(
            widgets.Dropdown, "Examples", "examples", options=["choose one", *examples]
        )
        self.words = Toggles(pressed="masked")
        for name in ("mt-words", scope):
            self.words.add_class(name)
        self.layer = labelled(Toggles, "Layer", "layer", options=[*layers])
        heads = ["mean", *(str(h + 1) for h in range(n_heads))]
        self.head = labelled(Toggles, "Head", "head", options=heads)
        several = len(models) > 1
        names = [*models, BOTH] if several else [*models]
        self.model = labelled(Toggles, "Model", "model", options=names)
        self.guess = labelled(Field, "Your guess", "guess", **later)
        self.save_picture = widgets.Button(description="Save picture")
        self.save_page = widgets.Button(description="Save page")
        self.save_picture.add_class("mt-save-picture")
        self.save_page.add_class("mt-save-page")
        for row in (self.words, self.layer, self.head, self.model):
            row.serve = self.serve
        look = widgets.HTML(f'<style onload="{MEND}">{CSS}</style>')
        hint = "Click a word to mask it, or type a sentence and press Enter."
        self.style, self.scale, self.own, self.card, self.knocked, self.saved = (
            widgets.HTML() for _ in range(6)
        )
        self.box = widgets.VBox(
            [
                look,
                self.text,
                *([self.example] if examples else []),
                widgets.HTML(hint),
                self.style,
                self.words,
                self.scale,
                beside(self.layer, self.head),
                *([self.model] if several else []),
                beside(self.guess, self.own),
                self.card,
                self.knocked,
                beside(self.save_picture, self.save_page, self.saved),
            ]
        )
        self.box.add_class("mt-box")
