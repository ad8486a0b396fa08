"""What an arm of the lessons is: a model, its text and rows, and how it trains.

An arm differs from another in what its entry names, one factor at a time. All share the
fast recipe, but for its rate: half of the peak, and constant after the warm-up, so that
a curve can be read at any step or moment.

Shapes: B rows, T positions.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from helpers import ROOT
from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.data import batches, bucket, encode_lines, join_lines, pack, pad
from helpers.masking import evaluation_subsets
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.seeds import seeded
from helpers.tokenizer import PAD, UNK, WordTokenizer
from studies.lab.runs import FAST
from studies.lab.wikitext import require_wikitext

RECIPE = replace(
    FAST,
    learning_rate=FAST.learning_rate / 2,
    muon_rate=FAST.muon_rate / 2,
    cooldown=0.0,
    precision="bfloat16",
)
STEPS, WARM_UP = 500, 40  # about one pass over the text
TOKENS = RECIPE.batch_size * ModelConfig().max_length  # per step

KNOWN = 2_000  # ids of the series' vocabulary, which larger ones begin with
SMALL = 32  # the small text is the first of so many parts


@dataclass(frozen=True)
class Arm:
    """What one configuration is made of; `steps` it is trained for.

    Tokens are words or, if `pieces`, byte pairs. `layout` is "pack", "pad" or "bucket".
    `masks` are "fresh" at each step, or "static", so that a block keeps its own. With
    "all hidden" each masked word is replaced by [MASK]; with "known only" the words
    beyond the series' own are read and never masked. A `small` text is a part of it.
    """

    model: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    pieces: bool = False
    layout: str = "pack"
    masks: str = "fresh"
    small: bool = False
    steps: int = STEPS

    @property
    def model_config(self) -> ModelConfig:
        return ModelConfig(**self.model)

    def train_config(self, seed: int) -> TrainConfig:
        """The recipe of a run; `epochs` says nothing here, the arm has its steps."""
        rows = TOKENS // self.model_config.max_length
        own = {"seed": seed, "batch_size": rows, "warmup": WARM_UP / self.steps}
        return replace(RECIPE, **(own | self.training))

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        config = self.train_config(seed)
        return {"design": self, "model": self.model_config, "training": config}


BASE = Arm()  # from which all others differ
FALLING = Arm(
    training={
        "learning_rate": FAST.learning_rate,
        "muon_rate": FAST.muon_rate,
        "cooldown": 1 - WARM_UP / STEPS,
    }
)


@cache
def tokenizer_of(pieces: bool, vocab_size: int):
    """The tokenizer of an arm; byte pairs are learned once and kept in `runs/`."""
    corpus = require_wikitext()
    if not pieces:
        return WordTokenizer.train(corpus.train, vocab_size)
    path = ROOT / "runs" / "lessons" / f"{corpus.name}_bpe_{vocab_size}.json"
    if not path.exists():
        BPETokenizer.train(corpus.train, vocab_size - FIRST_MERGE).save(path)
    return BPETokenizer.load(path)


@cache
def encoded(pieces: bool, vocab_size: int, split: str) -> list[list[int]]:
    """A split of the corpus as ids, line by line."""
    lines = getattr(require_wikitext(), split)
    return encode_lines(tokenizer_of(pieces, vocab_size), lines)


def text_of(arm: Arm, split: str) -> list[list[int]]:
    """The lines that an arm learns from, or is scored on, as ids."""
    lines = encoded(arm.pieces, arm.model_config.vocab_size, split)
    return lines[: len(lines) // SMALL] if arm.small and split == "train" else lines


def known_only(ids_BT: Tensor) -> Tensor:
    """The ids with words beyond the series' vocabulary as [UNK], as it sees them."""
    return ids_BT.where(ids_BT < KNOWN, UNK)


def rows_of(arm: Arm, lines: list[list[int]]) -> Tensor:
    """Lines in rows of an arm's length, packed or one line per row. Shape (B, T)."""
    layouts = {"pack": pack, "pad": pad, "bucket": pad}
    return layouts[arm.layout](lines, arm.model_config.max_length)


def scored_rows(arm: Arm, parts: int = 1) -> tuple[Tensor, Tensor]:
    """Validation rows (B, T) in an arm's layout and which subset each position is of.

    Of the first of so many `parts` of the lines. The words of one vocabulary are
    numbered as they stand in the text, so a subset has the same words in each layout.
    """
    lines = text_of(arm, "validation")
    ids_BT = rows_of(arm, lines[: len(lines) // parts])
    maskable_BT = known_only(ids_BT) if arm.masks == "known only" else ids_BT
    subset_BT = evaluation_subsets(maskable_BT)
    # Rows of similar length together are scored faster.
    order = (ids_BT != PAD).sum(1).argsort(stable=True)
    return ids_BT[order], subset_BT[order]


def training_batches(arm: Arm, seed: int) -> Iterator[Tensor]:
    """Training batches (B, T) of an arm, without end; the same for a seed."""
    length, size = arm.model_config.max_length, arm.train_config(seed).batch_size
    lines = text_of(arm, "train")
    if arm.layout == "pack" and not arm.small:
        yield from batches(join_lines(lines), length, size, seed)
    # The small text is always cut in the same places, or no block would come again.
    rows_BT = rows_of(arm, lines)
    for epoch in itertools.count():
        draw = seeded(seed, "order", epoch)
        if arm.layout == "bucket":
            yield from bucket(lines, length, size, draw)
            continue
        order = torch.randperm(len(rows_BT), generator=draw)
        for first in range(0, len(order) - size + 1, size):
            yield rows_BT[order[first : first + size]]
