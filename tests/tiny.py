"""Models, texts and trainings that take milliseconds, and what stops them."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import torch

from helpers.corpus import Corpus, load_toy_corpus
from helpers.data import TrainingData, batches
from helpers.masking import mask_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import SPECIALS, WordTokenizer

CONFIG = TrainConfig(
    epochs=4, batch_size=4, evaluations=4, patience=99, precision="float32"
)  # 24 steps over `random_data`


def knowing(words: Iterable[str]) -> WordTokenizer:
    """A tokenizer that knows these words and the special tokens."""
    return WordTokenizer([*SPECIALS, *words])


@torch.no_grad()
def scattered(model: torch.nn.Module, scale: float) -> torch.nn.Module:
    """The model, every parameter moved away from its start."""
    for weight in model.parameters():
        weight.add_(scale * torch.randn_like(weight))
    return model


def tiny_model(vocab_size: int, seed: int = 0, n_heads: int = 2) -> MaskedLanguageModel:
    """Two layers of 16 numbers, far enough from the start to tell words apart."""
    torch.manual_seed(seed)
    sizes = {"max_length": 32, "n_layers": 2, "d_model": 16, "n_heads": n_heads}
    model = MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **sizes)).eval()
    return scattered(model, 0.3)


def fresh_model(**choices) -> MaskedLanguageModel:
    """One layer of eight numbers for `random_data`, always the same at first."""
    torch.manual_seed(0)
    sizes = dict(vocab_size=12, max_length=8, n_layers=1, d_model=8, n_heads=2, d_ff=8)
    return MaskedLanguageModel(ModelConfig(**(sizes | choices)))


def random_data(seed: int = 0) -> TrainingData:
    """24 blocks of seven random words among twelve ids, to train on and to score."""
    draw = torch.Generator().manual_seed(seed)
    stream = torch.randint(len(SPECIALS), 12, (7 * 4 * 6,), generator=draw)
    return scored_on(stream, stream[:32].view(4, 8))


def scored_on(stream: torch.Tensor, ids_BT: torch.Tensor) -> TrainingData:
    """Data whose validation text and whose sample are the same blocks."""
    subset_BT = mask_subsets(ids_BT)
    return TrainingData(stream, ids_BT, subset_BT, ids_BT, subset_BT)


def without_clock(history: list[dict]) -> list[dict]:
    """A history without the seconds, in which no two runs agree."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def same_weights(one, other) -> bool:
    """Whether two models have the same weights, bit by bit."""
    mine, theirs = one.state_dict(), other.state_dict()
    return all(torch.equal(weight, theirs[name]) for name, weight in mine.items())


def acting(act, data: TrainingData, length=8, config=CONFIG):
    """A `source` for `train` that calls `act` with each step before its batch."""

    def source(start):
        made = batches(data.stream, length, config.batch_size, config.seed, start)
        for step, ids_BT in enumerate(made, start):
            act(step)
            yield ids_BT

    return source


class Interruption(Exception):
    """A training is left at once, as if its process had ended."""


def at_call(number: int, act, function):
    """The function, with `act()` before its call of this number; the first is 1."""
    calls = itertools.count(1)

    def counted(*arguments, **options):
        if next(calls) == number:
            act()
        return function(*arguments, **options)

    return counted


@cache
def few_lines() -> Corpus:
    """The first lines of the toy corpus, enough for some steps."""
    whole = load_toy_corpus()
    counts = {"train": 300, "validation": 40, "test": 40}
    return replace(whole, **{k: getattr(whole, k)[:n] for k, n in counts.items()})
