"""A model and a text that take milliseconds."""

from dataclasses import replace
from functools import cache

import torch

from helpers.corpus import Corpus, toy_corpus
from helpers.data import TrainingData
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import SPECIALS


def tiny_model(vocab_size: int, seed: int = 0, n_heads: int = 2) -> MaskedLanguageModel:
    """Two layers of 16 numbers, far enough from the start to tell words apart."""
    torch.manual_seed(seed)
    sizes = {"max_length": 32, "n_layers": 2, "d_model": 16, "n_heads": n_heads}
    model = MaskedLanguageModel(ModelConfig(vocab_size=vocab_size, **sizes)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn_like(weight))
    return model


def random_data() -> TrainingData:
    """24 blocks of seven random words among twelve ids, to train on and to score."""
    draw = torch.Generator().manual_seed(0)
    stream = torch.randint(len(SPECIALS), 12, (7 * 4 * 6,), generator=draw)
    ids = stream[:32].view(4, 8)
    subset = evaluation_subsets(ids)
    return TrainingData(stream, ids, subset, ids, subset)


@cache
def few_lines() -> Corpus:
    """The first lines of the toy corpus, enough for some steps."""
    whole = toy_corpus()
    counts = {"train": 300, "validation": 40, "test": 40}
    return replace(whole, **{k: getattr(whole, k)[:n] for k, n in counts.items()})
