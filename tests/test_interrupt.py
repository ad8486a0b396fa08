"""Ctrl-C: a run is saved, a command ends. SIGKILL: a run goes on all the same."""

import json
import os
import signal
import sys
import threading
import time
from dataclasses import replace

import pytest
import torch
from program import python, started
from tiny import CONFIG, acting, at_call, fresh_model, same_weights, without_clock

from helpers import ROOT
from helpers.interrupt import delay_interrupt
from helpers.masking import mask_tokens
from helpers.optimize import Muon
from helpers.resume import load_state
from helpers.train import EarlyStopping, TrainingRun, train, train_step
from studies import resume

MUON = replace(CONFIG, optimizer="muon", evaluations=2)  # evaluated at 0, 1, 12, 24


@pytest.fixture(autouse=True)
def ctrl_c():
    """The usual handler, also where the tests are a job that ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("owner", "name", "at", "step"),
    [
        ("source", None, 7, 7),
        ("mask", None, 8, 7),
        (sys.modules["helpers.train"], "rate_factor", 8, 7),
        (Muon, "step", 8, 8),  # between the steps of both optimisers
        (sys.modules["helpers.train"], "validate", 4, 24),
        (EarlyStopping, "update", 4, 24),
    ],
)
def test_a_run_is_saved_and_goes_on_as_if_nothing_had_been(
    data, owner, name, at, step, tmp_path, monkeypatch
):
    whole, options = train(fresh_model(dropout=0.1), data, MUON), {}
    with monkeypatch.context() as patch:
        if owner == "mask":
            options["mask"] = at_call(at, press, mask_tokens)
        elif owner == "source":
            options["source"] = acting(lambda s: press() if s == at else None, data)
        else:
            patch.setattr(owner, name, at_call(at, press, getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt) as caught:
            model = fresh_model(dropout=0.1)
            train(model, data, MUON, str(tmp_path), save_seconds=9e9, **options)
    said = f"Interrupted at step {step}: run the same again to go on from {tmp_path}."
    assert str(caught.value) == said
    assert caught.value.__suppress_context__
    assert load_state(tmp_path / "state.pt")["step"] == step
    for mask in (mask_tokens, None):  # an ended run is the same again, without a step
        run = train(fresh_model(dropout=0.1), data, MUON, tmp_path, mask=mask)
        assert without_clock(run.history) == without_clock(whole.history)
        assert same_weights(run.model, whole.model) and run.loss == whole.loss


def test_an_interrupted_evaluation_is_made_again_with_all_that_follows_it(
    data, tmp_path
):
    """What `on_evaluation` adds to an entry is never missing, and it is saved."""
    seen = []

    def note(run, entry):
        if run.step == 12 and len(seen) == 2:
            seen.append(None)
            press()
        state = load_state(tmp_path / "state.pt")
        seen.append((run.step, len(run.history), len(state.get("history", []))))
        entry["noted"] = run.step

    with pytest.raises(KeyboardInterrupt):
        train(fresh_model(), data, MUON, tmp_path, 9e9, note)
    history = train(fresh_model(), data, MUON, tmp_path, 9e9, note).history
    assert [e["noted"] for e in history] == [e["step"] for e in history]
    assert [e["step"] for e in history] == [0, 1, 12, 24]
    assert seen == [(0, 0, 0), (1, 1, 1), None, (12, 2, 2), (24, 3, 3)]


@pytest.mark.parametrize("name", ["unscale_", "step", "update"])
def test_a_step_ends_whole_or_has_not_been(data, name, monkeypatch):
    """All optimisers have moved or none, whenever Ctrl-C is pressed within a step."""
    run, before = TrainingRun(fresh_model(), MUON), fresh_model().state_dict()
    scaler = torch.amp.GradScaler
    pressed = at_call(2 if name == "step" else 1, press, getattr(scaler, name))
    monkeypatch.setattr(scaler, name, pressed)
    with pytest.raises(KeyboardInterrupt):
        train_step(run, data.validation_BT, MUON, 9)
    after = run.model.state_dict()
    moved = [not torch.equal(weight, before[k]) for k, weight in after.items()]
    assert all(moved) if run.step else not any(moved)
    assert run.step == (name != "unscale_")


def test_a_press_within_a_short_block_counts_at_its_end():
    done = []
    with pytest.raises(KeyboardInterrupt), delay_interrupt():
        press()
        done.append(True)
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it is ignored it still is
    with delay_interrupt():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_training_in_another_thread_works(data):
    """Though the model was used before, and has gradients to which no step belongs."""
    model, runs = fresh_model(), []
    model(data.validation_BT).sum().backward()
    thread = threading.Thread(target=lambda: runs.append(train(model, data, MUON)))
    thread.start()
    thread.join()
    assert same_weights(runs[0].model, train(fresh_model(), data, MUON).model)


PROGRAM = """
import signal, time
from studies.lab.command import command

class Last:
    def __del__(self):
        signal.raise_signal(2)

with command("x", "").one_sentence():
    {}
    time.sleep(20)
print("went on")
"""


@pytest.mark.parametrize("swallowing", ["Last()", "import stubborn"])
def test_the_first_press_ends_a_command_though_it_be_swallowed(swallowing, tmp_path):
    """By Python in a destructor, or by a library that goes on with its import."""
    stubborn = "import signal\ntry: signal.raise_signal(2)\nexcept: pass\n"
    (tmp_path / "stubborn.py").write_text(stubborn, "utf-8")
    paths = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    with started("-c", PROGRAM.format(swallowing), **paths) as program:
        out, said = program.communicate(timeout=60)
    assert "went on" not in out
    assert program.returncode == 130 and "nterrupted.\n" in said


AWAY = """
import sys
from dataclasses import replace
from pathlib import Path
from studies.resume import STUDY
replace(STUDY, path=Path(sys.argv[1])).main([])
"""


@pytest.mark.parametrize("moment", ["imports", "work"])
def test_the_study_of_kills_ends_at_the_first_press_with_its_children(moment, tmp_path):
    ways = {"imports": ["-m", "studies.resume"], "work": ["-c", AWAY, tmp_path / "r"]}
    variables = {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with started(*ways[moment], **variables) as program:
        deadline = time.monotonic() + (0.5 if moment == "imports" else 60)
        while time.monotonic() < deadline and not list(tmp_path.glob("*/*/state.pt")):
            time.sleep(0.1)
        program.send_signal(signal.SIGINT)  # to this one alone
        said = "".join(program.communicate(timeout=30))
        if moment == "work":
            assert program.returncode == 130
            assert said.count("\n") == 1 and "nterrupted." in said
        else:
            assert program.returncode == -signal.SIGINT and said == ""
        with pytest.raises(ProcessLookupError):  # no child is left
            os.killpg(program.pid, 0)


# In a process of its own, because the trainings are forks and pytest has threads.
KILLS = """
import json
from studies.resume import measure_resume
print(json.dumps(measure_resume(5)))
"""


def test_a_killed_training_ends_as_an_unbroken_one():
    """After five kills, by early stopping, with weights that are not its last."""
    done = python("-c", KILLS)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["kills"] == sum(record["kills_in_run"]) == 5
    assert max(record["step_on_disk"]) > 0
    assert record["best_step"] < record["steps"]
    assert record["all_equal"] and not record["other_digests"]
    assert record["damaged_files"] == 0
    assert resume.resume_sentence(record).endswith("all equal")
    assert resume.resume_sentence(record | {"all_equal": False}).endswith("DIFFER")
