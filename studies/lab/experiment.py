"""One training experiment from corpus to record: `python -m studies.train --help`.

Trains on the corpus at hand and leaves weights, vocabulary and record in `runs/NAME`.
"""

import argparse
import re
from dataclasses import replace
from pathlib import Path

import torch

from helpers import ROOT, parallel, record
from helpers.checkpoint import load_model, load_state, save_model
from helpers.corpus import training_corpus
from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig, memory_advice
from helpers.settings import SettingError
from helpers.tokenizer import SPECIALS, WordTokenizer
from helpers.train import train
from studies.lab.command import Parser
from studies.lab.samples import samples

NAME = re.compile(r"(?!(?i:vocabulary)$)[A-Za-z0-9_-][A-Za-z0-9_.-]{,99}")

INFO = "name", "corpus", "seed", "best_loss"  # what the weights know of their run


def run_folder(name: str) -> Path:
    """Where a run of that name lies. SettingError unless it names a single folder."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        wanted = "up to 100 of A-Z, a-z, 0-9, '_', '-' and '.', the first not a '.'"
        wanted += ", and not 'vocabulary', which is a file's name there"
        raise SettingError("name", name, wanted)
    return ROOT / "runs" / name


def prepare(model_config: ModelConfig, seed: int) -> tuple:
    """What a run starts from: corpus, tokenizer, TrainingData, a model of that seed.

    A corpus with fewer words than the model asks for gets a model of as many.
    """
    device, corpus = parallel.start(), training_corpus()
    tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    if len(tokenizer) == len(SPECIALS):
        raise ValueError(f"The text of {corpus.name} has no words; take another text.")
    model_config = replace(model_config, vocab_size=len(tokenizer))
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    torch.manual_seed(seed)
    return corpus, tokenizer, data, MaskedLanguageModel(model_config).to(device)


def require_results(folder: Path, found: dict, tokenizer: WordTokenizer) -> None:
    """Raises ValueError unless a record is whole and stands beside its own results."""
    if missing := {"history", "best_step", "best_accuracy", *INFO} - found.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}.")
    path = folder / f"{found['name']}.safetensors"
    _, kept, info = load_model(path)
    own = {key: found[key] for key in INFO}
    if info != own or kept.words != tokenizer.words:
        raise ValueError(f"{path} or its vocabulary is of another run.")


def run_experiment(name: str, model_config: ModelConfig, config: TrainConfig) -> dict:
    """Trains a model on the corpus at hand, in `runs/name`; returns the record.

    Leaves there the weights, the vocabulary and the record; a run that has left its
    record is not made again. Under `torchrun` the first process does what follows the
    training; in the others the record is empty.
    """
    folder = run_folder(name)
    corpus, tokenizer, data, model = prepare(model_config, config.seed)
    settings = {"corpus": corpus.name, "model": model.config, "training": config}
    if (folder / f"{name}.json").exists():
        found = record.read(folder / f"{name}.json")
        record.require_same(folder, found, settings)
        try:
            require_results(folder, found | {"name": name}, tokenizer)
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
        "hardware": record.hardware() | {"processes": parallel.part()[1]},
        **record.plain(settings),
        "number_format": str(load_state(folder / "state.pt")["dtype"]),
        "seed": config.seed,
        "vocab_size": len(tokenizer),
        "unigram_loss": chance["loss"],
        "best_step": best["step"],
        "best_loss": best["validation_loss"],
        "best_accuracy": best["validation_accuracy"],
        "samples": samples(
            history, chance["loss"], data.validation_BT, tokenizer.words
        ),
        "history": history,
    }
    tokenizer.save(folder / "vocabulary.json")
    info = {key: result[key] for key in INFO}
    save_model(folder / f"{name}.safetensors", model, tokenizer, info)
    record.write(folder / f"{name}.json", result)
    return result


def main(arguments: list[str] | None = None) -> None:
    """`python -m studies.train --name dropout --dropout 0.1`: one run, resumable."""
    parser = Parser(
        prog="python -m studies.train",
        description="Train a masked language model on WikiText-2. Results land in "
        "runs/NAME; the same command goes on where a run of that name was interrupted. "
        "Several GPUs, or several processes on CPUs: torchrun --nproc_per_node=N -m "
        "helpers.train, with the same options and the same curve.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="folder under runs/")
    parser.add_configurations(ModelConfig, TrainConfig)
    given = parser.parse_args(arguments)
    with parser.named():
        run_folder(given.name)
    configs = [parser.build(kind, given) for kind in (ModelConfig, TrainConfig)]
    advice = memory_advice(given.batch_size)
    with parser.one_sentence(), parser.named(), parallel.one_of_many(), advice:
        result = run_experiment(given.name, *configs)
    if result:  # else another process has it
        print(
            f"{given.name}: best at step {result['best_step']} with a validation loss "
            f"of {result['best_loss']:.3f} nats, {result['best_accuracy']:.1%} right, "
            f"on a seventh of the words; weights and record are in runs/{given.name}"
        )
