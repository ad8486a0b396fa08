"""A word-level tokenizer, from scratch; helpers.text says what counts as a word."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from helpers.files import reading_file, write_file
from helpers.text import UNKNOWN_WORD, join_words, split_words

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(len(SPECIALS))


def most_frequent_words(lines: Iterable[str], size: int) -> list[str]:
    """The `size` most frequent words; ties go to the first in code-point order."""
    counts = Counter(word for line in lines for word in line.split())
    for word in (UNKNOWN_WORD, *SPECIALS):
        counts.pop(word, None)
    visible = filter(split_words, counts)  # some words are invisible characters only
    return sorted(visible, key=lambda word: (-counts[word], word))[:size]


def tokenizer_entry(entries: list, i: int):
    """The entry of an id. Raises ValueError if there is no such id."""
    if not 0 <= i < len(entries):
        raise ValueError(f"There is no id {i}; ids go from 0 to {len(entries) - 1}.")
    return entries[i]


class WordTokenizer:
    """Gives each word of a vocabulary an id; any other word becomes [UNK]."""

    def __init__(self, words: list[str]):
        distinct = {word for word in words if isinstance(word, str)}
        if tuple(words[: len(SPECIALS)]) != SPECIALS or len(distinct) < len(words):
            raise ValueError(f"Start with {SPECIALS}, then list each word once.")
        self.words = list(words)
        # Nobody can type a special token: in a text, these are unknown words.
        self.ids = {word: i for i, word in enumerate(words) if word not in SPECIALS}

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def train(cls, lines: Iterable[str], vocab_size: int = 2_000) -> "WordTokenizer":
        """Takes the most frequent words of lines that are split at spaces."""
        size = max(0, vocab_size - len(SPECIALS))
        return cls([*SPECIALS, *most_frequent_words(lines, size)])

    def encode(self, text: str | list[str]) -> list[int]:
        """The ids of a text or of a list of words, without special tokens."""
        words = split_words(text) if isinstance(text, str) else text
        return [self.ids.get(word, UNK) for word in words]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids, with the usual spaces."""
        return join_words([tokenizer_entry(self.words, i) for i in ids])

    def save(self, path: Path) -> None:
        """Writes the vocabulary as JSON, one word per line."""
        write_file(path, json.dumps({"words": self.words}, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> "WordTokenizer":
        """Reads a saved vocabulary. Raises ValueError if the file is anything else."""
        with reading_file(path):
            return cls(json.loads(Path(path).read_text("utf-8"))["words"])
