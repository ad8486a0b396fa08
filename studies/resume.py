"""Kills trainings at random moments; what they end with must be what one unbroken has.

`python -m studies.resume --kills 100` trains a tiny model on the toy corpus, ends it
by SIGKILL, which no program can answer, and starts it again from the state on the
disk. Each attempt is a fork of this process, so that PyTorch is imported once; hence
not for Windows. Left out: a failure of the power, which may also lose what was written.
"""

import contextlib
import hashlib
import io
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
import torch._dynamo  # every optimiser wants it: once here, not in each attempt
from tqdm.auto import tqdm

from helpers import record
from helpers.checkpoint import load_state
from helpers.corpus import load_corpus
from helpers.data import TrainingData
from helpers.interrupt import held_back
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.tokenizer import WordTokenizer
from helpers.train import TrainConfig, train
from studies.lab.command import (
    COUNT,
    RECORDS,
    SEED,
    command,
    require_whole,
)

LENGTH = 32
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


def prepare() -> tuple[TrainingData, ModelConfig]:
    """The toy corpus as tensors, and a model of its size."""
    corpus = load_corpus("toy")
    tokenizer = WordTokenizer.train(corpus.train)
    data = TrainingData.prepare(tokenizer, corpus, LENGTH, sample=32)
    sizes = dict(n_layers=1, d_model=16, n_heads=2, d_ff=32, dropout=0.1)
    return data, ModelConfig(vocab_size=len(tokenizer), max_length=LENGTH, **sizes)


def without_clock(history: list[dict]) -> list[dict]:
    """A history without the seconds, in which no two runs agree."""
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in history]


def fingerprint(model: MaskedLanguageModel, history: list[dict]) -> str:
    """SHA-256 of all weights, bit by bit, and of the history."""
    found = hashlib.sha256(json.dumps(without_clock(history)).encode())
    for name, weight in model.state_dict().items():
        found.update(name.encode() + weight.numpy().tobytes())
    return found.hexdigest()


def attempt(folder: Path, data: TrainingData, sizes: ModelConfig) -> None:
    """Trains until the end, or until killed; what comes out is left in result.json."""
    torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"
    torch.manual_seed(0)
    model = MaskedLanguageModel(sizes)
    history = train(model, data, CONFIG, folder, SAVE_SECONDS).history
    best = min(history, key=lambda entry: entry["validation_loss"])
    result = {
        "digest": fingerprint(model, history),
        "steps": history[-1]["step"],
        "best_step": best["step"],
    }
    (folder / "result.json").write_text(json.dumps(result), "utf-8")


def killed(folder: Path, material: tuple, seconds: float | None) -> bool:
    """Makes one attempt, killed after so many seconds; False if it came to its end."""
    fork = multiprocessing.get_context("fork")
    process = fork.Process(target=attempt, args=(folder, *material))
    try:
        with held_back():  # for ever in the fork, which this process is to end
            process.start()
        process.join(seconds)
    finally:
        process.kill()
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError("The training failed by itself; see above.")
    return process.exitcode != 0


def remains(folder: Path, before: list[tuple]) -> dict:
    """What a kill left in the folder, and what a restart makes of it."""
    path, said = folder / "state.pt", io.StringIO()
    with contextlib.redirect_stdout(said):
        state = load_state(path)
    # A file that an earlier kill has left is not this kill's.
    writing = bool(set(traces(folder)) - set(before))
    return {
        "step": state.get("step", 0),
        "writing": writing,
        "between": writing and path.with_suffix(".old").exists() and not path.exists(),
        "damaged": "damaged" in said.getvalue(),
    }


def traces(folder: Path) -> list[tuple]:
    """The half-written files of a folder, with their time of writing."""
    return [(path, path.stat().st_mtime_ns) for path in folder.glob("*.part")]


def broken_run(folder: Path, material, moments: Iterator, most: int) -> Iterator[dict]:
    """One training, killed at most so many times; yields what each kill left."""
    for _ in range(most):
        before = traces(folder)
        if not killed(folder, material, next(moments)):
            return
        yield remains(folder, before)
    killed(folder, material, None)


def result(folder: Path) -> dict:
    """What the training in a folder came out with."""
    return json.loads((folder / "result.json").read_text("utf-8"))


def study(kills: int, seed: int = 0, moments: Iterator[float] | None = None) -> dict:
    """Kills trainings `kills` times in all; returns the record of it.

    A training that has come to its end is followed by another, until there were enough
    kills. `moments` are the seconds after which to kill, drawn by default.
    """
    torch.set_num_threads(1)  # threads would not survive a fork
    tqdm.monitor_interval = 0  # neither would the bar's own
    material, found, runs = prepare(), [], []
    bar = tqdm(total=kills, unit="kill")
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        killed(Path(name, "whole"), material, None)
        seconds = time.perf_counter() - start
        whole = result(Path(name, "whole"))
        draw = random.Random(seed)
        moments = moments or (draw.uniform(0, LONGEST * seconds) for _ in iter(int, 1))
        while len(found) < kills:
            folder, before = Path(name, f"run{len(runs)}"), len(found)
            for left in broken_run(folder, material, moments, kills - before):
                found.append(left)
                bar.update()
            runs.append({"kills": len(found) - before} | result(folder))
    bar.close()
    equal = [run["digest"] == whole["digest"] for run in runs]
    steps = [kill["step"] for kill in found]
    return {
        "hardware": record.hardware(),
        "corpus": "toy",
        "model": asdict(material[1]),
        "training": asdict(CONFIG),
        "save_seconds": SAVE_SECONDS,
        "seed": seed,
        "steps": whole["steps"],
        "best_step": whole["best_step"],
        "seconds": round(seconds, 2),
        "kills": len(found),
        "runs": len(runs),
        "kills_in_run": [run["kills"] for run in runs],
        "step_on_disk": steps,
        "left_tmp_file": sum(kill["writing"] for kill in found),
        "between_two_names": sum(kill["between"] for kill in found),
        "damaged_files": sum(kill["damaged"] for kill in found),
        "digest": whole["digest"],
        "other_digests": sorted({run["digest"] for run in runs} - {whole["digest"]}),
        "all_equal": all(equal),
    }


def main(arguments: list[str] | None = None) -> int:
    """Makes the study, writes its record, says what came out; 1 if anything differs."""
    parser = command(
        "resume",
        "Kill trainings at random moments, restart them, and compare what they end "
        "with to an unbroken one.",
    )
    default = RECORDS / "resume.json"
    parser.add_argument("--kills", type=COUNT, default=100, help="in all runs together")
    parser.add_argument("--seed", type=SEED, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=default, help="the record")
    given = parser.parse_args(arguments)
    require_whole(parser, given, default.name)
    with parser.one_sentence():
        found = study(given.kills, given.seed)
        record.write(given.out, found)
    print(
        f"{found['kills']} kills in {found['runs']} runs, {found['left_tmp_file']} of "
        f"them while a state was being written; {found['damaged_files']} damaged files;"
        f" weights and history {'all equal' if found['all_equal'] else 'DIFFER'}"
    )
    return 0 if found["all_equal"] and not found["damaged_files"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
