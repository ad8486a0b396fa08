"""Byte-pair encoding, from scratch (Sennrich et al. 2016; over bytes: Radford 2019).

The special tokens have the first ids, the 256 bytes the next, and the merges the rest.
No text is unknown: `decode(encode(text)) == text`. Left out: dropout of merges.
"""

import heapq
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from helpers.files import reading_file, write_file
from helpers.text import UNKNOWN_WORD
from helpers.tokenizer import SPECIALS, UNK, tokenizer_entry

FIRST_BYTE = len(SPECIALS)
FIRST_MERGE = FIRST_BYTE + 256
Pair = tuple[int, int]
CHUNK = re.compile(r"<unk>| ?(?:[^ \n<]|<(?!unk>))+|[ \n]")


def split_chunks(text: str) -> list[str]:
    """Pieces that no merge crosses: a word with the space before it, or `<unk>`."""
    return CHUNK.findall(text)


def count_chunks(lines: Iterable[str]) -> Counter[str]:
    """How often each chunk occurs, without `<unk>`."""
    pieces = (chunk for line in lines for chunk in split_chunks(line))
    return Counter(chunk for chunk in pieces if chunk != UNKNOWN_WORD)


def chunk_bytes(text: str) -> bytes:
    """A text as UTF-8; half a surrogate pair becomes three bytes."""
    return text.encode("utf-8", "surrogatepass")


def decode_bytes(data: bytes) -> str:
    """The text that some bytes encode; bytes that are not UTF-8 become �."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Replaces each occurrence of `pair` by `new`, from left to right."""
    merged = []
    for i in ids:
        if merged and (merged[-1], i) == pair:
            merged[-1] = new
        else:
            merged.append(i)
    return merged


def learn_merges(chunk_counts: dict[str, int], n_merges: int) -> list[Pair]:
    """Merges the most frequent pair again and again; ties go to the smaller pair.

    `chunk_counts` says how often each chunk occurs. The index `places` says which
    chunks hold a pair, so that a merge touches only those.
    """
    words = [[FIRST_BYTE + byte for byte in chunk_bytes(c)] for c in chunk_counts]
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
        elif pair_counts[pair] > 0:  # the count has fallen since it was pushed
            heapq.heappush(heap, (-pair_counts[pair], pair))
    return merges


def token_bytes(merges: list[Pair]) -> list[bytes]:
    """The bytes of each id. Raises ValueError if a merge uses a later id."""
    tokens = [*map(chunk_bytes, SPECIALS), *(bytes([byte]) for byte in range(256))]
    tokens[UNK] = chunk_bytes(UNKNOWN_WORD)
    for left, right in merges:
        if not FIRST_BYTE <= min(left, right) <= max(left, right) < len(tokens):
            raise ValueError(f"({left}, {right}) merges ids that do not exist yet")
        tokens.append(tokens[left] + tokens[right])
    return tokens


def encode_chunk(chunk: str, ranks: dict[Pair, int]) -> list[int]:
    """Applies the merges in the order in which they were learned, their `ranks`."""
    ids = [FIRST_BYTE + byte for byte in chunk_bytes(chunk)]
    while pairs := set(pairwise(ids)) & ranks.keys():
        first = min(pairs, key=ranks.get)
        ids = merge(ids, first, FIRST_MERGE + ranks[first])
    return ids


class BPETokenizer:
    """Turns any text into ids of byte sequences, and back without loss."""

    def __init__(self, merges: list[Pair]):
        self.merges = merges
        self.ranks = {pair: rank for rank, pair in enumerate(merges)}
        self.tokens = token_bytes(merges)
        self.cache = {UNKNOWN_WORD: [UNK]}  # ids of the chunks seen so far

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def train(cls, lines: Iterable[str], n_merges: int = 8_000) -> "BPETokenizer":
        """Learns merges from lines of text."""
        return cls(learn_merges(count_chunks(lines), n_merges))

    def encode(self, text: str | list[str]) -> list[int]:
        """The ids of a text, or of a list of words joined by spaces."""
        ids = []
        for chunk in split_chunks(text if isinstance(text, str) else " ".join(text)):
            if chunk not in self.cache:
                self.cache[chunk] = encode_chunk(chunk, self.ranks)
            ids += self.cache[chunk]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        return decode_bytes(b"".join(tokenizer_entry(self.tokens, i) for i in ids))

    def save(self, path: Path) -> None:
        """Writes the merges as JSON."""
        write_file(path, json.dumps({"merges": self.merges}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "BPETokenizer":
        """Reads saved merges. Raises ValueError if the file is anything else."""
        with reading_file(path):
            merges = json.loads(Path(path).read_text("utf-8"))["merges"]
            return cls([(left, right) for left, right in merges])
