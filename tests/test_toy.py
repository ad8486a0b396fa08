"""The toy corpus keeps its promises: ceilings by counting, splits without overlap."""

import pytest

from helpers.toy import ANIMALS, RULES, SEASONS, WOMEN, toy_split

MONTH_OF = {month: name for name, (_, *ms) in SEASONS.items() for month in ms}


def fits(words, position, word):
    """Whether the rules, written here anew, allow `word` at a position."""
    words = [*words[:position], word, *words[position + 1 :]]
    if words[2] in ("near", "behind"):
        ending = ["are", "they", "are"] if words[1][-1] == "s" else ["is", "it", "is"]
        return [words[5], words[9], words[10]] == ending
    if words[0] in ("After", "Before"):
        her = words[4] in WOMEN
        return [words[6], words[9], words[11]] == (
            ["her", "she", "her"] if her else ["his", "he", "his"]
        )
    if words[0] == "The":
        named = {words[i] for i in (1, 5, 9, 13)}
        return len(named) == 1 and named < {*ANIMALS} and words[17] not in named
    season = words[4]
    return (
        words[0] == "In"
        and season in SEASONS
        and words[3] == SEASONS[season][0]
        and MONTH_OF.get(words[1]) == season
    )


@pytest.mark.parametrize("name", RULES)
def test_a_ceiling_is_one_over_the_words_that_fit(name):
    sentences = toy_split("test")
    vocabulary = {word for s in sentences for word in s.words}
    shares = []
    for s in sentences:
        for i, rule in enumerate(s.rules):
            if rule == name:
                fitting = [word for word in vocabulary if fits(s.words, i, word)]
                assert s.words[i] in fitting
                shares.append(1 / len(fitting))
    assert len(shares) > 50
    assert sum(shares) / len(shares) == pytest.approx(RULES[name].ceiling)


def test_splits_are_the_same_each_time_and_share_nothing_with_train():
    train = {tuple(s.words) for s in toy_split("train")}
    for split in ("validation", "test"):
        assert toy_split(split) == toy_split(split)
        assert not train & {tuple(s.words) for s in toy_split(split)}
    assert toy_split("validation") != toy_split("test")
    assert all(words[-1] == "." for words in train)
