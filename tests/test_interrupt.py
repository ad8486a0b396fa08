"""Ctrl-C: the run is saved, and it ends a command at the first press."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from tiny import random_data

from helpers import ROOT
from helpers import train as train_module
from helpers.checkpoint import load_state
from helpers.interrupt import held_back
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.train import TrainConfig, train, train_step, update

CONFIG = TrainConfig(
    epochs=4,
    batch_size=4,
    optimizer="muon",
    evaluations=2,
    patience=99,
    precision="float32",
)


def build():
    torch.manual_seed(0)
    sizes = dict(max_length=8, n_layers=1, d_model=8, n_heads=2, d_ff=8, dropout=0.1)
    return MaskedLanguageModel(ModelConfig(vocab_size=12, **sizes))


@pytest.fixture
def data():
    """24 steps over random words."""
    return random_data()


@pytest.fixture(autouse=True)
def ctrl_c():
    """The usual handler, also where the tests are a job that ignores the signal."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def press():
    signal.raise_signal(signal.SIGINT)


def pressing(function, at):
    """A function with Ctrl-C pressed in the middle of its call number `at`."""
    calls = []

    def pressed(*arguments, **options):
        calls.append(None)
        if len(calls) == at:
            press()
        return function(*arguments, **options)

    return pressed


def without_clock(history):
    return [{k: v for k, v in e.items() if k != "seconds"} for e in history]


# In a backward pass, between the steps of both optimisers, in an evaluation, after it.
PLACES = {
    "mlm_loss": (train_module, "mlm_loss", 8),
    "set_rates": (train_module, "set_rates", 8),
    "muon": (torch.optim.Muon, "step", 8),
    "evaluation": (train_module, "validate", 4),
    "note": (train_module.TrainingRun, "take_note", 4),
    "between": (train_module, "train_step", 8),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_run_is_saved_and_goes_on_as_if_nothing_had_been(
    data, place, tmp_path, monkeypatch
):
    whole = build()
    want = without_clock(train(whole, data, CONFIG))
    owner, name, at = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, pressing(getattr(owner, name), at))
        with pytest.raises(KeyboardInterrupt) as caught:
            train(build(), data, CONFIG, str(tmp_path), save_seconds=9e9)
    state = load_state(tmp_path / "state.pt")
    said = f"Interrupted at step {state['step']}: run the same again to go on from "
    assert str(caught.value) == f"{said}{tmp_path}."
    assert caught.value.__suppress_context__
    assert state["step"] == {"evaluation": 24, "note": 24, "muon": 8}.get(place, 7)
    resumed = build()
    assert without_clock(train(resumed, data, CONFIG, tmp_path)) == want
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_an_interrupted_evaluation_is_made_again_with_all_that_follows_it(
    data, tmp_path
):
    """What `on_evaluation` adds to an entry is never missing."""

    def noting(press_at):
        def note(run):
            if run.step == press_at:
                press()
            run.history[-1]["noted"] = run.step

        return note

    with pytest.raises(KeyboardInterrupt):
        train(build(), data, CONFIG, tmp_path, 9e9, noting(12))
    history = train(build(), data, CONFIG, tmp_path, 9e9, noting(None))
    assert [e["noted"] for e in history] == [e["step"] for e in history]
    assert [e["step"] for e in history] == [0, 1, 12, 24]


def test_on_evaluation_is_called_after_each_and_before_the_run_is_saved(data, tmp_path):
    seen = []

    def note(run):
        state = load_state(tmp_path / "state.pt")
        seen.append((run.step, len(run.history), len(state.get("history", []))))

    history = train(build(), data, CONFIG, tmp_path, 9e9, note)
    assert seen == [(e["step"], i + 1, i) for i, e in enumerate(history)]


def test_a_press_within_a_short_block_counts_at_its_end():
    done = []
    with pytest.raises(KeyboardInterrupt), held_back():
        press()
        done.append(True)
    assert done == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_where_the_signal_is_ignored_it_still_is():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_back():
        press()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_training_in_another_thread_works(data):
    found = []
    thread = threading.Thread(target=lambda: found.extend(train(build(), data, CONFIG)))
    thread.start()
    thread.join()
    assert len(found) == 4


def test_what_an_interrupted_step_left_is_no_part_of_the_next(data):
    """Gradients of a backward pass after which no optimiser stepped."""
    fresh, used = build(), build()
    used(data.validation_BT).sum().backward()
    config = dataclasses.replace(CONFIG, epochs=0.5)
    assert without_clock(train(used, data, config)) == without_clock(
        train(fresh, data, config)
    )


PROGRAM = """
import signal, sys
sys.argv[0] = "-m"
import helpers
{body}
print("went on")
"""
SWALLOWED = [
    # A library that goes on when its import is interrupted.
    "sys.path.insert(0, {folder!r})\nimport stubborn",
    # Python itself, in a destructor.
    "class Last:\n    def __del__(self): signal.raise_signal(signal.SIGINT)\n"
    "Last()\nimport time\ntime.sleep(20)",
]


@pytest.mark.parametrize("body", SWALLOWED)
def test_the_first_press_ends_a_command_though_it_be_swallowed(body, tmp_path):
    source = (
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept: pass\n"
    )
    (tmp_path / "stubborn.py").write_text(source, "utf-8")
    program = PROGRAM.format(body=body.format(folder=str(tmp_path)))
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        restore_signals=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert "went on" not in done.stdout
    assert done.returncode in (130, -signal.SIGINT)
    assert time.monotonic() - start < 20


@pytest.mark.parametrize("moment", ["imports", "work"])
def test_the_study_of_kills_ends_at_the_first_press_with_its_children(moment, tmp_path):
    command = [sys.executable, "-m", "studies.resume", "--kills", "50"]
    program = subprocess.Popen(
        [*command, "--out", str(tmp_path / "r.json")],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        if moment == "imports":
            time.sleep(0.5)
        else:
            for _ in range(600):
                if list(tmp_path.glob("*/*/state.pt")):
                    break
                time.sleep(0.1)
        program.send_signal(signal.SIGINT)  # to this one alone
        said, _ = program.communicate(timeout=30)
        assert program.returncode == 130
        assert said.count("\n") == 1 and "nterrupted." in said
        with pytest.raises(ProcessLookupError):  # no child is left
            os.killpg(program.pid, 0)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGKILL)


def test_a_step_ends_whole_or_has_not_been(data, monkeypatch):
    """`update` moves all optimisers or none, whenever Ctrl-C is pressed within it."""
    for name in ("get_scale", "update", "step", "unscale_"):
        model = build()
        run = train_module.TrainingRun(model, CONFIG, torch.float32)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        with monkeypatch.context() as patch:
            scaler = torch.amp.GradScaler
            patch.setattr(
                scaler,
                name,
                pressing(getattr(scaler, name), 2 if name == "step" else 1),
            )
            with pytest.raises(KeyboardInterrupt):
                train_step(run, data.validation_BT, CONFIG, 9)
        moved = [not torch.equal(v, before[k]) for k, v in model.state_dict().items()]
        assert all(moved) if run.step else not any(moved), name
        assert run.step == (name in ("update", "step"))
    assert update.__module__ == "helpers.train"
