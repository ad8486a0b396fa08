"""The models in weights/: how they are chosen among the runs of a study.

The studies of attention ask these models, and the notebooks read them.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from matplotlib.figure import Figure

from helpers import ROOT
from helpers.bpe import BPETokenizer
from helpers.checkpoint import byte_pairs_path, load_model, save_model
from helpers.corpus import REVISION
from helpers.data import bucket, encode_lines, pack, pad, wasted_share
from helpers.figure import training_curves
from helpers.model import ModelConfig
from helpers.record import read_record, write_record
from helpers.seeds import seeded
from helpers.tokenizer import WordTokenizer
from studies.lab.experiment import best_evaluation
from studies.lab.runs import FAST, RECORDS
from studies.lab.scored_text import require_wikitext
from studies.lab.study import StudyResults

SHIPPED = {"none": "no_dropout", "all": "dropout"}  # arm and name in weights/


def load_models(paths: dict[str, Path]) -> tuple:
    """Models by name, in eval mode; their tokenizer; the text that they are of.

    And, for a record, which text and which weights these are. ValueError if the text at
    hand is not the one that the models were trained on.
    """
    loaded = {name: load_model(path) for name, path in paths.items()}
    _, tokenizer, info = next(iter(loaded.values()))
    corpus = require_wikitext()
    if corpus.name != info["corpus"]:
        raise ValueError(f"The weights are of {info['corpus']}, not {corpus.name}.")
    digests = {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in paths.items()}
    text = {"name": corpus.name, "revision": REVISION, "split": "validation"}
    models = {name: model for name, (model, *_) in loaded.items()}
    return models, tokenizer, corpus, {"corpus": text, "weights": digests}


def shipped_models(*names: str) -> tuple:
    """What `load_models` returns of models in weights/."""
    return load_models({n: ROOT / "weights" / f"{n}.safetensors" for n in names})


def shipped_runs() -> list[dict]:
    """The records of the shipped models."""
    return [read_record(RECORDS / f"{name}.json") for name in SHIPPED.values()]


def shipped_figure() -> Figure:
    """The training curves of the models in weights/."""
    return training_curves(shipped_runs())


def shipped_median_run(runs: Iterable[dict], loss: Callable[[dict], float]) -> dict:
    """The run of median loss; of the two in the middle, the lower one."""
    ranked = sorted(runs, key=loss)
    return ranked[(len(ranked) - 1) // 2]


def ship_best_weights(results: StudyResults, arm: str, name: str, tokenizer) -> dict:
    """Copies the best weights of an arm's seed of median loss to weights/.

    Byte pairs are saved beside them. Returns the record of the run. ValueError if
    there are no runs of the arm.
    """
    if not (runs := results.runs.get(arm)):
        raise ValueError(f"There are no runs of {arm}; make one first.")
    run = shipped_median_run(runs.values(), results.study.readings["loss"])
    weights, best = ROOT / "weights" / name, results.study.states / run["name"]
    model, _, info = load_model(best / "best.safetensors", tokenizer)
    info |= {"name": name, "run": run["name"]}
    save_model(weights.with_suffix(".safetensors"), model, tokenizer, info)
    if isinstance(tokenizer, BPETokenizer):
        tokenizer.save(byte_pairs_path(weights))
    return run


def ship_models(results: StudyResults) -> None:
    """Copies weights and records of two arms to where notebooks read them.

    A record also tells the share of [PAD] in each way to make rows of the text.
    """
    corpus, length = require_wikitext(), ModelConfig().max_length
    tokenizer = WordTokenizer.train(corpus.train, ModelConfig().vocab_size)
    tokenizer.save(ROOT / "weights" / "vocabulary.json")
    ids = encode_lines(tokenizer, corpus.train)
    buckets = bucket(ids, length, FAST.batch_size, seeded(0))
    ways = {"pad": pad(ids, length), "bucket": buckets, "pack": pack(ids, length)}
    wasted = {way: wasted_share(rows) for way, rows in ways.items()}
    text = {"corpus": corpus.name, "vocab_size": len(tokenizer), "wasted": wasted}
    for arm, name in SHIPPED.items():
        run = ship_best_weights(results, arm, name, tokenizer)
        best, ways = run.pop("best"), {"packed": "validation", "sentences": "sentences"}
        told = {"name": name, "run": run["name"]} | text
        told["best_step"] = best_evaluation(run["history"])["step"]
        told["validation"] = {way: best[part] for way, part in ways.items()}
        told["test"] = {"packed": best["test"]}
        write_record(RECORDS / f"{name}.json", run | told)
