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
from helpers.run import EarlyStopping, TrainingRun
from helpers.train import train_step
from studies import resume

LATE = 47  # a step at which the best weights are no longer the last


def without_optimizers(run, state):
    fresh = [optimizer.state_dict() for optimizer in run.optimizers]
    load(run, state | {"optimizers": fresh})


def without_early_stopping(run, state):
    load(run, state | {"stopping": vars(EarlyStopping(run.stopping.patience))})


def without_best_weights(run, state):
    stopping = state["stopping"] | {"weights": state["model"]}
    load(run, state | {"stopping": stopping})


def at_a_wrong_step(run, state):
    load(run, state | {"step": max(0, state["step"] - 1)})


load, sound_attempt = TrainingRun.load_state_dict, resume.attempt
FAULTS = {
    function.__name__: function
    for function in (
        without_optimizers,
        without_early_stopping,
        without_best_weights,
        at_a_wrong_step,
    )
}


def dying(mark: Path):
    """A step that ends its own process at step LATE, the first time."""

    def step(run, *arguments):
        if run.step == LATE and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(run, *arguments)

    return step


def attempt(fault, folder: Path, *material) -> None:
    """An attempt with a fault in what a restart makes of the state."""
    if folder.name != "whole":
        TrainingRun.load_state_dict = fault
        train_module.train_step = dying(folder / "died")
    sound_attempt(folder, *material)


def main(out: Path) -> None:
    """Five random kills of the code as it is; one late kill with each fault."""
    status = resume.main(["--kills", "5", "--out", str(out / "random.json")])
    (out / "status.json").write_text(json.dumps(status), "utf-8")
    for name, fault in ({"none": load} | FAULTS).items():
        resume.attempt = partial(attempt, fault)
        found = resume.study(1, moment=lambda: 60.0)
        (out / f"{name}.json").write_text(json.dumps(found), "utf-8")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """What the program found, by name."""
    out = tmp_path_factory.mktemp("resume")
    threads = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(out)]
    subprocess.run(command, env=os.environ | threads, check=True, timeout=240)
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in out.glob("*.json")
    }


def test_a_killed_training_ends_as_an_unbroken_one(records):
    found = records["random"]
    assert found["kills"] == sum(found["kills_in_run"]) == 5
    assert len(found["step_on_disk"]) == 5
    assert found["all_equal"] and not found["other_digests"]
    assert found["damaged_files"] == 0
    assert records["status"] == 0


def test_the_training_that_is_killed_is_a_telling_one(records):
    """It ends by early stopping, with weights that are not its last."""
    found = records["none"]
    assert found["best_step"] < LATE < found["steps"]
    assert LATE - 10 < found["step_on_disk"][0] <= LATE
    assert found["all_equal"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_state_that_lacks_a_part_makes_another_end(records, fault):
    found = records[fault]
    assert found["kills"] == found["runs"] == 1
    assert not found["all_equal"]
    assert found["other_digests"] not in ([], [found["digest"]])
    assert found["digest"] == records["none"]["digest"]


def test_a_difference_is_an_exit_status(records, tmp_path, monkeypatch):
    monkeypatch.setattr(resume, "study", lambda *_: records["at_a_wrong_step"])
    assert resume.main(["--out", str(tmp_path / "record.json")]) == 1


if __name__ == "__main__":
    main(Path(sys.argv[1]))
