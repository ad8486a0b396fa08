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
from pathlib import Path

from helpers.tokenizer import SPECIALS, UNK, UNKNOWN_WORD

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


def learn_merges(counts: dict[str, int], n_merges: int) -> list[Pair]:
    """Merges the most frequent pair again and again; ties go to the smaller pair.

    `counts` says how often each chunk occurs. An index from pairs to chunks limits the
    work of a merge to the chunks that hold the pair. The heap may hold counts that are
    out of date; they are corrected when they come up.
    """
    words = [byte_ids(chunk) for chunk in counts]
    weights = list(counts.values())
    total, where = Counter(), defaultdict(set)
    for i, ids in enumerate(words):
        for pair in zip(ids, ids[1:], strict=False):
            total[pair] += weights[i]
            where[pair].add(i)
    heap = [(-count, pair) for pair, count in total.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < n_merges:
        count, pair = heapq.heappop(heap)
        if -count != total[pair]:
            if total[pair] > 0:
                heapq.heappush(heap, (-total[pair], pair))
            continue
        new = FIRST_MERGE + len(merges)
        merges.append(pair)
        born = set()
        for i in where.pop(pair):
            for old in zip(words[i], words[i][1:], strict=False):
                total[old] -= weights[i]
            words[i] = merge(words[i], pair, new)
            for fresh in zip(words[i], words[i][1:], strict=False):
                total[fresh] += weights[i]
                if new in fresh:
                    where[fresh].add(i)
                    born.add(fresh)
        for fresh in born:
            heapq.heappush(heap, (-total[fresh], fresh))
    return merges


class BPETokenizer:
    """Turns any text into ids of byte sequences, and back without loss."""

    def __init__(self, merges: list[Pair]):
        self.merges = [tuple(pair) for pair in merges]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}
        self.pieces = [name.encode() for name in SPECIALS]
        self.pieces[UNK] = UNKNOWN_WORD.encode()
        self.pieces += [bytes([b]) for b in range(256)]
        for left, right in self.merges:
            self.pieces.append(self.pieces[left] + self.pieces[right])
        self.known = {UNKNOWN_WORD: [UNK]}  # chunks that were encoded before

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def train(cls, lines: Iterable[str], n_merges: int = 8_000) -> "BPETokenizer":
        """Learns merges from lines of text."""
        counts = Counter(chunk for line in lines for chunk in chunks(line))
        counts.pop(UNKNOWN_WORD, None)
        return cls(learn_merges(counts, n_merges))

    def encode_chunk(self, chunk: str) -> list[int]:
        """Applies the earliest-learned merge that fits until none does."""
        ids = byte_ids(chunk)
        while len(ids) > 1:
            pairs = set(zip(ids, ids[1:], strict=False)) & self.ranks.keys()
            if not pairs:
                break
            first = min(pairs, key=self.ranks.get)
            ids = merge(ids, first, FIRST_MERGE + self.ranks[first])
        return ids

    def encode(self, text: str | list[str]) -> list[int]:
        """Ids of a text, or of a list of words joined by spaces."""
        text = text if isinstance(text, str) else " ".join(text)
        ids = []
        for chunk in chunks(text):
            if chunk not in self.known:
                self.known[chunk] = self.encode_chunk(chunk)
            ids += self.known[chunk]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are no text appear as �."""
        data = b"".join(self.pieces[i] for i in ids)
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def save(self, path: Path) -> None:
        """Writes the merges as JSON."""
        Path(path).write_text(json.dumps({"merges": self.merges}) + "\n")

    @classmethod
    def load(cls, path: Path) -> "BPETokenizer":
        """Reads what `save` wrote; ValueError if the file is damaged."""
        try:
            return cls(json.loads(Path(path).read_text())["merges"])
        except (OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(
                f"{path} holds no merges of this project ({error!r}); save it again "
                "with BPETokenizer.save, or fetch it again."
            ) from error
