"""What an arm of the lessons is: a model, its text and rows, and how it trains.

An arm differs from another in what its entry names, one factor at a time. All share the
fast recipe, but for its rate: half of the peak, and constant after the warm-up, so that
a curve can be read at any step or moment.

Shapes: B rows, T positions.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor

from helpers import ROOT
from helpers.bpe import FIRST_MERGE, BPETokenizer
from helpers.data import batches, bucket, encode_lines, join_lines, pack, pad
from helpers.masking import IGNORE, mask_subsets, mask_tokens
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.seeds import seeded
from helpers.tokenizer import MASK, PAD, UNK, WordTokenizer
from studies.lab.runs import FAST
from studies.lab.scored_text import require_wikitext

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


@cache
def arm_tokenizer(pieces: bool, vocab_size: int):
    """The tokenizer of an arm; byte pairs are learned once and kept in `runs/`."""
    corpus = require_wikitext()
    if not pieces:
        return WordTokenizer.train(corpus.train, vocab_size)
    path = ROOT / "runs" / "lessons" / f"{corpus.name}_bpe_{vocab_size}.json"
    if not path.exists():
        BPETokenizer.train(corpus.train, vocab_size - FIRST_MERGE).save(path)
    return BPETokenizer.load(path)


@cache
def arm_split(pieces: bool, vocab_size: int, split: str) -> list[list[int]]:
    """A split of the corpus as ids, line by line."""
    lines = getattr(require_wikitext(), split)
    return encode_lines(arm_tokenizer(pieces, vocab_size), lines)


@cache
def arm_text_digest(pieces: bool, vocab_size: int) -> str:
    """Which text, in which tokens: of the training and the validation split."""
    texts = [arm_split(pieces, vocab_size, s) for s in ("train", "validation")]
    return hashlib.sha256(repr(texts).encode()).hexdigest()


def arm_known_words(ids_BT: Tensor) -> Tensor:
    """The ids with words beyond the series' vocabulary as [UNK], as it sees them."""
    return ids_BT.where(ids_BT < KNOWN, UNK)


def arm_mask_hidden(ids_BT: Tensor, *how, **options) -> tuple[Tensor, Tensor]:
    """`mask_tokens` with [MASK] at each place that is masked."""
    _, labels_BT = mask_tokens(ids_BT, *how, **options)
    return ids_BT.masked_fill(labels_BT != IGNORE, MASK), labels_BT


def arm_mask_known(ids_BT: Tensor, vocab_size: int, *how, **options):
    """`mask_tokens` with the series' own words and draws; the others stay legible."""
    known_BT = arm_known_words(ids_BT)
    inputs_BT, labels_BT = mask_tokens(known_BT, KNOWN, *how, **options)
    return ids_BT.where(ids_BT >= KNOWN, inputs_BT), labels_BT


@dataclass(frozen=True)
class LessonArm:
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

    @property
    def tokenizer(self) -> WordTokenizer | BPETokenizer:
        return arm_tokenizer(self.pieces, self.model_config.vocab_size)

    def lines(self, split: str) -> list[list[int]]:
        """The lines that the arm learns from, or is scored on, as ids."""
        lines = arm_split(self.pieces, self.model_config.vocab_size, split)
        part = self.small and split == "train"
        return lines[: len(lines) // SMALL] if part else lines

    def rows(self, lines: list[list[int]]) -> Tensor:
        """Lines in rows of the arm's length, packed or one line a row. Shape (B, T)."""
        make = pack if self.layout == "pack" else pad
        return make(lines, self.model_config.max_length)

    def scored_rows(self, parts: int = 1) -> tuple[Tensor, Tensor]:
        """Validation rows (B, T) in the arm's layout and each position's subset.

        Of the first of so many `parts` of the lines. The words of one vocabulary are
        numbered as they stand in the text, so a subset has the same words in each
        layout.
        """
        lines = self.lines("validation")
        ids_BT = self.rows(lines[: len(lines) // parts])
        known = self.masks == "known only"
        subset_BT = mask_subsets(arm_known_words(ids_BT) if known else ids_BT)
        # Rows of similar length together are scored faster.
        order = (ids_BT != PAD).sum(1).argsort(stable=True)
        return ids_BT[order], subset_BT[order]

    def batches(self, seed: int) -> Iterator[Tensor]:
        """Training batches (B, T), without end; the same for a seed."""
        lines, size = self.lines("train"), self.train_config(seed).batch_size
        length = self.model_config.max_length
        if self.layout == "pack" and not self.small:
            yield from batches(join_lines(lines), length, size, seed)
        # The small text is always cut in the same places, or no block would come again.
        rows_BT = self.rows(lines)
        for epoch in itertools.count():
            draw = seeded(seed, "order", epoch)
            if self.layout == "bucket":
                yield from bucket(lines, length, size, draw)
                continue
            order = torch.randperm(len(rows_BT), generator=draw)
            for first in range(0, len(order) - size + 1, size):
                yield rows_BT[order[first : first + size]]

    def mask(self, seed: int) -> Callable:
        """How the arm masks a batch: a function with the arguments of `mask_tokens`."""
        ways = {"fresh": mask_tokens, "all hidden": arm_mask_hidden}
        ways["known only"] = arm_mask_known
        return ways.get(self.masks) or self.static_masks(seed)

    def static_masks(self, seed: int) -> Callable:
        """The same with masks that each block of the small text has for ever."""
        config, vocab_size = self.train_config(seed), self.model_config.vocab_size
        blocks_BT = self.rows(self.lines("train"))
        draw, fixed = seeded(seed, "static"), config.masks == "fixed"
        masked = mask_tokens(blocks_BT, vocab_size, config.mask_rate, draw, fixed)
        number = {tuple(block): i for i, block in enumerate(blocks_BT.tolist())}

        def mask_static(ids_BT: Tensor, *_, **__) -> tuple[Tensor, Tensor]:
            rows = [number[tuple(block)] for block in ids_BT.tolist()]
            inputs_BT, labels_BT = (table_BT[rows] for table_BT in masked)
            return inputs_BT, labels_BT

        return mask_static


BASE = LessonArm()  # from which all others differ
VOCABULARIES = {  # in which the same words are asked, by arm
    "base": "2,000 words",
    "words_5000": "5,000 words",
    "words_10000": "10,000 words",
    "pieces_2000": "2,000 byte pairs",
    "pieces_8000": "8,000 byte pairs",
}
MASK_RATES = {10: "rate_10", 15: "rate_15", 30: "base", 40: "rate_40", 50: "rate_50"}
ARMS = {
    "base": BASE,
    "words_5000": LessonArm({"vocab_size": 5_000}),
    "words_10000": LessonArm({"vocab_size": 10_000}),
    "read_10000": LessonArm({"vocab_size": 10_000}, masks="known only"),
    "pieces_2000": LessonArm(pieces=True),
    "pieces_8000": LessonArm({"vocab_size": 8_000}, pieces=True),
    "untied": LessonArm({"tied": False}),
    "untied_10000": LessonArm({"tied": False, "vocab_size": 10_000}),
}
# A row may be short, so masks are drawn independently. Rows that are filled only as far
# as needed make shorter steps, so there are more.
ARMS |= {
    f"{layout}_{length}": LessonArm(
        {"max_length": length},
        {"masks": "independent"},
        layout=layout,
        steps=STEPS + (100 * length // 64 if layout == "bucket" else 0),
    )
    for layout in ("pack", "pad", "bucket")
    for length in (64, 128)
}
ARMS |= {  # smaller models have more steps, enough for the time of the base
    "layers_1": LessonArm({"n_layers": 1}, steps=2_200),
    "layers_2": LessonArm({"n_layers": 2}, steps=1_100),
    "layers_6": LessonArm({"n_layers": 6}),
    "d_model_64": LessonArm({"d_model": 64, "d_ff": 128}, steps=1_500),
    "d_model_128": LessonArm({"d_model": 128, "d_ff": 256}, steps=1_100),
    "d_model_384": LessonArm({"d_model": 384, "d_ff": 768}),
    "heads_1": LessonArm({"n_heads": 1}, steps=600),
    "heads_4": LessonArm({"n_heads": 4}, steps=600),
    "heads_16": LessonArm({"n_heads": 16}),
    "small_fresh": LessonArm(small=True),
    "small_static": LessonArm(small=True, masks="static"),
    "small_dropout": LessonArm({"dropout": 0.1}, small=True),
}
ARMS |= {
    name: LessonArm(
        training=dict.fromkeys(("mask_rate", "last_mask_rate"), percent / 100)
    )
    for percent, name in MASK_RATES.items()
    if name != "base"
}
ARMS["all_hidden"] = LessonArm(masks="all hidden")
falling = {"learning_rate": FAST.learning_rate, "muon_rate": FAST.muon_rate}
ARMS["falling"] = LessonArm(training=falling | {"cooldown": 1 - WARM_UP / STEPS})
