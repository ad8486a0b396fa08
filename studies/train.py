"""One training run from the command line: `python -m studies.train --help`."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed as dist

from helpers import ROOT, parallel
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.settings import SettingError
from helpers.train import memory_advice
from studies.lab.command import command
from studies.lab.experiment import run_experiment

NAME = re.compile(r"(?!(?i:vocabulary)$)[A-Za-z0-9_-][A-Za-z0-9_.-]{,99}")


def training_folder(name: str) -> Path:
    """Where a run of that name lies. SettingError unless it names a single folder."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        allowed = "up to 100 of A-Z, a-z, 0-9, '_', '-' and '.', the first not a '.'"
        allowed += ", and not 'vocabulary', which is a file's name there"
        raise SettingError("name", name, allowed)
    return ROOT / "runs" / name


@contextmanager
def train_as_one_of_many() -> Iterator[None]:
    """A process's whole part in a training; the end of another one ends it, too.

    After an error it ends at once. On the long way out, the threads of its group would
    miss the other processes, which end as well, and could abort it.
    """
    try:
        yield
    except SystemExit as end:
        if parallel.world_size() == 1:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code)
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def train_telling_of_others() -> Iterator[None]:
    """Within it, the loss of another process is a ConnectionError."""
    try:
        yield
    except RuntimeError as error:
        if parallel.world_size() == 1 or "peer" not in str(error):
            raise
        raise ConnectionError("Another process has ended; see what it says.") from error


def main(arguments: list[str] | None = None) -> None:
    """`python -m studies.train --name dropout --dropout 0.1`: one run, resumable."""
    parser = command(
        "train",
        "Train a masked language model on WikiText-2. Results land in runs/NAME; the "
        "same command goes on where a run of that name was interrupted. Several GPUs, "
        "or several processes on CPUs: torchrun --nproc_per_node=N -m studies.train, "
        "with the same options and the same curve.",
    )
    parser.add_argument("--name", required=True, help="folder under runs/")
    parser.add_configurations(ModelConfig, TrainConfig)
    given = parser.parse_args(arguments)
    with train_as_one_of_many(), parser.one_sentence():
        folder = training_folder(given.name)
        configs = [parser.build(kind, given) for kind in (ModelConfig, TrainConfig)]
        with train_telling_of_others(), memory_advice(given.batch_size):
            run = run_experiment(folder, *configs)
    if run:  # else another process has it
        print(
            f"{given.name}: best at step {run['best_step']} with a validation loss of "
            f"{run['best_loss']:.3f} nats, {run['best_accuracy']:.1%} right, on a "
            f"seventh of the words; weights and record are in runs/{given.name}"
        )


if __name__ == "__main__":
    main()
