"""One training experiment from corpus to record: `python -m helpers.train --help`.

Trains on the corpus at hand, scores the best weights on every validation and test word,
and leaves weights, vocabulary and record in `runs/NAME`.
"""

import argparse
import shutil
import time
from dataclasses import asdict

import torch

from helpers import ROOT, record
from helpers.checkpoint import save_model
from helpers.corpus import load_corpus
from helpers.data import bucket, encode_lines, lone_sentences, pack, pad, wasted_share
from helpers.evaluate import TrainingData, evaluate, unigram
from helpers.figure import DPI
from helpers.masking import evaluation_subsets
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer
from helpers.train import TrainConfig, train
from helpers.viz import training_curves, true_vs_pred

SHIPPED = "no_dropout", "dropout"


def final_scores(model, tokenizer, lines: list[str]) -> dict:
    """Every eligible word of a split predicted once, in packed blocks and alone.

    Alone: sentences of 5 to 40 words, each by itself, as one types them.
    """
    length = model.config.max_length
    layouts = {
        "packed": pack(encode_lines(tokenizer, lines), length),
        "sentences": pad(encode_lines(tokenizer, lone_sentences(lines)), length),
    }
    scores = {}
    for name, ids_BT in layouts.items():
        score = evaluate(model, ids_BT, evaluation_subsets(ids_BT), subsets=range(7))
        scores[name] = {key: score[key] for key in ("loss", "accuracy", "words")}
    return scores


def wasted_shares(lines: list[list[int]], length: int, batch_size: int) -> dict:
    """Share of [PAD] for each way to make batches of encoded lines."""
    draw = torch.Generator().manual_seed(0)
    return {
        "pad": wasted_share(pad(lines, length)),
        "bucket": wasted_share(bucket(lines, length, batch_size, draw)),
        "pack": wasted_share(pack(lines, length)),
    }


def run_experiment(name: str, model_config: ModelConfig, config: TrainConfig) -> dict:
    """Trains a model on the corpus at hand, in `runs/name`; returns the record.

    Leaves there the weights, the vocabulary and the record.
    """
    run, corpus = ROOT / "runs" / name, load_corpus()
    tokenizer = WordTokenizer.train(corpus.train, model_config.vocab_size)
    data = TrainingData.prepare(tokenizer, corpus, model_config.max_length)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(config.seed)
    model = MaskedLanguageModel(model_config).to(device)
    start = time.perf_counter()
    history = train(model, data, config, run)
    seconds = time.perf_counter() - start
    chance = unigram(data.stream, data.validation_BT, data.subset_BT, len(tokenizer))
    best = min(history, key=lambda entry: entry["validation_loss"])
    result = {
        "name": name,
        "corpus": corpus.name,
        "hardware": record.hardware(),
        "model": asdict(model_config),
        "training": asdict(config),
        "seed": config.seed,
        "masks": "independent draws, 80/10/10, share of the eligible tokens",
        "seconds_since_last_start": round(seconds),
        "vocab_size": len(tokenizer),
        "wasted": wasted_shares(
            encode_lines(tokenizer, corpus.train),
            model_config.max_length,
            config.batch_size,
        ),
        "unigram_loss": chance["loss"],
        "unigram_accuracy": chance["accuracy"],
        "best_step": best["step"],
        "validation": final_scores(model, tokenizer, corpus.validation),
        "test": final_scores(model, tokenizer, corpus.test),
        "samples": record.samples(
            history, chance["loss"], data.validation_BT, tokenizer.words
        ),
        "history": history,
    }
    tokenizer.save(run / "vocabulary.json")
    info = {key: result[key] for key in ("name", "corpus", "seed", "validation")}
    save_model(run / f"{name}.safetensors", model, tokenizer, info)
    record.write(run / f"{name}.json", result)
    return result


def ship(name: str) -> None:
    """Copies what a run left to where the notebooks read it."""
    run = ROOT / "runs" / name
    for source, target in (
        (f"{name}.safetensors", "weights"),
        ("vocabulary.json", "weights"),
        (f"{name}.json", "plots/records"),
    ):
        shutil.copy(run / source, ROOT / target / source)
    draw_records()


def draw_records() -> None:
    """Redraws the figures of plots/ from the two shipped records."""
    folder = ROOT / "plots"
    records = [record.read(folder / "records" / f"{name}.json") for name in SHIPPED]
    curves, table = training_curves(records), true_vs_pred(records[1])
    curves.savefig(folder / "dropout_comparison_subplots.png", dpi=DPI)
    table.savefig(folder / "true_vs_pred.png", dpi=DPI)


def main() -> None:
    """`python -m helpers.train --name dropout --dropout 0.1`: one run, resumable."""
    parser = argparse.ArgumentParser(
        description="Train the series' model on WikiText-2; go on where a run of the "
        "same name stopped. Results land in runs/NAME."
    )
    parser.add_argument("--name", required=True, help="folder under runs/")
    parser.add_argument("--dropout", type=float, default=0.0, help="at BERT's sites")
    parser.add_argument(
        "--ship", action="store_true", help="copy the results to weights/ and plots/"
    )
    for field, default in asdict(TrainConfig()).items():
        option = "--" + field.replace("_", "-")
        parser.add_argument(option, type=type(default), default=default)
    given = vars(parser.parse_args())
    name, dropout, shipped = (given.pop(k) for k in ("name", "dropout", "ship"))
    result = run_experiment(name, ModelConfig(dropout=dropout), TrainConfig(**given))
    if shipped:
        ship(name)
    score = result["validation"]["packed"]
    print(
        f"{name}: best at step {result['best_step']}, validation loss "
        f"{score['loss']:.3f} nats, accuracy {score['accuracy']:.1%}, in runs/{name}"
    )
