"""Two things to do with a model: guess against it, and change one word.

Each part holds its own widgets and answers their buttons. `predict` says what the
chosen model makes of some words, one of them hidden; `guarded` makes a handler of an
action, whose errors are shown in the widget beside it.
"""

import json
import random

import ipywidgets as widgets

from explorer import card
from explorer.controls import Field, held, labelled, push, show
from explorer.page.build import explained, source
from explorer.predict import Prediction
from explorer.vocabulary import split
from helpers.text import split_words

ROUND = 5  # sentences
RULES = "Some sentences, each with one word hidden. The model sees what you see."
LATER = {"continuous_update": False}


def playable(tokenizer, longest: int) -> list[tuple[list[str], int]]:
    """The game's sentences that a model can take, and whose hidden word it knows."""
    found = []
    for sentence in json.loads(source("sentences.json"))["game"]:
        words, place = split_words(sentence["text"]), sentence["position"]
        parts = words, words[:place], words[place : place + 1]
        whole, before, hidden = (split(tokenizer, " ".join(part)) for part in parts)
        if len(whole) <= longest and len(hidden) == 1 and hidden[0] in tokenizer.ids:
            found.append((whole, len(before)))
    return found


def gapped(words: list[str], position: int, gap: str) -> str:
    """A sentence with a gap, or with the word that was in it."""
    told = [card.safe(word) for word in words]
    told[position] = f'<b class="mt-gap">{gap}</b>'
    return f'<p class="mt-game">{" ".join(told)}</p>'


def about(models: dict, words) -> widgets.HTML:
    """What a reader is looking at, folded."""
    told = explained(next(iter(models.values())), len(words))
    summary = "<summary>What am I looking at?</summary>"
    return widgets.HTML(f"<details>{summary}{told}</details>")


class Game:
    """The reader's guesses against the model's, over a round of sentences.

    A sentence is a list of words and the position of the hidden one.
    """

    def __init__(self, sentences: list[tuple], tokenizer, predict, guarded):
        self.sentences, self.tokenizer = sentences, tokenizer
        self.predict = predict
        self.left, self.open = [], False  # whether a word is hidden just now
        self.told, self.sentence = widgets.HTML(f"<p>{RULES}</p>"), widgets.HTML()
        self.guess = labelled(Field, "Your guess", "game-guess", **LATER)
        self.reveal, self.go = push("Show the word", "reveal"), push("Begin", "go")
        self.form = held(widgets.HBox, "form", self.guess, self.reveal)
        show(self.form, False)
        title = widgets.HTML("<h3>Guess against the model</h3>")
        parts = title, self.sentence, self.form, self.told, self.go
        self.part = held(widgets.VBox, "play", *parts)
        self.told.add_class("mt-game-told")
        self.go.on_click(guarded(self.hide_next, self.told))
        self.reveal.on_click(guarded(self.score, self.told))

    def hide_next(self) -> None:
        """Shows the next sentence with its gap; of a new round, the first."""
        if self.open:
            return
        if not self.left:
            count = min(ROUND, len(self.sentences))
            self.left = random.sample(self.sentences, count)
            self.asked, self.all, self.yours, self.models = 0, count, 0, 0
        self.words, self.position = self.left.pop()
        self.open, self.asked, self.guess.value = True, self.asked + 1, ""
        gap = '<span role="img" aria-label="blank">?</span>'
        self.sentence.value = gapped(self.words, self.position, gap)
        told = f"Sentence {self.asked} of {self.all}. Which word is missing?"
        self.told.value = f'<p role="status">{told}</p>'
        show(self.form, True)
        show(self.go, False)

    def score(self) -> None:
        """Shows the hidden word, and who has guessed it."""
        guesses = split(self.tokenizer, self.guess.value)
        if not self.open or not guesses:
            return
        prediction, guess = self.predict(self.words, self.position), guesses[0]
        word, best = self.words[self.position], [one for one, _ in prediction.top]
        yours, models = guess.lower() == word.lower(), best[0] == prediction.target
        self.yours, self.models = self.yours + yours, self.models + models
        self.open = False
        self.sentence.value = gapped(self.words, self.position, card.safe(word))
        told = f"It was <b>{card.safe(word)}</b>. You said <b>{card.safe(guess)}</b>: "
        told += "right. " if yours else "wrong. "
        if not yours and guess.lower() in map(str.lower, best):
            told += "The model would have counted it among its first five. "
        told += f"The model said <b>{card.safe(best[0])}</b>, "
        told += f"{card.percent(prediction.p_pred)}: {'right' if models else 'wrong'}. "
        told += f"After {self.asked} of {self.all}: you {self.yours}, the model "
        self.told.value = f'<p role="status">{told}{self.models}.</p>'
        self.go.description = "Next sentence" if self.left else "Play again"
        show(self.form, False)
        show(self.go, True)


class Change:
    """Another word in the place of one: the answer before and after.

    `shown` gives the answer that is shown now, and `go_on` takes over a sentence and
    the word to hide.
    """

    def __init__(self, tokenizer, shown, predict, go_on, guarded):
        self.tokenizer, self.shown = tokenizer, shown
        self.predict, self.go_on = predict, go_on
        self.word = labelled(widgets.Dropdown, "Replace", "change-word")
        self.by = labelled(Field, "by", "change-by", **LATER)
        self.compare = push("Compare", "compare")
        self.keep = push("Go on with this sentence", "keep")
        self.form = held(widgets.HBox, "form", self.word, self.by, self.compare)
        self.told = widgets.HTML()
        self.told.add_class("mt-change-told")
        title = widgets.HTML("<h3>Change one word and compare</h3>")
        parts = title, self.form, self.told, self.keep
        self.part = held(widgets.VBox, "play", *parts)
        self.compare.on_click(guarded(self.tell, self.told))
        self.keep.on_click(guarded(self.take_over, self.told))
        self.clear()

    def renew(self, words: list[str], hidden: int = 0) -> None:
        """Offers the words of a sentence, if there is one; first one not hidden."""
        self.word.options = [(card.shown(word), i) for i, word in enumerate(words)]
        self.word.index = int(hidden == 0 and len(words) > 1) if words else None
        self.clear()

    def clear(self) -> None:
        """What was compared belonged to another answer."""
        self.told.value, self.changed = "", None
        show(self.keep, False)

    def tell(self) -> None:
        """Compares the answers to the sentence as it is, and with another word."""
        self.clear()
        before, place = self.shown(), self.word.index
        by = split(self.tokenizer, self.by.value)
        if place == before.position:
            raise ValueError("That word is hidden; replace another one.")
        if len(by) != 1:
            raise ValueError("Type one word.")
        changed = [*before.words]
        changed[place] = by[0]
        after = self.predict(changed, before.position)
        p = float(after.chance_V[self.tokenizer.ids[before.target]])
        self.told.value = comparison(before, after, p, place)
        text = " ".join(changed).replace(" ##", "")  # the pieces of a word of BERT's
        self.changed = text, before.position
        show(self.keep, True)

    def take_over(self) -> None:
        """Goes on with the sentence that was compared."""
        if self.changed:
            self.go_on(*self.changed)


def comparison(before: Prediction, after: Prediction, p: float, place: int) -> str:
    """Two answers side by side; `p` is what the word asked for has got afterwards."""
    target, was = card.safe(before.target), before.p_target
    tables = (
        card.guesses_html(one, f"{when}, with <b>{card.safe(one.words[place])}</b>")
        for when, one in (("Before", before), ("After", after))
    )
    sections = "".join(f"<section>{table}</section>" for table in tables)
    return (
        f'<p role="status" {card.data(p=p)}><b>{target}</b> goes from '
        f"{card.percent(was)} to {card.percent(p)}: {card.points(p - was)} points.</p>"
        f'<div class="mt-cards">{sections}</div>'
    )
