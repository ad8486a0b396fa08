"""One training experiment from corpus to record: `python -m helpers.train --help`.

Trains on the corpus at hand and leaves weights, vocabulary and record in `runs/NAME`.
"""

import argparse
from dataclasses import fields, replace

import torch

from helpers import ROOT, parallel, record
from helpers.checkpoint import load_model, load_state, save_model
from helpers.corpus import load_corpus
from helpers.evaluate import TrainingData, unigram
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer
from helpers.train import TrainConfig, train


def prepare(model_config: ModelConfig, seed: int) -> tuple:
    """What a run starts from: corpus, tokenizer, TrainingData, a model of that seed.

    A corpus with fewer words than the model asks for gets a model of as many.
    """
    device, corpus = parallel.start(), load_corpus()
    tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    model_config = replace(model_config, vocab_size=len(tokenizer))
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    torch.manual_seed(seed)
    return corpus, tokenizer, data, MaskedLanguageModel(model_config).to(device)


def run_experiment(name: str, model_config: ModelConfig, config: TrainConfig) -> dict:
    """Trains a model on the corpus at hand, in `runs/name`; returns the record.

    Leaves there the weights, the vocabulary and the record; a run that has left its
    record is not made again. Under `torchrun` the first process does what follows the
    training; in the others the record is empty.
    """
    folder = ROOT / "runs" / name
    corpus, tokenizer, data, model = prepare(model_config, config.seed)
    settings = {"model": model.config, "training": config}
    if (folder / f"{name}.json").exists():
        found = record.read(folder / f"{name}.json")
        record.require_same(folder, found, settings | {"corpus": corpus.name})
        try:
            load_model(folder / f"{name}.safetensors", tokenizer)
            return found
        except ValueError as error:
            print(f"The record of {name} is there, but {error} It is made again.")
    history = train(model, data, config, folder)
    if parallel.part()[0]:
        return {}
    best = min(history, key=lambda entry: entry["validation_loss"])
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(tokenizer))
    result = {
        "name": name,
        "corpus": corpus.name,
        "hardware": record.hardware() | {"processes": parallel.part()[1]},
        **record.plain(settings),
        "number_format": str(load_state(folder / "state.pt")["dtype"]),
        "seed": config.seed,
        "vocab_size": len(tokenizer),
        "unigram_loss": chance["loss"],
        "best_step": best["step"],
        "best_loss": best["validation_loss"],
        "best_accuracy": best["validation_accuracy"],
        "samples": record.samples(
            history, chance["loss"], data.validation_BT, tokenizer.words
        ),
        "history": history,
    }
    tokenizer.save(folder / "vocabulary.json")
    info = {key: result[key] for key in ("name", "corpus", "seed", "best_loss")}
    save_model(folder / f"{name}.safetensors", model, tokenizer, info)
    record.write(folder / f"{name}.json", result)
    return result


def add_options(parser: argparse.ArgumentParser, *configs) -> None:
    """One option for each field of the configurations, with its default."""
    for field in (field for config in configs for field in fields(config)):
        kind = float if field.default is None else type(field.default)
        switch = {"action": argparse.BooleanOptionalAction}
        how = switch if kind is bool else {"type": kind}
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, default=field.default, **how)


def main() -> None:
    """`python -m helpers.train --name dropout --dropout 0.1`: one run, resumable."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.train",
        description="Train a masked language model on WikiText-2. Results land in "
        "runs/NAME; the same command goes on where a run of that name was interrupted. "
        "Several GPUs, or several processes on CPUs: torchrun --nproc_per_node=N -m "
        "helpers.train, with the same options and the same curve.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="folder under runs/")
    add_options(parser, ModelConfig, TrainConfig)
    given = vars(parser.parse_args())
    name, configs = given["name"], []
    for kind in (ModelConfig, TrainConfig):
        configs.append(kind(**{f.name: given[f.name] for f in fields(kind)}))
    result = run_experiment(name, *configs)
    if result:  # else another process has it
        print(
            f"{name}: best at step {result['best_step']} with a validation loss of "
            f"{result['best_loss']:.3f} nats, {result['best_accuracy']:.1%} right, on "
            f"a seventh of the words; weights and record are in runs/{name}"
        )
