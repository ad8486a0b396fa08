"""Killed trainings end as unbroken ones do; where a state lacks a part they do not.

The trainings are forks of this file as a program, for pytest's own process has threads.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from helpers import ROOT
from helpers import train as train_module
from helpers.early_stopping import EarlyStopping
from helpers.run import TrainingRun
from helpers.train import train_step
from studies import resume

LATE = 47  # a step at which the best weights are no longer the last


load, sound_attempt = TrainingRun.load_state_dict, resume.attempt
FAULTS = {  # what a state lacks, and what it holds instead
    "optimizers": lambda run, state: [o.state_dict() for o in run.optimizers],
    "stopping": lambda run, state: vars(EarlyStopping(run.stopping.patience)),
    "best weights": lambda run, state: state["stopping"] | {"weights": state["model"]},
    "step": lambda run, state: max(0, state["step"] - 1),
}


def dying(mark: Path):
    """A step that ends its own process at step LATE, the first time."""

    def step(run, *arguments):
        if run.step == LATE and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(run, *arguments)

    return step


def attempt(lacking: str, folder: Path, *material) -> None:
    """An attempt with a fault in what a restart makes of the state."""

    def load_faulty(run, state) -> None:
        part = "stopping" if lacking == "best weights" else lacking
        load(run, state | {part: FAULTS[lacking](run, state)})

    if folder.name != "whole":
        TrainingRun.load_state_dict = load_faulty if lacking != "none" else load
        train_module.train_step = dying(folder / "died")
    sound_attempt(folder, *material)


def main(out: Path) -> None:
    """Five random kills of the code as it is; one late kill with each fault."""
    (out / "random.json").write_text(json.dumps(resume.study(5)), "utf-8")
    for lacking in ("none", *FAULTS):
        resume.attempt = partial(attempt, lacking)
        record = resume.study(1, moment=lambda: 60.0)
        (out / f"{lacking}.json").write_text(json.dumps(record), "utf-8")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """The records that the program wrote, by name."""
    out = tmp_path_factory.mktemp("resume")
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(out)]
    subprocess.run(command, env=os.environ | threads, check=True, timeout=240)
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in out.glob("*.json")
    }


def test_a_killed_training_ends_as_an_unbroken_one(records):
    record = records["random"]
    assert record["kills"] == sum(record["kills_in_run"]) == 5
    assert len(record["step_on_disk"]) == 5
    assert record["all_equal"] and not record["other_digests"]
    assert record["damaged_files"] == 0


def test_the_training_that_is_killed_is_a_telling_one(records):
    """It ends by early stopping, with weights that are not its last."""
    record = records["none"]
    assert record["best_step"] < LATE < record["steps"]
    assert LATE - 10 < record["step_on_disk"][0] <= LATE
    assert record["all_equal"]


@pytest.mark.parametrize("lacking", FAULTS)
def test_a_state_that_lacks_a_part_makes_another_end(records, lacking):
    record = records[lacking]
    assert record["kills"] == record["runs"] == 1
    assert not record["all_equal"]
    assert record["other_digests"] not in ([], [record["digest"]])
    assert record["digest"] == records["none"]["digest"]


def test_a_difference_is_an_exit_status(records, tmp_path, monkeypatch):
    for name, status in {"random": 0, "step": 1}.items():
        monkeypatch.setattr(resume, "study", lambda name=name: records[name])
        assert resume.main(["--out", str(tmp_path / "record.json")]) == status


if __name__ == "__main__":
    main(Path(sys.argv[1]))
