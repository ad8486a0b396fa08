"""Runs and their records: made once, trusted only if they are what they should be."""

import multiprocessing
import re
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from helpers import ROOT, record
from helpers.optimize import TrainConfig
from studies.lab.machine import hardware

RECORDS = ROOT / "plots" / "records"
# The fast recipe: Muon for the matrices, and twice as many words masked.
FAST = TrainConfig(
    optimizer="muon", learning_rate=4e-3, mask_rate=0.3, last_mask_rate=0.3
)
ADVICE = "The arm or the record was changed; restore it as it was."


def read_run(path: Path, identity: dict, free=()) -> dict | None:
    """The record of a run, if there is one; ValueError if it is of another run.

    Settings in `free` may be other ones.
    """
    if not path.exists():
        return None
    run = record.read_record(path)
    record.require_same_record(path, run, identity, free, ADVICE)
    return run


def run_paths(folder: Path, name: str) -> dict[int, Path]:
    """The records of an arm by seed; `name`, that of its runs, has {seed} in it."""
    named = re.compile(name.format(seed="([0-9]+)"))
    found = ((named.fullmatch(path.stem), path) for path in folder.glob("*.json"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def recorded_run(path: Path, identity: dict, read, make, *arguments) -> dict:
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
    record.write_record(path, head | record.record_identity(identity) | made)
    return read(path, identity)


def make_runs(jobs: list[tuple], processes: int = 1) -> None:
    """Calls `recorded_run` with the arguments of each job, so many processes at a time.

    Where one fails, or Ctrl-C is pressed, those under way end without a record.
    """
    if processes == 1:
        for path, *arguments in jobs:
            print(path.stem, flush=True)
            recorded_run(path, *arguments)
        return
    threads = max(1, torch.get_num_threads() // processes)
    # Spawned, since threads of PyTorch do not survive a fork.
    how = multiprocessing.get_context("spawn"), torch.set_num_threads, (threads,)
    pool = ProcessPoolExecutor(processes, *how)
    try:
        names = {pool.submit(recorded_run, *job): job[0].stem for job in jobs}
        for done, finished in enumerate(as_completed(names), 1):
            finished.result()
            print(f"{done} of {len(jobs)}: {names[finished]}", flush=True)
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
