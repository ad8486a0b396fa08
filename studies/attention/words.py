"""The words that are masked: of which kinds they are, and where they stand.

Shapes: M masked words; the others as in helpers.data.
"""

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from helpers.tokenizer import SPECIALS, UNK
from studies.lab.stats import GROUP

LISTED = Path(__file__).with_name("function_words.txt").read_text("utf-8")
FUNCTION_WORDS = frozenset(re.sub("^#.*", "", LISTED, flags=re.MULTILINE).split())
PUNCTUATION = frozenset(". , ; : ! ? ( ) [ ] \" ' - – — … /".split())
MONTHS = frozenset(
    "January February March April May June July August September October November "
    "December".split()
)
YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}")
ALMOST_ALWAYS = 0.95  # of a name's occurrences in mid-sentence have a capital
CLASSES = {  # in the order in which they are tried, each with its rule
    "function words": "with a letter, and of the closed classes of English: articles "
    "and other determiners, prepositions, pronouns, conjunctions, auxiliaries, "
    "particles; the case of the first letter is free, so “US” is none",
    "punctuation": "no letter and no digit, but for “=”",
    "heading marks": "“=”",
    "digits": "at least one digit",
    "names": "begins with a capital; in running text of the training split, behind a "
    f"word or a comma, it does so in at least {100 * ALMOST_ALWAYS:.0f} % of its "
    "occurrences; no month, none of the classes above",
    "other words": "all others, months and numbers in letters among them",
}
QUARTERS = "first quarter", "second quarter", "third quarter", "last quarter"
EDGES = "first word", "last word", "between them"
DISTANCES = {1: "1", 2: "2", 4: "3 to 4", 8: "5 to 8", math.inf: "9 and more, or none"}
RANKS = {20: "1 to 20", 100: "21 to 100", 500: "101 to 500", math.inf: "501 and more"}


def is_date(word: str) -> bool:
    """A month, or four digits that can be a year from 1000 to 2099."""
    return word in MONTHS or YEAR.fullmatch(word) is not None


def is_open_class(word: str) -> bool:
    """Letters only, no function word and no month."""
    closed = word.lower() in FUNCTION_WORDS or word in MONTHS
    return word.isalpha() and not closed


def uncapitalised_word(word: str) -> str:
    """The word with its first letter in lower case."""
    return word[:1].lower() + word[1:]


def proper_names(words: list[str], lines: list[str]) -> frozenset[str]:
    """Those of `words` that are names, judging by the training text.

    A word with a capital is a name if at least 95 % of its occurrences in running text,
    behind a word or a comma, have the capital; the others are in lower case.
    """
    inside = Counter(
        word
        for line in lines
        if not line.startswith("=")
        for before, word in pairwise(line.split())
        if before == "," or any(map(str.isalnum, before))
    )

    def is_name(word: str) -> bool:
        both = inside[word] + inside[uncapitalised_word(word)]
        return word[:1].isupper() and 0 < both * ALMOST_ALWAYS <= inside[word]

    return frozenset(filter(is_name, words))


def word_class(word: str, names: frozenset[str]) -> str:
    """The first of `CLASSES` that the word fits."""
    either_case = {word, uncapitalised_word(word)}
    if either_case & FUNCTION_WORDS and any(map(str.isalpha, word)):
        return "function words"
    if word == "=":
        return "heading marks"
    if not any(map(str.isalnum, word)):
        return "punctuation"
    if any(map(str.isdigit, word)):
        return "digits"
    return "names" if word in names - MONTHS else "other words"


def describe_words(ids_BT, subset_BT, place_BT, classes: list[str]) -> pd.DataFrame:
    """One row for each word that is masked, in the order of `score_reference`.

    By its place, the number of its token in the joined text: its id, its subset, the
    unit of neighbouring blocks in which it stands, and its band in each division.
    `classes` holds the class of each id. The first and the last word are those behind
    [CLS] and at the end of a row.
    """
    length, asked_BT = ids_BT.shape[1], subset_BT >= 0
    id_M, place_M = ids_BT[asked_BT].numpy(), place_BT[asked_BT].numpy()
    position_M = asked_BT.nonzero()[:, 1].numpy()
    # To the nearest [UNK] of the row; the length of the row where there is none.
    apart_TS = (torch.arange(length)[:, None] - torch.arange(length)).abs()
    nearest = [apart_TS.masked_fill(row_S != UNK, length).amin(1) for row_S in ids_BT]
    distance_M = torch.stack(nearest)[asked_BT].numpy()
    at_edge = [position_M == 1, position_M == length - 1]

    def cut(values_M: np.ndarray, names: dict) -> pd.Categorical:
        return pd.cut(values_M, [0, *names], labels=[*names.values()])

    columns = {
        "id": id_M,
        "subset": subset_BT[asked_BT].numpy(),
        "unit": place_M // (GROUP * (length - 1)),
        "all": "all words",
        "class": pd.Categorical(np.array(classes)[id_M], [*CLASSES]),
        "quarter": pd.Categorical.from_codes(position_M * 4 // length, QUARTERS),
        "edge": pd.Categorical(np.select(at_edge, EDGES[:2], EDGES[2]), EDGES),
        "unknown": cut(distance_M, DISTANCES),
        "rank": cut(id_M - len(SPECIALS) + 1, RANKS),  # ids go from frequent to rare
    }
    return pd.DataFrame(columns, index=place_M)


def packed_word_places(ids_BT: Tensor) -> Tensor:
    """The number in the joined text of each token of packed blocks, (B, T)."""
    size = ids_BT.shape[1] - 1
    return torch.arange(len(ids_BT))[:, None] * size + torch.arange(-1, size)
