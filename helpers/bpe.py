"""Byte-pair encoding, from scratch (Sennrich et al. 2016; over bytes: Radford 2019).

Ids are the special tokens, the 256 bytes, then one id for each merge in the order in
which it was learned. No text is unknown: `decode(encode(text)) == text` for any string.
Left out: splitting by regular expressions of letters and digits, and dropout of merges.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from helpers.files import write_whole
from helpers.tokenizer import SPECIALS, UNK, UNKNOWN_WORD, read_json, within

FIRST_BYTE = len(SPECIALS)
FIRST_MERGE = FIRST_BYTE + 256
CHUNK = re.compile(r" ?[^ \n]+|[ \n]")

Pair = tuple[int, int]


def chunks(text: str) -> list[str]:
    """Pieces of a text across whose borders nothing is merged: a word and its space.

    WikiText's own `<unk>` stands alone. The pieces joined give the text again.
    """
    found = []
    for piece in re.split(f"({UNKNOWN_WORD})", text):
        found += [piece] if piece == UNKNOWN_WORD else CHUNK.findall(piece)
    return found


def count_chunks(lines: Iterable[str]) -> Counter[str]:
    """How often each chunk occurs, `<unk>` left out."""
    counts = Counter(chunk for line in lines for chunk in chunks(line))
    counts.pop(UNKNOWN_WORD, None)
    return counts


def byte_ids(chunk: str) -> list[int]:
    """One id a byte of UTF-8; half a surrogate pair counts as three bytes."""
    return [FIRST_BYTE + b for b in chunk.encode("utf-8", "surrogatepass")]


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Replaces each occurrence of `pair` in `ids`, from left to right, by `new`."""
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and ids[i] == pair[0] and ids[i + 1] == pair[1]:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def rewrite(words, weights, total, where, pair: Pair, new: int) -> set[Pair]:
    """Merges `pair` in the words that hold it and keeps the counts of pairs right.

    `total` counts each pair, `where` names the words that hold it. Returns the pairs
    that the merge has brought into being.
    """
    born = set()
    for i in where.pop(pair):
        for old in pairwise(words[i]):
            total[old] -= weights[i]
        words[i] = merge(words[i], pair, new)
        for fresh in pairwise(words[i]):
            total[fresh] += weights[i]
            if new in fresh:
                where[fresh].add(i)
                born.add(fresh)
    return born


def learn_merges(counts: dict[str, int], n_merges: int) -> list[Pair]:
    """Merges the most frequent pair again and again; ties go to the smaller pair.

    `counts` says how often each chunk occurs. The heap may hold counts that are out of
    date; they are corrected when they come up.
    """
    words = [byte_ids(chunk) for chunk in counts]
    weights = list(counts.values())
    total, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            total[pair] += weights[i]
            where[pair].add(i)
    heap = [(-count, pair) for pair, count in total.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        count, pair = heapq.heappop(heap)
        if -count == total[pair]:
            new = FIRST_MERGE + len(merges)
            merges.append(pair)
            for fresh in rewrite(words, weights, total, where, pair, new):
                heapq.heappush(heap, (-total[fresh], fresh))
        elif total[pair] > 0:
            heapq.heappush(heap, (-total[pair], pair))
    return merges


def encode_chunk(chunk: str, ranks: dict[Pair, int]) -> list[int]:
    """Applies the merge that was learned first, of those that fit, until none does."""
    ids = byte_ids(chunk)
    while pairs := set(pairwise(ids)) & ranks.keys():
        first = min(pairs, key=ranks.get)
        ids = merge(ids, first, FIRST_MERGE + ranks[first])
    return ids


def to_text(data: bytes) -> str:
    """Bytes as text, surrogates too; what is no UTF-8 appears as �."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def as_merges(entries: list[list[int]]) -> list[Pair]:
    """Merges read from a file. Raises ValueError if one uses ids that come later."""
    for i, (left, right) in enumerate(entries):
        if not FIRST_BYTE <= min(left, right) <= max(left, right) < FIRST_MERGE + i:
            raise ValueError(f"merge {i} is of ids that do not exist yet")
    return [(left, right) for left, right in entries]


def spell(merges: list[Pair]) -> list[bytes]:
    """The bytes that each id stands for, in the order of the ids."""
    pieces = [name.encode() for name in SPECIALS]
    pieces[UNK] = UNKNOWN_WORD.encode()
    pieces += [bytes([b]) for b in range(256)]
    for left, right in merges:
        pieces.append(pieces[left] + pieces[right])
    return pieces


class BPETokenizer:
    """Any text to ids of byte sequences, and back without loss."""

    def __init__(self, merges: list[Pair]):
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.pieces = spell(merges)
        self.known = {UNKNOWN_WORD: [UNK]}  # chunks encoded before

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def train(cls, lines: Iterable[str], n_merges: int = 8_000) -> "BPETokenizer":
        """Learns merges from lines of text."""
        return cls(learn_merges(count_chunks(lines), n_merges))

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of words joined by spaces."""
        ids = []
        for chunk in chunks(text if isinstance(text, str) else " ".join(text)):
            if chunk not in self.known:
                self.known[chunk] = encode_chunk(chunk, self.ranks)
            ids += self.known[chunk]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        return to_text(b"".join(self.pieces[i] for i in within(ids, len(self))))

    def save(self, path: Path) -> None:
        """Writes the merges as JSON."""
        write_whole(path, json.dumps({"merges": self.merges}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "BPETokenizer":
        """Reads what `save` wrote. Raises ValueError if the file is anything else."""
        return read_json(path, "merges", lambda entries: cls(as_merges(entries)))
