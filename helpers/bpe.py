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

from helpers.files import reading, write_whole
from helpers.tokenizer import SPECIALS, UNK, UNKNOWN_WORD, entry

FIRST_BYTE = len(SPECIALS)
FIRST_MERGE = FIRST_BYTE + 256
CHUNK = re.compile(r"<unk>| ?(?:[^ \n<]|<(?!unk>))+|[ \n]")

Pair = tuple[int, int]


def chunks(text: str) -> list[str]:
    """Pieces of a text across whose borders nothing is merged: a word and its space.

    WikiText's own `<unk>` stands alone. The pieces joined give the text again.
    """
    return CHUNK.findall(text)


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


def learn_merges(chunk_counts: dict[str, int], n_merges: int) -> list[Pair]:
    """Merges the most frequent pair again and again; ties go to the smaller pair.

    `chunk_counts` says how often each chunk occurs. An index, `places`, names the words
    that hold a pair, so that a merge touches only those.
    """
    words = [byte_ids(chunk) for chunk in chunk_counts]
    counts = list(chunk_counts.values())
    pair_counts, places = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in pairwise(ids):
            pair_counts[pair] += counts[i]
            places[pair].add(i)
    heap = [(-count, pair) for pair, count in pair_counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        count, pair = heapq.heappop(heap)
        if -count == pair_counts[pair]:
            new, new_pairs = FIRST_MERGE + len(merges), set()
            for i in places.pop(pair):
                for old in pairwise(words[i]):
                    pair_counts[old] -= counts[i]
                words[i] = merge(words[i], pair, new)
                for present in pairwise(words[i]):
                    pair_counts[present] += counts[i]
                    if new in present:
                        places[present].add(i)
                        new_pairs.add(present)
            for other in new_pairs:
                heapq.heappush(heap, (-pair_counts[other], other))
            merges.append(pair)
        elif pair_counts[pair] > 0:  # the entry was out of date: counts fall
            heapq.heappush(heap, (-pair_counts[pair], pair))
    return merges


def token_bytes(merges: list[Pair]) -> list[bytes]:
    """The bytes that each id stands for. Raises ValueError for a merge of later ids."""
    tokens = [name.encode() for name in SPECIALS]
    tokens[UNK] = UNKNOWN_WORD.encode()
    tokens += [bytes([b]) for b in range(256)]
    for left, right in merges:
        if not FIRST_BYTE <= min(left, right) <= max(left, right) < len(tokens):
            raise ValueError(f"({left}, {right}) merges ids that do not exist yet")
        tokens.append(tokens[left] + tokens[right])
    return tokens


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


class BPETokenizer:
    """Any text to ids of byte sequences, and back without loss."""

    def __init__(self, merges: list[Pair]):
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.tokens = token_bytes(merges)
        self.cache = {UNKNOWN_WORD: [UNK]}  # of chunks encoded before

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def train(cls, lines: Iterable[str], n_merges: int = 8_000) -> "BPETokenizer":
        """Learns merges from lines of text."""
        return cls(learn_merges(count_chunks(lines), n_merges))

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of words joined by spaces."""
        ids = []
        for chunk in chunks(text if isinstance(text, str) else " ".join(text)):
            if chunk not in self.cache:
                self.cache[chunk] = encode_chunk(chunk, self.ranks)
            ids += self.cache[chunk]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        return to_text(b"".join(entry(self.tokens, i) for i in ids))

    def save(self, path: Path) -> None:
        """Writes the merges as JSON."""
        write_whole(path, json.dumps({"merges": self.merges}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "BPETokenizer":
        """Reads what `save` wrote. Raises ValueError if the file is anything else."""
        with reading(path):
            merges = json.loads(Path(path).read_text("utf-8"))["merges"]
            return cls([(left, right) for left, right in merges])
