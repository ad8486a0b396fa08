"""The models in weights/: how they are chosen among the runs of a study.

The studies of attention ask two of these models, and the notebooks read them.
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
from helpers.record import read_record, write_record
from helpers.seeds import seeded
from helpers.tokenizer import WordTokenizer
from studies.lab.experiment import best_evaluation
from studies.lab.runs import FAST, RECORDS
from studies.lab.scored_text import require_wikitext
from studies.lab.study import StudyResults

# Arms of the fifty epochs, and their names in weights/.
SHIPPED = {"none": "no_dropout", "all": "dropout", "longer": "longer"}


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


def shipped_figure() -> Figure:
    """The training curves of the models without and with dropout in weights/."""
    paths = (RECORDS / f"{name}.json" for name in ("no_dropout", "dropout"))
    return training_curves([*map(read_record, paths)])


def shipped_median_run(runs: Iterable[dict], loss: Callable[[dict], float]) -> dict:
    """The run of median loss; of the two in the middle, the lower one."""
    ranked = sorted(runs, key=loss)
    return ranked[(len(ranked) - 1) // 2]


def shipped_weights(results: StudyResults, arm: str, tokenizer) -> tuple:
    """Of an arm's seed of median loss the record, the best weights and their info.

    Only the seeds that the study names count, not those that were added later.
    ValueError if there are no such runs of the arm, or no weights of that run.
    """
    runs = results.runs.get(arm, {})
    if not (named := [runs[seed] for seed in results.study.seeds if seed in runs]):
        seeds = ", ".join(map(str, results.study.seeds))
        raise ValueError(f"There are no runs of {arm} with seed {seeds}; make one.")
    run = shipped_median_run(named, results.study.readings["loss"])
    path = results.study.states / run["name"] / "best.safetensors"
    model, _, info = load_model(path, tokenizer)
    return run, model, info | {"run": run["name"]}


def ship_weights(name: str, model, tokenizer, info: dict) -> None:
    """Writes a model to weights/; byte pairs are saved beside it."""
    weights = ROOT / "weights" / f"{name}.safetensors"
    save_model(weights, model, tokenizer, info | {"name": name})
    if isinstance(tokenizer, BPETokenizer):
        tokenizer.save(byte_pairs_path(weights))


def ship_models(results: StudyResults, arms: Iterable[str]) -> None:
    """Copies weights and records of arms in `SHIPPED` to where notebooks read them.

    A record also tells the share of [PAD] in each way to make rows of the text.
    ValueError, before anything is written, if runs or weights are missing.
    """
    corpus, sizes = require_wikitext(), results.study.arms["none"].model
    tokenizer = WordTokenizer.train(corpus.train, sizes.vocab_size)
    found = {SHIPPED[arm]: shipped_weights(results, arm, tokenizer) for arm in arms}
    ids, length = encode_lines(tokenizer, corpus.train), sizes.max_length
    buckets = bucket(ids, length, FAST.batch_size, seeded(0))
    ways = {"pad": pad(ids, length), "bucket": buckets, "pack": pack(ids, length)}
    wasted = {way: wasted_share(rows) for way, rows in ways.items()}
    text = {"corpus": corpus.name, "vocab_size": len(tokenizer), "wasted": wasted}
    tokenizer.save(ROOT / "weights" / "vocabulary.json")
    for name, (run, model, info) in found.items():
        ship_weights(name, model, tokenizer, info)
        best, told = run["best"], text | {"name": name, "run": run["name"]}
        told["best_step"] = best_evaluation(run["history"])["step"]
        told["test"] = {"packed": best["test"]}
        ways = {"packed": best["validation"], "sentences": best["sentences"]}
        kept = {k: v for k, v in run.items() if k not in ("best", "last")}
        write_record(RECORDS / f"{name}.json", kept | told | {"validation": ways})
