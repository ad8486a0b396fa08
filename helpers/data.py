"""From lines of text to batches of ids: pad, bucket or pack them, and in which order.

Each way starts a row with [CLS] and ends a line with [SEP], in training as in
prediction. Left out: worker processes and a DataLoader, as the corpus is one tensor.

Shapes: B rows, T positions.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.masking import mask_subsets
from helpers.seeds import seeded
from helpers.tokenizer import CLS, PAD, SEP


def encode_lines(tokenizer, lines: list[str]) -> list[list[int]]:
    """Ids of each line, without special tokens."""
    return [tokenizer.encode(line.split()) for line in lines]


def line_rows(lines: list[list[int]], length: int) -> list[list[int]]:
    """Rows of [CLS], words, [SEP], one per line; a long line goes on in another row."""
    size = length - 2
    return [
        [CLS, *line[start : start + size], SEP]
        for line in lines
        for start in range(0, len(line), size)
    ]


def pad_rows(batch: list[list[int]], length: int) -> Tensor:
    """Rows filled with [PAD] up to `length`, as a tensor (B, T)."""
    filled = [row + [PAD] * (length - len(row)) for row in batch]
    ids_BT = torch.tensor(filled, device="cpu")
    return ids_BT


def pad(lines: list[list[int]], length: int) -> Tensor:
    """One row per line, all padded to the same length. Shape (B, T)."""
    return pad_rows(line_rows(lines, length), length)


def bucket(
    lines: list[list[int]], length: int, batch_size: int, generator: torch.Generator
) -> list[Tensor]:
    """Batches of rows of similar length, each filled up to its longest row only."""
    by_length = sorted(line_rows(lines, length), key=len)
    starts = range(0, len(by_length), batch_size)
    batches = [by_length[start : start + batch_size] for start in starts]
    order = torch.randperm(len(batches), generator=generator, device="cpu")
    return [pad_rows(batches[i], len(batches[i][-1])) for i in order]


def join_lines(lines: list[list[int]]) -> Tensor:
    """All lines in one stream of ids, each ended by [SEP]. Shape (length of text,)."""
    ids = [token for line in lines for token in (*line, SEP)]
    return torch.tensor(ids, dtype=torch.long, device="cpu")


def cut_rows(stream: Tensor, length: int, offset: int = 0) -> Tensor:
    """Rows of [CLS] and the next `length` - 1 tokens of the stream. Shape (B, T).

    Only the last row can hold [PAD]. Another `offset` moves all cuts.
    """
    size = length - 1
    text = stream[offset:]
    missing = -len(text) % size
    text = torch.cat([text, text.new_full((missing,), PAD)])
    text_BT = text.view(-1, size)
    return torch.cat([text_BT.new_full((len(text_BT), 1), CLS), text_BT], dim=1)


def pack(lines: list[list[int]], length: int, offset: int = 0) -> Tensor:
    """The whole text without gaps, in rows of `length` tokens. Shape (B, T)."""
    return cut_rows(join_lines(lines), length, offset)


def steps_per_epoch(stream: Tensor, length: int, batch_size: int) -> int:
    """Full batches in one pass over the text, at least 1."""
    return max(1, len(stream) // ((length - 1) * batch_size))


def batches(
    stream: Tensor, length: int, batch_size: int, seed: int, start: int = 0
) -> Iterator[Tensor]:
    """Yields training batches (B, T) from step `start` on, without end.

    Each epoch cuts the stream at another offset and shuffles the rows anew. So a word
    does not always stand in the same place with the same neighbours.
    """
    per_epoch = steps_per_epoch(stream, length, batch_size)
    for epoch in itertools.count(start // per_epoch):
        draw = seeded(seed, "order", epoch)
        offset = int(torch.randint(length - 1, (1,), generator=draw, device="cpu"))
        rows_BT = cut_rows(stream, length, offset)
        order = torch.randperm(len(rows_BT), generator=draw, device="cpu")
        for step in range(start % per_epoch, per_epoch):
            first = step * batch_size
            yield rows_BT[order[first : first + batch_size]]
        start = 0


def wasted_share(batches: Tensor | list[Tensor]) -> float:
    """Share of [PAD] among all positions, where the model learns nothing."""
    tensors = [batches] if isinstance(batches, Tensor) else batches
    padding = sum(int((ids_BT == PAD).sum()) for ids_BT in tensors)
    return padding / sum(ids_BT.numel() for ids_BT in tensors)


@dataclass
class TrainingData:
    """The tensors of one corpus: a stream to train on and rows to be scored on.

    `sample_BT` holds rows of the training text. They are scored like the validation
    rows: with dropout off, and by weights that do not change meanwhile.
    """

    stream: Tensor
    validation_BT: Tensor
    subset_BT: Tensor
    sample_BT: Tensor
    sample_subset_BT: Tensor

    def __post_init__(self):
        if len(self.stream) < (size := self.validation_BT.shape[1] - 1):
            raise ValueError(
                f"The training text has {len(self.stream)} tokens, and a block needs "
                f"{size}; take more text, or a smaller max_length."
            )

    @classmethod
    def prepare(cls, tokenizer, corpus, length: int = 64, sample: int = 512):
        """Encodes the training and validation splits, in rows of `length` tokens."""
        stream = join_lines(encode_lines(tokenizer, corpus.train))
        validation_BT = pack(encode_lines(tokenizer, corpus.validation), length)
        rows_BT = cut_rows(stream, length)
        sample_BT = rows_BT[:: max(1, len(rows_BT) // sample)][:sample]
        masks = [mask_subsets(ids) for ids in (validation_BT, sample_BT)]
        return cls(stream, validation_BT, masks[0], sample_BT, masks[1])
