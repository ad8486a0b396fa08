"""Wrong answers to the exercises of notebook 01."""

import math
from collections import Counter

from helpers.tokenizer import most_frequent


def counted(lines):
    return Counter(word for line in lines for word in line.split())


def of_different_words(lines, size):
    counts = counted(lines)
    return len(most_frequent(lines, size - 5)) / len(counts)


def without_special_tokens(lines, size):
    counts = counted(lines)
    return sum(counts[w] for w in most_frequent(lines, size)) / counts.total()


def without_unknown_words(lines, size):
    counts = counted(lines)
    del counts["<unk>"]
    return sum(counts[w] for w in most_frequent(lines, size - 5)) / counts.total()


def pieces_of(word, pieces, mark="##", shortest=False, give_up=True):
    found = []
    while word:
        ends = range(1, len(word) + 1)
        for end in ends if shortest else reversed(ends):
            piece = word[:end] if not found else mark + word[:end]
            if piece in pieces:
                break
        else:
            return ["[UNK]"] if give_up else [*found, "[UNK]"]
        found, word = [*found, piece], word[end:]
    return found


def right_pieces(word, pieces):
    return [piece.removeprefix("##") for piece in pieces_of(word, pieces)]


WRONG = {
    "1.1": [of_different_words, without_special_tokens, without_unknown_words],
    "1.2": [
        right_pieces,
        lambda word, pieces: pieces_of(word, pieces, mark=""),
        lambda word, pieces: pieces_of(word, pieces, shortest=True),
        lambda word, pieces: pieces_of(word, pieces, give_up=False),
        lambda word, pieces: pieces_of(word, pieces)[:1],
    ],
    "1.3": [
        lambda chances: sum(-math.log2(p) for p in chances) / len(chances),
        lambda chances: -math.log(sum(chances) / len(chances)),
        lambda chances: sum(-math.log(p) for p in chances),
        lambda chances: sum(math.log(p) for p in chances) / len(chances),
        lambda chances: sum(chances) / len(chances),
        lambda chances: math.log(4),
    ],
}
