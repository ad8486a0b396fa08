"""The same words asked of models with different vocabularies.

A loss a token says nothing across vocabularies, so each word is masked alone, with all
of its pieces, in the middle of as many tokens as the model takes, and scored as a word.
Its pieces are read from left to right, each with the true ones before it and none
behind it (pseudo-log-likelihood within a word: Kauf & Ivanova 2023).

Shapes: R rows, T positions, M masked positions of a row (one), V vocabulary.
"""

import math

import torch
from torch import Tensor

from explorer.tokens import word_tokens
from helpers.bpe import split_chunks
from helpers.text import UNKNOWN_WORD
from helpers.tokenizer import CLS, MASK, SEP, UNK

ASKED = {"shared": 6_000, "rare": 1_500}  # words of either kind
Place = tuple[int, int]  # of a word: its line, and which of the line's words it is


def asked_places(lines: list[str], shared: set[str]) -> dict[str, list[Place]]:
    """Where the words stand that are asked, at equal distances throughout the lines.

    "shared" are words of the given set, "rare" all others but WikiText's `<unk>`.
    """
    places = {"shared": [], "rare": []}
    for number, line in enumerate(lines):
        words = line.split()
        if [chunk.strip(" ") for chunk in split_chunks(line) if chunk != " "] != words:
            continue  # a rare kind of blank, or `<unk>` within a word
        for place, word in enumerate(words):
            if word != UNKNOWN_WORD:
                kind = "shared" if word in shared else "rare"
                places[kind].append((number, place))
    return {
        kind: places[kind][:: max(1, len(places[kind]) // count)][:count]
        for kind, count in ASKED.items()
    }


def asked_spans(tokenizer, lines: list[str]) -> tuple[list[int], dict[Place, range]]:
    """All lines as one stream of ids, each ended by [SEP], and where each word stands.

    The stream is that of `helpers.data.join_lines`. To byte pairs the blank before a
    word is a part of it.
    """
    stream, where = [], {}
    for number, line in enumerate(lines):
        for place, ids in enumerate(word_tokens(tokenizer, line.split())):
            where[number, place] = range(len(stream), len(stream) + len(ids))
            stream += ids
        stream.append(SEP)
    return stream, where


def asked_rows(stream: list[int], span: range, length: int) -> list[tuple]:
    """One row for each piece of a word: inputs (T,), the place asked, the true id.

    The word stands in the middle, unless the text begins or ends there.
    """
    size = min(length - 1, len(stream))
    middle = (span.start + span.stop) // 2
    first = min(max(0, middle - size // 2), len(stream) - size)
    rows = []
    for at in span:
        hidden = [MASK] * (span.stop - at)
        window_T = [*stream[first:at], *hidden, *stream[span.stop : first + size]]
        rows.append(([CLS, *window_T], at - first + 1, stream[at]))
    return rows


@torch.no_grad()
def asked_answers(model, rows: list[tuple]) -> list[tuple]:
    """Log-probability of the true id in each row; whether it is the first choice."""
    device, given = next(model.parameters()).device, []
    model.eval()
    for start in range(0, len(rows), 64):
        columns = zip(*rows[start : start + 64], strict=True)
        inputs_RT, at_R, true_R = map(torch.tensor, columns)
        logits_RMV = model(inputs_RT.to(device), at_R[:, None].to(device)).cpu()
        logp_RV = logits_RMV[:, 0].log_softmax(-1)
        right_R: Tensor = logp_RV.argmax(-1) == true_R
        logp_R = logp_RV.gather(1, true_R[:, None])[:, 0]
        given += zip(logp_R.tolist(), right_R.tolist(), strict=True)
    return given


def score_asked(model, tokenizer, lines: list[str], places: dict) -> dict:
    """Each kind of word: how many are right, and bits per character.

    `right` is of all that are asked; a word that the vocabulary does not hold is wrong.
    `held` is the share that it holds, `bits` their mean bits per character, the blank
    before a word included, and `tokens` their mean number of tokens.
    """
    stream, where = asked_spans(tokenizer, lines)
    scores = {}
    for kind, asked in places.items():
        held = [p for p in asked if UNK not in (stream[at] for at in where[p])]
        words = [asked_rows(stream, where[p], model.config.max_length) for p in held]
        given = asked_answers(model, [row for rows in words for row in rows])
        pieces = iter(right for _, right in given)
        right = [all([next(pieces) for _ in rows]) for rows in words]
        characters = sum(len(lines[n].split()[place]) + 1 for n, place in held)
        nats = -sum(logp for logp, _ in given)
        scores[kind] = {
            "words": len(asked),
            "held": len(held) / len(asked),
            "right": sum(right) / len(asked),
            "bits": nats / math.log(2) / characters if held else None,
            "tokens": len(given) / len(held) if held else None,
        }
    return scores
