"""What there is more to try in the explorer: a game, and another word."""

import pytest
from explored import MODELS, SECOND, TEXT, TOKENIZER, Explored, Page, near, pressed
from tiny import knowing, tiny_model

from explorer import markup
from explorer.game import GuessingGame, game_sentences
from explorer.predict import fill_mask
from helpers.text import split_words
from helpers.tokenizer import SPECIALS, WordTokenizer

ROUND = [(TEXT.split(), 1), (SECOND.split(), 2)]


@pytest.fixture
def explorer():
    return Explored()


@pytest.fixture
def game(explorer):
    """A game of two sentences with the explorer's first model."""
    made = GuessingGame(ROUND, TOKENIZER, explorer.game.predict, explorer.guarded)
    made.go.click()
    return made


def test_a_round_is_scored_against_the_model(game):
    yours = expected = 0
    for number in (1, 2):
        words, position = game.words, game.position
        word = words[position]
        fresh = fill_mask(MODELS["with"], TOKENIZER, words, position)
        asked = Page(game.sentence)
        assert asked.text.split() == [*words[:position], "?", *words[position + 1 :]]
        assert f"Sentence {number} of 2" in Page(game.told).text
        game.go.click()  # too early: it is not shown now
        game.reveal.click()  # and without a guess nothing is revealed
        assert game.asked == number and game.sentence.value and game.open
        game.guess.value = "zyzzyva" if number == 1 else word.upper()
        for _ in range(2):  # the second press is too late
            game.reveal.click()
        yours, expected = yours + (number == 2), expected + (fresh.pred == word)
        told = Page(game.told).text
        assert f"It was {word}. You said {game.guess.value}: " in told
        assert f"After {number} of 2: you {yours}, the model {expected}." in told
        assert Page(game.sentence).text.split() == words
        game.go.click()
    assert (game.asked, game.yours, game.models) == (1, 0, 0)  # another round


def test_a_near_miss_and_an_error_are_told(game, explorer):
    fresh = fill_mask(MODELS["with"], TOKENIZER, game.words, game.position)
    second = next(w for w, _ in fresh.top[1:] if w != game.words[game.position])
    game.guess.value = second
    explorer.calls(error=RuntimeError("no memory left"))
    game.reveal.click()
    assert "no memory left" in Page(game.told).text and game.open
    explorer.models["with"]._forward_hooks.clear()
    game.reveal.click()
    assert "counted it among its first five" in Page(game.told).text


def test_a_changed_word_is_compared_and_kept(explorer):
    change, changed = explorer.change, TEXT.split()
    explorer.words.index = 4
    change.word.index, change.by.value = 1, "dog"
    change.compare.click()
    changed[1] = "dog"
    before, after = (
        fill_mask(MODELS["with"], TOKENIZER, text, 4)
        for text in (TEXT, " ".join(changed))
    )
    page = Page(change.told)
    assert page.numbers("p") == near([after.p_target])
    assert markup.points_markup(after.p_target - before.p_target) in page.text
    assert page.numbers("tr") == near([p for _, p in before.top + after.top])
    explorer.words.index = 5
    assert change.told.value == "" and change.keep.layout.display == "none"
    for by, told in {"a b": "one word", "": "one word", "dog": "is hidden"}.items():
        change.word.index, change.by.value = 5 if by == "dog" else 1, by
        change.compare.click()
        assert told in Page(change.told).text
    change.word.index, change.by.value = 1, "dog"
    change.compare.click()
    change.keep.click()
    assert pressed(explorer.words) == [5] and explorer.words.options[1] == "dog"
    assert change.told.value == "" and change.word.options[1] == ("dog", 1)


@pytest.mark.parametrize("words, playable", [("war in the city", True), ("x y", False)])
def test_the_game_has_sentences_whose_word_the_model_knows(words, playable):
    known = knowing(words.split())
    models = {"one": tiny_model(len(known))}
    explorer = Explored("the city", models=models, tokenizer=known)
    assert (explorer.game.part in explorer.more.children) == playable
    for words, position in explorer.game.sentences:
        assert words[position] in known.ids


class Halves(WordTokenizer):
    """Cuts long words in two, as a tokenizer of another kind may do."""

    def split(self, text: str) -> list[str]:
        pairs = ([w[:4], f"##{w[4:]}"] if w[4:] else [w] for w in split_words(text))
        return [piece for pair in pairs for piece in pair]


def test_a_hidden_word_is_found_among_the_pieces_of_others():
    ((words, position),) = game_sentences([Halves([*SPECIALS, "days"])], 62)
    assert (words[:3], words[position]) == (["The", "stor", "##m"], "days")
    assert game_sentences([Halves([*SPECIALS, "days"])], 9) == []
