"""What the explorer asks of a tokenizer, so that it need not be ours.

A tokenizer has `words`, the word of each id; `ids`, the id of each word that can be an
answer; `encode`, which takes a list of words; and a length. One that is not ours also
has `special_ids` and `split`, which cuts a text into the words that a reader sees.
"""

from dataclasses import dataclass

from helpers.text import split_words
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK


@dataclass(frozen=True)
class SpecialIds:
    """The ids of special tokens. Those in `silent` are never an answer."""

    unk: int
    cls: int
    sep: int
    mask: int
    silent: tuple[int, ...]


OURS = SpecialIds(UNK, CLS, SEP, MASK, tuple(range(len(SPECIALS))))


def special_ids(tokenizer) -> SpecialIds:
    """The special tokens of a tokenizer; ours, if it does not say."""
    return getattr(tokenizer, "special_ids", OURS)


def vocabulary_words(tokenizer, text: str) -> list[str]:
    """The words of a text as this tokenizer sees them."""
    return getattr(tokenizer, "split", split_words)(text)


def add_special_ids(tokenizer, ids: list[int]) -> list[int]:
    """The ids as the model reads them, between [CLS] and [SEP]."""
    special = special_ids(tokenizer)
    return [special.cls, *ids, special.sep]
