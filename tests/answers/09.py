"""Plausible wrong answers to the exercises of notebook 09."""

import re

PARTS = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward.expand": "intermediate.dense",
    "feed_forward.contract": "output.dense",
    "feed_forward_norm": "output.LayerNorm",
}


def one_digit(name):
    """Takes the number of a block for a single digit."""
    number, module, kind = re.match(r"blocks\.(\d)\d?\.(.*)\.(\w+)", name).groups()
    return f"bert.encoder.layer.{number}.{PARTS[module]}.{kind}"


def one_norm(name):
    """Takes both LayerNorms of a block for the same."""
    number, module, kind = re.match(r"blocks\.(\d+)\.(.*)\.(\w+)", name).groups()
    parts = PARTS | {"attention_norm": "output.LayerNorm"}
    return f"bert.encoder.layer.{number}.{parts[module]}.{kind}"


def greedy(word, pieces, longest=True, whole=True):
    found, start = [], 0
    while start < len(word):
        ends = range(start + 1, len(word) + 1)
        for end in reversed(ends) if longest else ends:
            piece = ("##" if start else "") + word[start:end]
            if piece in pieces:
                found.append(piece)
                start = end
                break
        else:
            return ["[UNK]"] if whole else [*found, "[UNK]"]
    return found


def without_marks(word, pieces):
    """Looks for each piece as if it began a word."""
    found = greedy(word, {piece.removeprefix("##") for piece in pieces} | pieces)
    return [piece.removeprefix("##") for piece in found]


def count(V, T, N, D, F, biases=1, norms=2, segments=2):
    block = 4 * D * D + 2 * D * F + biases * (5 * D + F) + norms * 2 * D
    return (V + T + segments) * D + 2 * D + N * block


WRONG = {
    "9.1": [
        lambda *sizes: count(*sizes, biases=0),
        lambda *sizes: count(*sizes, norms=1),
        lambda *sizes: count(*sizes, segments=0),
        lambda *sizes: count(*sizes[:4], sizes[4] + 1),
    ],
    "9.2": [one_digit, one_norm, lambda name: f"bert.{name}"],
    "9.3": [
        lambda word, pieces: greedy(word, pieces, longest=False),
        lambda word, pieces: greedy(word, pieces, whole=False),
        without_marks,
    ],
}
