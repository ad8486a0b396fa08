"""One training from corpus to record, in a folder of its own."""

import os
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from helpers import parallel, record
from helpers.checkpoint import save_model
from helpers.corpus import training_corpus
from helpers.data import TrainingData
from helpers.evaluate import unigram
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import SPECIALS, WordTokenizer
from helpers.train import train
from studies.lab.machine import hardware
from studies.lab.samples import sampled_phases, sampling


def join_experiment_processes() -> torch.device:
    """Joins the processes that `torchrun` started, if it did; returns the device."""
    cuda = torch.cuda.is_available()
    if "RANK" in os.environ and not dist.is_initialized():
        store, rank, world_size = next(dist.rendezvous("env://"))
        # After a restart torchrun's store still knows where the dead ones listened.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    if not cuda:
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cuda", torch.cuda.current_device())


def prepare_experiment(model_config: ModelConfig, seed: int, tokenizer=None) -> tuple:
    """What a run starts from: corpus, tokenizer, TrainingData, a model of that seed.

    Without a tokenizer the words of the corpus make one. A corpus with fewer words than
    the model asks for gets a model of as many. ValueError if it has no words at all.
    """
    device, corpus = join_experiment_processes(), training_corpus()
    if tokenizer is None:
        tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    if len(tokenizer) == len(SPECIALS):
        raise ValueError(f"The text of {corpus.name} has no words; take another text.")
    model_config = replace(model_config, vocab_size=len(tokenizer))
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    torch.manual_seed(seed)
    return corpus, tokenizer, data, MaskedLanguageModel(model_config).to(device)


def experiment_part(data: TrainingData, blocks: int) -> TrainingData:
    """The same data with less to score, for runs that are scored often.

    Keeps `blocks` validation blocks and an eighth as many of the training text, at
    equal distances from the first on; the distance is rounded down, so what lies behind
    the last of them is left out.
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


def best_evaluation(history: list[dict]) -> dict:
    """The evaluation of lowest validation loss."""
    return min(history, key=lambda entry: entry["validation_loss"])


def experiment_outcome(history: list, data: TrainingData, words: list) -> dict:
    """What a record tells of a training beside its settings."""
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(words))
    return {
        "unigram_loss": chance["loss"],
        "samples": sampled_phases(history, chance["loss"], data.validation_BT, words),
        "history": history,
    }


def run_experiment(folder: Path, sizes: ModelConfig, config: TrainConfig) -> dict:
    """Trains a model on the corpus at hand; returns the record.

    Leaves vocabulary, weights and record in the folder; a run that has left them is not
    made again. Under `torchrun` the first process does what follows the training; in
    the others the record is empty.
    """
    name, target = folder.name, folder / f"{folder.name}.json"
    weights = target.with_suffix(".safetensors")
    corpus, tokenizer, data, model = prepare_experiment(sizes, config.seed)
    settings = {"corpus": corpus.name, "model": model.config, "training": config}
    if target.exists():
        run = record.read_record(target)
        record.require_same_record(folder, run, settings)
        if weights.exists():
            return run
    training = train(model, data, config, folder, on_evaluation=sampling(data))
    if parallel.rank():
        return {}
    best = best_evaluation(training.history)
    run = {
        "name": name,
        "hardware": hardware() | {"processes": parallel.world_size()},
        **record.record_identity(settings),
        "number_format": str(training.dtype),
        "seed": config.seed,
        "vocab_size": len(tokenizer),
        "best_step": best["step"],
        "best_loss": best["validation_loss"],
        "best_accuracy": best["validation_accuracy"],
        **experiment_outcome(training.history, data, tokenizer.words),
    }
    tokenizer.save(folder / "vocabulary.json")
    info = {key: run[key] for key in ("name", "corpus", "seed", "best_loss")}
    save_model(weights, model, tokenizer, info)
    record.write_record(target, run)
    return run
