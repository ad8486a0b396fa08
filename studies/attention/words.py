"""Kinds of words: closed classes, punctuation, dates, names."""

import re
from collections import Counter
from pathlib import Path

LISTED = Path(__file__).with_name("function_words.txt").read_text("utf-8")
FUNCTION_WORDS = frozenset(re.sub("^#.*", "", LISTED, flags=re.MULTILINE).split())
PUNCTUATION = frozenset(". , ; : ! ? ( ) [ ] \" ' - – — … /".split())
MONTHS = frozenset(
    "January February March April May June July August September October November "
    "December".split()
)
YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}")
ALMOST_ALWAYS = 0.95  # of a name's occurrences in mid-sentence have a capital
RULES = {
    "function words": "with a letter, and of the closed classes of English: articles "
    "and other determiners, prepositions, pronouns, conjunctions, auxiliaries, "
    "particles; the case of the first letter is free, so “US” is none",
    "punctuation": "no letter and no digit, but for “=”",
    "heading marks": "“=”",
    "digits": "at least one digit",
    "names": "begins with a capital; in running text of the training split, behind a "
    f"word or a comma, it does so in at least {ALMOST_ALWAYS:.0%}".replace("%", " %")
    + " of its occurrences; no month, none of the classes above",
    "other words": "all others, months and numbers in letters among them",
}


def is_date(word: str) -> bool:
    """A month, or four digits that can be a year from 1000 to 2099."""
    return word in MONTHS or YEAR.fullmatch(word) is not None


def is_open_class(word: str) -> bool:
    """Letters only, no function word and no month."""
    closed = word.lower() in FUNCTION_WORDS or word in MONTHS
    return word.isalpha() and not closed


def uncapitalised(word: str) -> str:
    """The word with its first letter in lower case."""
    return word[:1].lower() + word[1:]


def proper_names(words: list[str], lines: list[str]) -> frozenset[str]:
    """Those of `words` that are names, judging by the training text.

    A word with a capital is a name if at least 95 % of its occurrences in running text,
    behind a word or a comma, have the capital; the others are in lower case.
    """
    inside = Counter()
    for line in lines:
        if line.startswith("="):
            continue
        tokens = line.split()
        for before, word in zip(tokens, tokens[1:], strict=False):
            inside[word] += before == "," or any(map(str.isalnum, before))
    return frozenset(
        word
        for word in words
        if word[:1].isupper()
        and inside[word] > 0
        and inside[word] >= ALMOST_ALWAYS * (inside[word] + inside[uncapitalised(word)])
    )


def word_class(word: str, names: frozenset[str]) -> str:
    """The first of `RULES` that the word fits."""
    if {word, uncapitalised(word)} & FUNCTION_WORDS and any(map(str.isalpha, word)):
        return "function words"
    if word == "=":
        return "heading marks"
    if not any(map(str.isalnum, word)):
        return "punctuation"
    if any(map(str.isdigit, word)):
        return "digits"
    return "names" if word in names - MONTHS else "other words"
