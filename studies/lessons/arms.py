"""The arms of the lessons: which text, which layout, which masks, which model.

One factor at a time: each arm differs from another in what its entry names. All share
the fast recipe, but for its rate: half of the peak, and constant after the warm-up, so
that a curve may be read at any step or moment. What the falling one gives is an arm.

Shapes: B rows, T positions.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from helpers import ROOT
from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.corpus import require_wikitext
from helpers.data import batches, bucket, cut, encode_lines, join, pack, pad
from helpers.masking import IGNORE, evaluation_subsets, mask_tokens
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.seeds import seeded
from helpers.settings import require, whole
from helpers.tokenizer import MASK, PAD, UNK, WordTokenizer
from studies.lab.runs import FAST

RECIPE = replace(
    FAST,
    learning_rate=FAST.learning_rate / 2,
    muon_rate=FAST.muon_rate / 2,
    cooldown=0.0,
    precision="bfloat16",
)
FALLING = {"learning_rate": FAST.learning_rate, "muon_rate": FAST.muon_rate}
STEPS, WARM_UP = 500, 40  # about one pass over the text
KNOWN = 2_000  # ids of the series' vocabulary, which larger ones begin with
SMALL = 32  # the small text is the first of so many parts
TOKENS = RECIPE.batch_size * ModelConfig().max_length  # a step


@dataclass(frozen=True)
class Arm:
    """What one configuration is made of; `steps` it is trained for.

    Tokens are words or, if `pieces`, byte pairs. `layout` is "pack", "pad" or "bucket".
    `masks` are "fresh" at each step, or "static", so that a block keeps its own; "all
    hidden" swaps no word and leaves none; with "known only" the words beyond the
    series' own are read and never asked.
    """

    model: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    pieces: bool = False
    layout: str = "pack"
    masks: str = "fresh"
    small: bool = False
    steps: int = STEPS

    def __post_init__(self):
        require(
            self,
            pieces=(True, False),
            layout=("pack", "pad", "bucket"),
            masks=("fresh", "static", "all hidden", "known only"),
            small=(True, False),
            steps=whole(1),
        )

    @property
    def model_config(self) -> ModelConfig:
        return ModelConfig(**self.model)

    def train_config(self, seed: int) -> TrainConfig:
        """The recipe of a run; `epochs` says nothing here, the arm has its steps."""
        rows = TOKENS // self.model_config.max_length
        own = {"seed": seed, "batch_size": rows, "warmup": WARM_UP / self.steps}
        return replace(RECIPE, **(own | self.training))


def rate(share: float) -> dict:
    return {"mask_rate": share, "last_mask_rate": share}


def layouts() -> dict[str, Arm]:
    """Three ways to fill rows, at two lengths; a row may be short, so draws are BERT's.

    Rows that are filled only as far as needed make shorter steps, so there are more.
    """
    return {
        f"{layout}_{length}": Arm(
            {"max_length": length},
            {"masks": "independent"},
            layout=layout,
            steps=STEPS + (100 * length // 64 if layout == "bucket" else 0),
        )
        for layout in ("pack", "pad", "bucket")
        for length in (64, 128)
    }


def small(masks: str = "fresh", **model) -> Arm:
    return Arm(model, masks=masks, small=True)


ARMS = {
    "base": Arm(),
    "words_5000": Arm({"vocab_size": 5_000}),
    "words_10000": Arm({"vocab_size": 10_000}),
    "read_10000": Arm({"vocab_size": 10_000}, masks="known only"),
    "pieces_2000": Arm(pieces=True),
    "pieces_8000": Arm({"vocab_size": 8_000}, pieces=True),
    "untied": Arm({"tied": False}),
    "untied_10000": Arm({"tied": False, "vocab_size": 10_000}),
    **layouts(),
    # Smaller models have more steps, enough for the time of the base.
    "layers_1": Arm({"n_layers": 1}, steps=2_200),
    "layers_2": Arm({"n_layers": 2}, steps=1_100),
    "layers_6": Arm({"n_layers": 6}),
    "d_model_64": Arm({"d_model": 64, "d_ff": 128}, steps=1_500),
    "d_model_128": Arm({"d_model": 128, "d_ff": 256}, steps=1_100),
    "d_model_384": Arm({"d_model": 384, "d_ff": 768}),
    "heads_1": Arm({"n_heads": 1}, steps=600),
    "heads_4": Arm({"n_heads": 4}, steps=600),
    "heads_16": Arm({"n_heads": 16}),
    "small_fresh": small(),
    "small_static": small("static"),
    "small_dropout": small(dropout=0.1),
    **{f"rate_{share}": Arm(training=rate(share / 100)) for share in (10, 15, 40, 50)},
    "all_hidden": Arm(masks="all hidden"),
    "falling": Arm(training=FALLING | {"cooldown": 1 - WARM_UP / STEPS}),
}


@cache
def tokenizer_of(pieces: bool, vocab_size: int):
    """The tokenizer of an arm, learned once and kept in `runs/`."""
    corpus = require_wikitext()
    path = ROOT / "runs" / "lessons" / f"{corpus.name}_bpe_{vocab_size}.json"
    if not pieces:
        return WordTokenizer.train(corpus.train, vocab_size)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        learned = BPETokenizer.train(corpus.train, vocab_size - FIRST_MERGE)
        learned.save(part := path.with_suffix(f".{os.getpid()}"))
        part.replace(path)  # whole, for another process that reads it
    return BPETokenizer.load(path)


@cache
def encoded(pieces: bool, vocab_size: int, split: str) -> list[list[int]]:
    lines = getattr(require_wikitext(), split)
    return encode_lines(tokenizer_of(pieces, vocab_size), lines)


def text_of(arm: Arm, split: str) -> list[list[int]]:
    """The lines that an arm learns from, or is scored on, as ids."""
    lines = encoded(arm.pieces, arm.model_config.vocab_size, split)
    return lines[: len(lines) // SMALL] if arm.small and split == "train" else lines


def known_only(ids_BT: Tensor) -> Tensor:
    """The ids with words beyond the series' vocabulary as [UNK], as it sees them."""
    return ids_BT.where(ids_BT < KNOWN, UNK)


def scored(arm: Arm, parts: int = 1) -> tuple[Tensor, Tensor]:
    """Validation rows (B, T) in an arm's layout and which subset each position is of.

    Of the first of so many `parts` of the lines. The words of one vocabulary are
    numbered as they stand in the text, so a subset has the same words in each layout.
    """
    lines, length = text_of(arm, "validation"), arm.model_config.max_length
    lines = lines[: len(lines) // parts]
    ids_BT = pack(lines, length) if arm.layout == "pack" else pad(lines, length)
    asked_BT = known_only(ids_BT) if arm.masks == "known only" else ids_BT
    subset_BT = evaluation_subsets(asked_BT)
    # Rows of similar length together are scored faster.
    order = (ids_BT != PAD).sum(1).argsort(stable=True)
    return ids_BT[order], subset_BT[order]


def source(arm: Arm, seed: int) -> Iterator[Tensor]:
    """Training batches (B, T) of an arm, without end; the same for a seed.

    ValueError if the text has less than a batch.
    """
    length, rows = arm.model_config.max_length, arm.train_config(seed).batch_size
    lines = text_of(arm, "train")
    cut_BT = cut(join(lines), length) if arm.layout == "pack" else pad(lines, length)
    if len(cut_BT) < rows:
        raise ValueError(f"The text makes {len(cut_BT)} rows, and a batch has {rows}.")
    if arm.layout == "pack" and not arm.small:
        yield from batches(join(lines), length, rows, seed)
    # The small text is always cut in the same places, or no block would come again.
    for epoch in itertools.count():
        draw = seeded(seed, "order", epoch)
        if arm.layout == "bucket":
            yield from bucket(lines, length, rows, draw)
            continue
        order = torch.randperm(len(cut_BT), generator=draw)
        for first in range(0, len(order) - rows + 1, rows):
            yield cut_BT[order[first : first + rows]]


def hide_all(ids_BT: Tensor, *how, **options) -> tuple[Tensor, Tensor]:
    """`mask_tokens` with [MASK] at each place that is asked."""
    _, labels_BT = mask_tokens(ids_BT, *how, **options)
    return ids_BT.masked_fill(labels_BT != IGNORE, MASK), labels_BT


def hide_known(ids_BT: Tensor, vocab_size: int, *how, **options):
    """`mask_tokens` with the series' own words and draws; the others stay legible."""
    inputs_BT, labels_BT = mask_tokens(known_only(ids_BT), KNOWN, *how, **options)
    return ids_BT.where(ids_BT >= KNOWN, inputs_BT), labels_BT


def hide_static(arm: Arm, seed: int) -> Callable:
    """What `mask_tokens` is to fresh masks, with those that each block has for ever.

    ValueError if an arm's blocks are not always the same.
    """
    if not arm.small or arm.layout != "pack":
        raise ValueError("Static masks need the small text in packed blocks.")
    config, vocab_size = arm.train_config(seed), arm.model_config.vocab_size
    blocks_BT = cut(join(text_of(arm, "train")), arm.model_config.max_length)
    fixed = config.masks == "fixed"
    draw = seeded(seed, "static")
    masked = mask_tokens(blocks_BT, vocab_size, config.mask_rate, draw, fixed)
    number = {tuple(block): i for i, block in enumerate(blocks_BT.tolist())}

    def hide(ids_BT: Tensor, *_, **__) -> tuple[Tensor, Tensor]:
        rows = [number[tuple(block)] for block in ids_BT.tolist()]
        inputs_BT, labels_BT = (table_BT[rows] for table_BT in masked)
        return inputs_BT, labels_BT

    return hide


def hiding(arm: Arm, seed: int) -> Callable:
    """How an arm masks a batch: a function with the arguments of `mask_tokens`."""
    if arm.masks == "static":
        return hide_static(arm, seed)
    ways = {"fresh": mask_tokens, "all hidden": hide_all, "known only": hide_known}
    return ways[arm.masks]
