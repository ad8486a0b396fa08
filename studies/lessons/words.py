"""The same words asked of models with different vocabularies.

A loss a token says nothing across vocabularies, so each word is masked alone, with all
of its pieces, in the middle of as many tokens as the model takes, and scored as a word.
Its pieces are read from left to right, each with the true ones before it and none
behind it (pseudo-log-likelihood within a word: Kauf & Ivanova 2023). A word is right if
each of its pieces is the model's first choice. That its number of pieces can be seen
helps models of pieces, if anything.

Shapes: R rows, T positions, M positions of a row that are asked (one), V vocabulary.
"""

import math

import torch
from torch import Tensor

from helpers.bpe import BPETokenizer, chunks
from helpers.tokenizer import (
    CLS,
    MASK,
    SEP,
    SPECIALS,
    UNK,
    UNKNOWN_WORD,
    most_frequent,
)

SHARED, RARE = 6_000, 1_500  # words asked of either kind
Place = tuple[int, int]  # of a word: its line, and which of the line's words it is


def parted(line: str) -> list[str]:
    """The pieces of a line between which no tokenizer merges, blanks left out."""
    return [chunk.strip(" ") for chunk in chunks(line) if chunk.strip(" ")]


def words_asked(lines: list[str], shared: set[str]) -> dict[str, list[Place]]:
    """Where the words stand that are asked, at equal distances throughout the lines.

    "shared" are words of the given set, "rare" all others but WikiText's `<unk>`.
    """
    found = {"shared": [], "rare": []}
    for number, line in enumerate(lines):
        words = line.split()
        if parted(line) != words:
            continue  # a word with a rare kind of blank in it
        for place, word in enumerate(words):
            if word != UNKNOWN_WORD:
                found["shared" if word in shared else "rare"].append((number, place))
    wanted = {"shared": SHARED, "rare": RARE}
    return {
        kind: places[:: max(1, len(places) // wanted[kind])][: wanted[kind]]
        for kind, places in found.items()
    }


def known_words(lines: list[str], vocab_size: int) -> set[str]:
    """The words of a vocabulary of that size, special tokens included in it."""
    return {*most_frequent(lines, vocab_size - len(SPECIALS))}


def tokens_of(tokenizer, line: str) -> list[tuple[list[int], bool]]:
    """The ids of a line in parts, and whether a part is a word or the blank alone."""
    if isinstance(tokenizer, BPETokenizer):
        parts = chunks(" ".join(line.split()))
        return [(tokenizer.encode(part), part != " ") for part in parts]
    return [(tokenizer.encode([word]), True) for word in line.split()]


def spans(tokenizer, lines: list[str]) -> tuple[list[int], dict[Place, range]]:
    """All lines as one stream of ids, each ended by [SEP], and where each word stands.

    The stream is that of `helpers.data.join`.
    """
    stream, where = [], {}
    for number, line in enumerate(lines):
        place = 0
        for ids, is_word in tokens_of(tokenizer, line):
            if is_word:
                where[number, place] = range(len(stream), len(stream) + len(ids))
                place += 1
            stream += ids
        stream.append(SEP)
    return stream, where


def questions(stream: list[int], span: range, length: int) -> list[tuple]:
    """One row for each piece of a word: inputs (T,), the place asked, the true id.

    The word stands in the middle, unless the text begins or ends there. ValueError if
    it does not fit in a row.
    """
    size = min(length - 1, len(stream))
    if len(span) > size:
        raise ValueError(f"A word of {len(span)} tokens does not fit in {size}.")
    middle = (span.start + span.stop) // 2
    first = min(max(0, middle - size // 2), len(stream) - size)
    window_T = [CLS, *stream[first : first + size]]
    found = []
    for at in span:
        inputs_T = list(window_T)
        for hidden in range(at, span.stop):
            inputs_T[hidden - first + 1] = MASK
        found.append((inputs_T, at - first + 1, stream[at]))
    return found


@torch.no_grad()
def answers(model, rows: list[tuple], batch_size: int = 64) -> list[tuple]:
    """Log-probability of the true id in each row; whether it is the first choice."""
    device, found = next(model.parameters()).device, []
    model.eval()
    for start in range(0, len(rows), batch_size):
        part = rows[start : start + batch_size]
        inputs_RT, at_R, true_R = (
            torch.tensor(column) for column in zip(*part, strict=True)
        )
        logits_RMV = model(inputs_RT.to(device), at_R[:, None].to(device)).cpu()
        logp_RV = logits_RMV[:, 0].log_softmax(-1)
        right_R: Tensor = logp_RV.argmax(-1) == true_R
        said_R = logp_RV.gather(1, true_R[:, None])[:, 0]
        found += zip(said_R.tolist(), right_R.tolist(), strict=True)
    return found


def score_words(model, tokenizer, lines: list[str], asked: dict) -> dict:
    """Each kind of word: how many are right, and bits a character.

    `right` is of all that are asked; a word that the vocabulary does not hold is wrong.
    `held` is the share that it holds, `bits` their mean bits a character, the blank
    before a word included, and `tokens` their mean number of tokens.
    """
    stream, where = spans(tokenizer, lines)
    length, result = model.config.max_length, {}
    for kind, places in asked.items():
        held = [p for p in places if UNK not in (stream[at] for at in where[p])]
        rows = [questions(stream, where[place], length) for place in held]
        found = iter(answers(model, [row for word in rows for row in word]))
        right, nats, characters = 0, 0.0, 0
        for (number, place), word in zip(held, rows, strict=True):
            pieces = [next(found) for _ in word]
            right += all(first for _, first in pieces)
            nats -= sum(said for said, _ in pieces)
            characters += len(lines[number].split()[place]) + 1
        result[kind] = {
            "words": len(places),
            "held": len(held) / len(places),
            "right": right / len(places),
            "bits": nats / math.log(2) / characters if held else None,
            "tokens": sum(map(len, rows)) / len(held) if held else None,
        }
    return result
