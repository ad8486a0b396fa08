"""A game: the reader guesses hidden words against a model.

`predict` says what the chosen model makes of some words, one of them hidden; `guarded`
makes a handler of an action, whose errors are shown in the widget beside it.
"""

import json
import random

import ipywidgets as widgets

from explorer import markup
from explorer.controls import (
    LATER,
    TextField,
    control_box,
    labelled_control,
    push_button,
    show_control,
)
from explorer.page.build import page_source
from explorer.tokens import special_tokens, split_for_tokens, word_tokens
from helpers.text import split_words

ROUND = 5  # sentences
RULES = "Some sentences, each with one word hidden. The model sees what you see."


def game_sentences(tokenizers: list, longest: int) -> list[tuple[list[str], int]]:
    """The game's sentences that all models can take, and whose hidden word they know.

    `longest` is the number of tokens that a model takes.
    """
    found = []
    for sentence in json.loads(page_source("sentences.json"))["game"]:
        words, place = split_words(sentence["text"]), sentence["position"]
        parts = words, words[:place], words[place : place + 1]
        whole, before, hidden = (
            split_for_tokens(tokenizers[0], " ".join(part)) for part in parts
        )
        tokens = [word_tokens(tokenizer, whole) for tokenizer in tokenizers]
        known = len(hidden) == 1 and all(
            special_tokens(tokenizer).unk not in own[len(before)]
            for tokenizer, own in zip(tokenizers, tokens, strict=True)
        )
        if known and all(sum(map(len, own)) <= longest for own in tokens):
            found.append((whole, len(before)))
    return found


def game_sentence_html(words: list[str], position: int, gap: str) -> str:
    """A sentence with a gap, or with the word that was in it."""
    told = [markup.word_markup(word) for word in words]
    told[position] = f'<b class="mt-gap">{gap}</b>'
    return f'<p class="mt-game">{" ".join(told)}</p>'


class GuessingGame:
    """The reader's guesses against the model's, over a round of sentences.

    A sentence is a list of words and the position of the hidden one.
    """

    def __init__(self, sentences: list[tuple], tokenizer, predict, guarded):
        self.sentences, self.tokenizer = sentences, tokenizer
        self.predict = predict
        self.left, self.open = [], False  # whether a word is hidden just now
        self.told, self.sentence = widgets.HTML(f"<p>{RULES}</p>"), widgets.HTML()
        self.guess = labelled_control(TextField, "Your guess", "game-guess", **LATER)
        self.reveal, self.go = (
            push_button("Show the word", "reveal"),
            push_button("Begin", "go"),
        )
        self.form = control_box(widgets.HBox, "form", self.guess, self.reveal)
        show_control(self.form, False)
        title = widgets.HTML("<h3>Guess against the model</h3>")
        parts = title, self.sentence, self.form, self.told, self.go
        self.part = control_box(widgets.VBox, "play", *parts)
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
        self.sentence.value = game_sentence_html(self.words, self.position, gap)
        told = f"Sentence {self.asked} of {self.all}. Which word is missing?"
        self.told.value = f'<p role="status">{told}</p>'
        show_control(self.form, True)
        show_control(self.go, False)

    def score(self) -> None:
        """Shows the hidden word, and who has guessed it."""
        guesses = split_for_tokens(self.tokenizer, self.guess.value)
        if not self.open or not guesses:
            return
        prediction, guess = self.predict(self.words, self.position), guesses[0]
        word, best = self.words[self.position], [one for one, _ in prediction.top]
        yours, models = guess.lower() == word.lower(), best[0] == prediction.true
        self.yours, self.models = self.yours + yours, self.models + models
        self.open = False
        shown = game_sentence_html(self.words, self.position, markup.word_markup(word))
        self.sentence.value = shown
        told = f"It was <b>{markup.word_markup(word)}</b>. "
        told += f"You said <b>{markup.word_markup(guess)}</b>: "
        told += "right. " if yours else "wrong. "
        if not yours and guess.lower() in map(str.lower, best):
            told += "The model would have counted it among its first five. "
        told += f"The model said <b>{markup.word_markup(best[0])}</b>, "
        told += f"{markup.percent_markup(prediction.p_pred)}: "
        told += "right. " if models else "wrong. "
        told += f"After {self.asked} of {self.all}: you {self.yours}, the model "
        self.told.value = f'<p role="status">{told}{self.models}.</p>'
        self.go.description = "Next sentence" if self.left else "Play again"
        show_control(self.form, False)
        show_control(self.go, True)
