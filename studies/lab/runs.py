"""Runs and their records: made once, trusted only if they are what they should be."""

import hashlib
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from helpers import ROOT
from helpers.checkpoint import load_model
from helpers.corpus import REVISION
from helpers.data import TrainingData, pad
from helpers.evaluate import evaluate
from helpers.optimize import TrainConfig
from helpers.record import (
    read_record,
    record_identity,
    require_same_record,
    write_record,
)
from studies.lab.machine import hardware
from studies.lab.wikitext import require_wikitext

# The fast recipe: Muon for the matrices, and twice as many words masked.
FAST = TrainConfig(
    optimizer="muon", learning_rate=4e-3, mask_rate=0.3, last_mask_rate=0.3
)


def shipped_models(*names: str) -> tuple:
    """Shipped models by name, in eval mode; their tokenizer; the text they are of.

    And, for a record, which text and which weights these are. ValueError if the text at
    hand is not the one that the models were trained on.
    """
    paths = {name: ROOT / "weights" / f"{name}.safetensors" for name in names}
    loaded = {name: load_model(path) for name, path in paths.items()}
    _, tokenizer, info = loaded[names[0]]
    corpus = require_wikitext()
    if corpus.name != info["corpus"]:
        raise ValueError(f"The weights are of {info['corpus']}, not {corpus.name}.")
    digests = {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in paths.items()
    }
    text = {"name": corpus.name, "revision": REVISION, "split": "validation"}
    models = {name: model for name, (model, *_) in loaded.items()}
    return models, tokenizer, corpus, {"corpus": text, "weights": digests}


def require_run(path: Path, run: dict, identity: dict, free=()) -> None:
    """ValueError if a file holds another run; settings in `free` may differ."""
    advice = "The arm or the record was changed; restore it as it was."
    require_same_record(path, run, identity, free, advice)


def read_run(path: Path, identity: dict, free=()) -> dict | None:
    """The record of a run, if there is one; ValueError if it is of another run.

    Settings in `free` may be other ones.
    """
    if not path.exists():
        return None
    run = read_record(path)
    require_run(path, run, identity, free)
    return run


def by_seed(folder: Path, name: str) -> dict[int, Path]:
    """The records of an arm by seed; `name`, that of its runs, has {seed} in it."""
    named = re.compile(name.format(seed="([0-9]+)"))
    found = ((named.fullmatch(path.stem), path) for path in folder.glob("*.json"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def recorded(
    path: Path, identity: dict, read: Callable, make: Callable, *arguments
) -> dict:
    """A run's record as `read` returns it; made by `make(*arguments)` if it is missing.

    What is made is written with the run's name, its identity and the hardware.
    """
    if run := read(path, identity):
        return run
    try:
        made = make(*arguments)
    except FloatingPointError as error:
        raise FloatingPointError(f"{path.stem}: {error}") from None
    head = {"name": path.stem, "hardware": hardware()}
    write_record(path, head | record_identity(identity) | made)
    return read(path, identity)


def run_all(jobs: list[tuple], processes: int = 1) -> None:
    """Calls `recorded` with the arguments of each job, so many processes at a time.

    Where one fails, or Ctrl-C is pressed, those under way end without a record.
    """
    if processes == 1:
        for path, *arguments in jobs:
            print(path.stem, flush=True)
            recorded(path, *arguments)
        return
    threads = max(1, torch.get_num_threads() // processes)
    # Spawned, since threads of PyTorch do not survive a fork.
    how = multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,)
    pool = ProcessPoolExecutor(processes, *how)
    try:
        names = {pool.submit(recorded, *job): job[0].stem for job in jobs}
        for done, finished in enumerate(as_completed(names), 1):
            finished.result()
            print(f"{done} of {len(jobs)}: {names[finished]}", flush=True)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def placed_sentences(
    lines: list[str], shortest: int, longest: int
) -> list[tuple[int, list[str]]]:
    """Sentences of running text, cut at . ! ?, of `shortest` to `longest` words.

    Each has its place, that of its first word in what helpers.data.join_lines makes of
    the lines.
    """
    placed, start = [], 0
    for line in lines:
        words, first = line.split(), 0
        for end, word in enumerate(words, 1):
            if word in (".", "!", "?"):
                if shortest <= end - first <= longest and not line.startswith("="):
                    placed.append((start + first, words[first:end]))
                first = end
        start += len(words) + 1  # [SEP]
    return placed


def lone_sentences(lines: list[str], shortest: int, longest: int) -> list[list[str]]:
    """The words of the same sentences, without their places."""
    return [words for _, words in placed_sentences(lines, shortest, longest)]


def lone_rows(tokenizer, lines: list[str], length: int) -> tuple[Tensor, Tensor]:
    """Sentences of 5 to 40 words, each by itself in a row, as one types them. (B, T).

    And the places of their tokens. From short to long, since batches of similar length
    are scored faster.
    """
    placed = sorted(placed_sentences(lines, 5, 40), key=lambda pair: len(pair[1]))
    ids_BT = pad([tokenizer.encode(words) for _, words in placed], length)
    start_B = torch.tensor([place for place, _ in placed])
    return ids_BT, start_B[:, None] + torch.arange(-1, length - 1)


def score(model, ids_BT: Tensor, subset_BT: Tensor, subsets=range(7)) -> dict:
    """Loss and accuracy with every word of these subsets predicted once."""
    result = evaluate(model, ids_BT, subset_BT, subsets=subsets)
    return {key: result[key] for key in ("loss", "accuracy", "words")}


def subsample(data: TrainingData, blocks: int) -> TrainingData:
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
