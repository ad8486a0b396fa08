"""Kills trainings at random moments, and compares how they end with an unbroken one.

`python -m studies.resume` trains a tiny model on the toy corpus, ends it by SIGKILL,
which no program can answer, and starts it again from the state on the disk. Each
attempt is a fork of this process, so that PyTorch is imported once; hence not for
Windows. Left out: a failure of the power, which may also lose what was written.
"""

import contextlib
import hashlib
import io
import itertools
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch
import torch._dynamo  # every optimiser wants it: once here, not in each attempt
from tqdm.auto import tqdm

from helpers.corpus import load_corpus
from helpers.data import TrainingData
from helpers.interrupt import delay_interrupt
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, write_record
from helpers.resume import load_state
from helpers.tokenizer import WordTokenizer
from helpers.train import train
from studies.lab.machine import hardware
from studies.lab.runs import RECORDS
from studies.lab.study import Measurement

RESULT = "result.json"  # of an attempt that came to its end
LENGTH = 32
KILLS, SEED = 100, 0  # in all runs together; of their moments
SAVE_SECONDS = 0.02  # so that many of the kills meet a state half written
LONGEST = 1 / 3  # of an unbroken run: the longest time until a kill
# Rates so high that the validation loss rises again: the best weights, which the state
# holds besides, are not the last ones, and early stopping ends the run.
CONFIG = TrainConfig(
    epochs=0.5,
    batch_size=32,
    optimizer="muon",
    learning_rate=0.02,
    muon_rate=0.2,
    cooldown=0.0,
    evaluations=16,
    patience=5,
    precision="float32",
)


def resume_material() -> tuple[TrainingData, ModelConfig]:
    """The toy corpus as tensors, and a model of its size."""
    corpus = load_corpus("toy")
    tokenizer = WordTokenizer.train(corpus.train)
    data = TrainingData.prepare(tokenizer, corpus, LENGTH, sample=32)
    sizes = dict(n_layers=1, d_model=16, n_heads=2, d_ff=32, dropout=0.1)
    return data, ModelConfig(vocab_size=len(tokenizer), max_length=LENGTH, **sizes)


def resume_attempt(folder: Path, data: TrainingData, sizes: ModelConfig) -> None:
    """Trains until the end, or until it is killed, and leaves its result.

    Its digest is that of all weights and of the history without its seconds.
    """
    torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"
    torch.manual_seed(0)
    model = MaskedLanguageModel(sizes)
    run = train(model, data, CONFIG, folder, SAVE_SECONDS)
    untimed = [{k: v for k, v in e.items() if k != "seconds"} for e in run.history]
    digest = hashlib.sha256(json.dumps(untimed).encode())
    for name, weight in model.state_dict().items():
        digest.update(name.encode() + weight.numpy().tobytes())
    ended = {"digest": digest.hexdigest(), "steps": run.step}
    write_record(folder / RESULT, ended | {"best_step": run.stopping.step})


def kill_attempt(folder: Path, material: tuple, seconds: float | None = None) -> bool:
    """Makes one attempt and kills it after so many seconds; False if it had ended."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=resume_attempt, args=(folder, *material))
    try:
        with delay_interrupt():  # for ever in the fork, which this process is to end
            process.start()
        process.join(seconds)
    finally:
        process.kill()
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError("The training failed by itself; see above.")
    return process.exitcode != 0


def kill_and_resume(folder: Path, material: tuple, moments: Iterable[float]) -> list:
    """Makes one training, killed after each of the moments until it ends.

    Returns what each kill left in the folder, and what a restart makes of that.
    """
    kills, path, parts = [], folder / "state.pt", set()
    for seconds in itertools.chain(moments, [None]):
        if not kill_attempt(folder, material, seconds):
            break
        earlier, said = parts, io.StringIO()
        parts = {(part, part.stat().st_mtime_ns) for part in folder.glob("*.part")}
        with contextlib.redirect_stdout(said):
            step = load_state(path).get("step", 0)
        writing = bool(parts - earlier)
        gone = path.with_suffix(".old").exists() and not path.exists()
        kill = {"step": step, "writing": writing, "between": writing and gone}
        kills.append(kill | {"damaged": "damaged" in said.getvalue()})
    return kills


def measure_resume(count: int = KILLS) -> dict:
    """Kills trainings `count` times in all; returns the record of it.

    A training that has come to its end is followed by another, until there were enough
    kills.
    """
    torch.set_num_threads(1)  # threads would not survive a fork
    tqdm.monitor_interval = 0  # neither would the bar's own
    material, kills, kills_in_run, digests = resume_material(), [], [], set()
    with tempfile.TemporaryDirectory() as name, tqdm(total=count, unit="kill") as bar:
        folder, start = Path(name, "whole"), time.perf_counter()
        kill_attempt(folder, material)
        seconds, whole = time.perf_counter() - start, read_record(folder / RESULT)
        draw = random.Random(SEED)
        moments = iter(lambda: draw.uniform(0, LONGEST * seconds), None)
        while len(kills) < count:
            folder = Path(name, f"run{len(kills_in_run)}")
            left = itertools.islice(moments, count - len(kills))
            more = kill_and_resume(folder, material, left)
            kills += more
            kills_in_run.append(len(more))
            digests.add(read_record(folder / RESULT)["digest"])
            bar.update(len(more))
    return {
        "hardware": hardware(),
        "corpus": "toy",
        "model": asdict(material[1]),
        "training": asdict(CONFIG),
        "save_seconds": SAVE_SECONDS,
        "seed": SEED,
        "steps": whole["steps"],
        "best_step": whole["best_step"],
        "seconds": round(seconds, 2),
        "kills": len(kills),
        "runs": len(kills_in_run),
        "kills_in_run": kills_in_run,
        "step_on_disk": [kill["step"] for kill in kills],
        "left_tmp_file": sum(kill["writing"] for kill in kills),
        "between_two_names": sum(kill["between"] for kill in kills),
        "damaged_files": sum(kill["damaged"] for kill in kills),
        "digest": whole["digest"],
        "other_digests": sorted(digests - {whole["digest"]}),
        "all_equal": digests == {whole["digest"]},
    }


def resume_sentence(result: dict) -> str:
    """What came of the kills, in one sentence."""
    equal = result["all_equal"] and not result["damaged_files"]
    return (
        f"{result['kills']} kills in {result['runs']} runs, {result['left_tmp_file']} "
        f"of them while a state was being written; {result['damaged_files']} damaged "
        f"files; weights and history {'all equal' if equal else 'DIFFER'}"
    )


STUDY = Measurement(
    "resume",
    "Kill trainings at random moments, and compare their ends with an unbroken one.",
    RECORDS / "resume.json",
    measure_resume,
    {"resume": resume_sentence},
)
main = STUDY.main

if __name__ == "__main__":
    main()
