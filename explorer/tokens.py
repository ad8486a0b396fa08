"""What the explorer asks of a tokenizer, so that it need not be ours.

A tokenizer has `words`, the word of each id; `ids`, the id of each word that can be an
answer; `encode`, which takes a list of words; and a length. One that is not ours also
has `special_tokens` and `split`, which cuts a text into the words that a reader sees.
Our byte pairs have neither words nor ids: to them a word is one token or several.

Shapes: B rows, T positions, V vocabulary.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from helpers.bpe import BPETokenizer
from helpers.text import split_words
from helpers.tokenizer import CLS, MASK, SEP, SPECIALS, UNK

BLANK, BLANKS = "___", re.compile(r"\[MASK\]|_{3,}")  # as shown, and as typed


@dataclass(frozen=True)
class SpecialTokens:
    """The ids of special tokens. Those in `silent` are never an answer."""

    unk: int
    cls: int
    sep: int
    mask: int
    silent: tuple[int, ...]


OURS = SpecialTokens(UNK, CLS, SEP, MASK, tuple(range(len(SPECIALS))))


def has_byte_pair_tokens(tokenizer) -> bool:
    """Whether a word may be several tokens, and none is unknown."""
    return isinstance(tokenizer, BPETokenizer)


def token_key(tokenizer) -> tuple:
    """What two tokenizers have in common if they read alike."""
    entries = tokenizer.merges if has_byte_pair_tokens(tokenizer) else tokenizer.words
    return type(tokenizer), *entries


def token_vocabulary_text(tokenizer) -> str:
    """How much a tokenizer knows, in words."""
    count = len(tokenizer) - len(special_tokens(tokenizer).silent)
    return f"{count:,} {'byte pairs' if has_byte_pair_tokens(tokenizer) else 'words'}"


def special_tokens(tokenizer) -> SpecialTokens:
    """The special tokens of a tokenizer; ours, if it does not say."""
    return getattr(tokenizer, "special_tokens", OURS)


def split_for_tokens(tokenizer, text: str) -> list[str]:
    """The words of a text as this tokenizer sees them."""
    return getattr(tokenizer, "split", split_words)(text)


def word_tokens(tokenizer, words: list[str]) -> list[list[int]]:
    """The ids of each word of a sentence; that of [MASK] for a blank.

    To byte pairs the blank before a word is a part of it.
    """
    if has_byte_pair_tokens(tokenizer):
        ids = [tokenizer.encode(" " * (i > 0) + word) for i, word in enumerate(words)]
    else:
        ids = [[i] for i in tokenizer.encode(words)]
    blank = [special_tokens(tokenizer).mask]
    return [blank if w == BLANK else own for w, own in zip(words, ids, strict=True)]


def token_text(tokenizer, ids: list[int]) -> str:
    """The word that some tokens make."""
    if has_byte_pair_tokens(tokenizer):
        return tokenizer.decode(ids).removeprefix(" ")
    return tokenizer.words[ids[0]]


def spells_with_tokens(tokenizer, ids: list[int]) -> bool:
    """Whether the tokenizer itself writes the word of some tokens with these tokens."""
    byte_pairs = has_byte_pair_tokens(tokenizer)
    return not byte_pairs or tokenizer.encode(tokenizer.decode(ids)) == ids


@dataclass(frozen=True)
class SentenceTokens:
    """A sentence as a model reads it: its words, and `ids` between [CLS] and [SEP].

    `spans` says where the tokens of each word stand in the ids.
    """

    words: list[str]
    ids: list[int]
    spans: list[range]


def sentence_tokens(tokenizer, words: list[str]) -> SentenceTokens:
    """The tokens of a sentence and where each of its words stands."""
    special, spans = special_tokens(tokenizer), []
    ids = [special.cls]
    for own in word_tokens(tokenizer, words):
        spans.append(range(len(ids), len(ids) + len(own)))
        ids += own
    return SentenceTokens(words, [*ids, special.sep], spans)


def tokens_with_mask(
    tokenizer, encoded: SentenceTokens, positions: list[int]
) -> Tensor:
    """The ids that a model sees with the word at each position masked, shape (B, T)."""
    inputs_BT = torch.tensor(encoded.ids, device="cpu").repeat(len(positions), 1)
    for row, position in enumerate(positions):
        inputs_BT[row, encoded.spans[position]] = special_tokens(tokenizer).mask
    return inputs_BT


@lru_cache(maxsize=4)
def token_kinds(tokenizer: BPETokenizer) -> tuple[Tensor, Tensor]:
    """Which byte pairs begin with a blank, and which are a word alone; (V,) each."""
    begins, whole = [], []
    for token in tokenizer.tokens:
        text = token.decode("utf-8", "ignore")
        begins.append(token.startswith(b" "))
        whole.append(text.encode() == token and bool(text.strip()))
    return torch.tensor(begins, device="cpu"), torch.tensor(whole, device="cpu")


def silent_tokens(tokenizer, position: int, piece=0, pieces=1) -> Tensor:
    """True for the ids that cannot stand at a place, shape (V,).

    The word at `position` has so many `pieces`, and `piece`, counted from 0, is the one
    in question. Special tokens are never an answer. A byte pair begins a word if it
    begins with a blank; only the first word of a sentence has none.
    """
    silent_V = torch.zeros(len(tokenizer), dtype=torch.bool, device="cpu")
    silent_V[list(special_tokens(tokenizer).silent)] = True
    if has_byte_pair_tokens(tokenizer):
        begins_V, whole_V = token_kinds(tokenizer)
        silent_V |= ~begins_V if piece == 0 and position else begins_V
        if pieces == 1:
            silent_V |= ~whole_V
    return silent_V
