"""One training from corpus to record, in a folder of its own."""

from dataclasses import replace
from pathlib import Path

import torch

from helpers import parallel
from helpers.checkpoint import save_model
from helpers.corpus import training_corpus
from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import (
    read_record,
    record_identity,
    require_same_record,
    write_record,
)
from helpers.tokenizer import SPECIALS, WordTokenizer
from helpers.train import train
from studies.lab.machine import hardware
from studies.lab.samples import probing, samples


def prepare(model_config: ModelConfig, seed: int) -> tuple:
    """What a run starts from: corpus, tokenizer, TrainingData, a model of that seed.

    A corpus with fewer words than the model asks for gets a model of as many.
    ValueError if it has no words at all.
    """
    device, corpus = parallel.join_processes(), training_corpus()
    tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    if len(tokenizer) == len(SPECIALS):
        raise ValueError(f"The text of {corpus.name} has no words; take another text.")
    model_config = replace(model_config, vocab_size=len(tokenizer))
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    torch.manual_seed(seed)
    return corpus, tokenizer, data, MaskedLanguageModel(model_config).to(device)


def outcome(history: list[dict], data: TrainingData, words: list[str]) -> dict:
    """What a record tells of a training beside its settings."""
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(words))
    return {
        "unigram_loss": chance["loss"],
        "samples": samples(history, chance["loss"], data.validation_BT, words),
        "history": history,
    }


def run_experiment(
    folder: Path, model_config: ModelConfig, config: TrainConfig
) -> dict:
    """Trains a model on the corpus at hand; returns the record.

    Leaves vocabulary, weights and record in the folder; a run that has left them is not
    made again. Under `torchrun` the first process does what follows the training; in
    the others the record is empty.
    """
    name, target = folder.name, folder / f"{folder.name}.json"
    weights = target.with_suffix(".safetensors")
    corpus, tokenizer, data, model = prepare(model_config, config.seed)
    settings = {"corpus": corpus.name, "model": model.config, "training": config}
    if target.exists():
        run = read_record(target)
        require_same_record(folder, run, settings)
        if weights.exists():
            return run
    training = train(model, data, config, folder, on_evaluation=probing(data))
    if parallel.rank():
        return {}
    best = min(training.history, key=lambda entry: entry["validation_loss"])
    run = {
        "name": name,
        "hardware": hardware() | {"processes": parallel.world_size()},
        **record_identity(settings),
        "number_format": str(training.dtype),
        "seed": config.seed,
        "vocab_size": len(tokenizer),
        "best_step": best["step"],
        "best_loss": best["validation_loss"],
        "best_accuracy": best["validation_accuracy"],
        **outcome(training.history, data, tokenizer.words),
    }
    tokenizer.save(folder / "vocabulary.json")
    info = {key: run[key] for key in ("name", "corpus", "seed", "best_loss")}
    save_model(weights, model, tokenizer, info)
    write_record(target, run)
    return run
