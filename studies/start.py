"""What a run of a study starts from: data, tokenizer and a fresh model."""

from dataclasses import replace

import torch

from helpers.corpus import load_corpus
from helpers.evaluate import TrainingData
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer


def start(
    model_config: ModelConfig, seed: int
) -> tuple[TrainingData, WordTokenizer, MaskedLanguageModel]:
    """The corpus at hand and a model of that seed, on the device at hand."""
    corpus = load_corpus()
    tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    model_config = replace(model_config, vocab_size=len(tokenizer))  # or fewer words
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    torch.manual_seed(seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return data, tokenizer, MaskedLanguageModel(model_config).to(device)


def fewer(data: TrainingData, blocks: int) -> TrainingData:
    """The same data with less to score, for runs that are scored often.

    Keeps `blocks` validation blocks and an eighth as many of the training text, at
    equal distances.
    """

    def some(of, count: int):
        return of[:: max(1, len(of) // count)][:count]

    return replace(
        data,
        validation_BT=some(data.validation_BT, blocks),
        subset_BT=some(data.subset_BT, blocks),
        sample_BT=some(data.sample_BT, max(1, blocks // 8)),
        sample_subset_BT=some(data.sample_subset_BT, max(1, blocks // 8)),
    )
