"""Change one word of a sentence, and compare the answers before and after.

`predict` says what the chosen model makes of some words, one of them hidden; `guarded`
makes a handler of an action, whose errors are shown in the widget beside it.
"""

import ipywidgets as widgets

from explorer.controls import (
    LATER,
    TextField,
    control_box,
    labelled_control,
    push_button,
    show_control,
)
from explorer.markup import (
    attributes_markup,
    guesses_markup,
    markup_text,
    percent_markup,
    points_markup,
    word_markup,
)
from explorer.predict import Prediction
from explorer.tokens import split_for_tokens


class Comparison:
    """Another word in the place of one: the answer before and after.

    `shown` gives the views and the choice that are shown now, and `go_on` takes over a
    sentence and the word to hide.
    """

    def __init__(self, tokenizer, shown, predict, go_on, guarded):
        self.tokenizer, self.shown = tokenizer, shown
        self.predict, self.go_on = predict, go_on
        self.word = labelled_control(widgets.Dropdown, "Replace", "change-word")
        self.by = labelled_control(TextField, "by", "change-by", **LATER)
        self.compare = push_button("Compare", "compare")
        self.keep = push_button("Go on with this sentence", "keep")
        self.form = control_box(widgets.HBox, "form", self.word, self.by, self.compare)
        self.told = widgets.HTML()
        self.told.add_class("mt-change-told")
        title = widgets.HTML("<h3>Change one word and compare</h3>")
        parts = title, self.form, self.told, self.keep
        self.part = control_box(widgets.VBox, "play", *parts)
        self.compare.on_click(guarded(self.tell, self.told))
        self.keep.on_click(guarded(self.take_over, self.told))
        self.clear()

    def renew(self, words: list[str], hidden: int = 0) -> None:
        """Offers the words of a sentence, if there is one; first one not hidden."""
        self.word.options = [(markup_text(w), i) for i, w in enumerate(words)]
        self.word.index = int(hidden == 0 and len(words) > 1) if words else None
        self.clear()

    def clear(self) -> None:
        """What was compared belonged to another answer."""
        self.told.value, self.changed = "", None
        show_control(self.keep, False)

    def tell(self) -> None:
        """Compares the answers to the sentence as it is, and with another word."""
        self.clear()
        views, choice = self.shown()
        before, place = views.prediction(choice), self.word.index
        by = split_for_tokens(self.tokenizer, self.by.value)
        if place == before.position:
            raise ValueError("That word is hidden; replace another one.")
        if len(by) != 1:
            raise ValueError("Type one word.")
        changed = [*before.words]
        changed[place] = by[0]
        after = self.predict(changed, before.position)
        p = views.chance(choice, after, before.target_ids)
        self.told.value = comparison_html(before, after, p, place)
        text = " ".join(changed).replace(" ##", "")  # the pieces of a word of BERT's
        self.changed = text, before.position
        show_control(self.keep, True)

    def take_over(self) -> None:
        """Goes on with the sentence that was compared."""
        if self.changed:
            self.go_on(*self.changed)


def comparison_html(before: Prediction, after: Prediction, p: float, place: int) -> str:
    """Two answers side by side; `p` is what the word asked for has got afterwards."""
    target, was = word_markup(before.target), before.p_target
    tables = (
        guesses_markup(one, f"{when}, with <b>{word_markup(one.words[place])}</b>")
        for when, one in (("Before", before), ("After", after))
    )
    sections = "".join(f"<section>{table}</section>" for table in tables)
    return (
        f'<p role="status" {attributes_markup(p=p)}><b>{target}</b> goes from '
        f"{percent_markup(was)} to {percent_markup(p)}: {points_markup(p - was)} "
        "points.</p>"
        f'<div class="mt-cards">{sections}</div>'
    )
