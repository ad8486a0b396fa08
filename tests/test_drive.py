"""Runs on the Drive: the further state stays, whichever side it is on."""

import errno
import shutil
import sys
import types
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from helpers import drive, record
from helpers.checkpoint import save_model, save_state
from helpers.model import MaskedLanguageModel, ModelConfig
from helpers.optimize import TrainConfig
from helpers.tokenizer import WordTokenizer

TOKENIZER = WordTokenizer.train(["a b c d"], 9)
TINY = MaskedLanguageModel(ModelConfig(9, n_layers=1, d_model=8, n_heads=2, d_ff=8))
WHOSE = asdict(TINY.config) | {"text": "digest"}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """runs/ here and on a stand-in for the Drive of Colab."""
    mounted = types.SimpleNamespace(mount=lambda place: None)
    colab = types.SimpleNamespace(drive=mounted)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setattr(drive, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(drive, "ROOT", tmp_path / "project")
    (tmp_path / "project").mkdir()
    runs = tmp_path / "drive" / "MyDrive" / "mini-transformer" / "runs"
    return tmp_path / "project" / "runs", runs


def partial(runs, step, whose=WHOSE, name="dropout"):
    """A run that stands at a step."""
    save_state(runs / name / "state.pt", {"step": step, "identity": whose})


def complete(runs, step=400, whose=WHOSE, name="dropout"):
    partial(runs, step, whose, name)
    TOKENIZER.save(runs / name / "vocabulary.json")
    save_model(runs / name / f"{name}.safetensors", TINY, TOKENIZER, {})
    record.write(runs / name / f"{name}.json", {"name": name})


def zeroed(runs, step=400):
    """A run whose weights are gone, though its record is there."""
    complete(runs, step)
    weights = runs / "dropout" / "dropout.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))


def damaged(runs):
    """A run of which nothing whole is left."""
    (runs / "dropout").mkdir(parents=True)
    (runs / "dropout" / "state.pt").write_bytes(b"half")


def other(runs):
    partial(runs, 900, WHOSE | {"text": "another"})


def older(step):
    """A state of before a field and a digest were known."""
    whose = {k: v for k, v in WHOSE.items() if k != "norm_eps"}
    return lambda runs: partial(runs, step, whose)


def newer(step, **change):
    """A state whose identity is made as it is today."""
    whose = {"model": TINY.config, "training": TrainConfig(), "text": "digest"}
    whose = record.plain(whose) | {"validation_BT": "scored"} | change
    return lambda runs: partial(runs, step, whose)


def locked(runs):
    """What a run leaves that was stopped before its first state."""
    (runs / "dropout").mkdir(parents=True)
    for name in ("lock", "state.pt.part"):
        (runs / "dropout" / name).touch()


def at(step):
    return lambda runs: partial(runs, step)


def nothing(runs):
    pass


def content(folder) -> dict:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "make_here, make_there, kept, said",
    [
        (at(9), nothing, "here", "dropout: copied to the Drive."),
        (complete, nothing, "here", "dropout: copied to the Drive."),
        (at(9), at(5), "here", "(here at step 9, on the Drive at step 5): copied"),
        (complete, at(5), "here", "(here complete, on the Drive at step 5): copied"),
        (complete, zeroed, "here", "(here complete, on the Drive at step 400): copied"),
        (at(5), at(9), "there", "here at step 5, on the Drive at step 9; the Drive's"),
        (at(9), complete, "there", "here at step 9, on the Drive complete; the Drive"),
        (at(900), complete, "there", "here at step 900, on the Drive complete; the"),
        (zeroed, complete, "there", "on the Drive complete; the Drive's is kept"),
        (at(9), at(9), "there", "the Drive's is kept"),
        (complete, complete, "there", "the Drive's is kept"),
        (other, at(5), "both", "another run) as dropout-2: copied"),
        (other, complete, "both", "another run) as dropout-2: copied"),
        (damaged, at(5), "both", "here no state, on the Drive at step 5; another run"),
        (at(5), damaged, "both", "here at step 5, on the Drive no state; another run"),
        (damaged, damaged, "both", "here no state, on the Drive no state; another"),
        (complete, damaged, "both", "here complete, on the Drive no state; another"),
        (
            newer(9),
            older(5),
            "here",
            "(here at step 9, on the Drive at step 5): copied",
        ),
        (newer(5), older(9), "there", "the Drive's is kept"),
        (
            older(9),
            newer(5),
            "here",
            "(here at step 9, on the Drive at step 5): copied",
        ),
        (newer(9), newer(5, text="another"), "both", "another run) as dropout-2"),
        (newer(9), newer(5, validation_BT="another"), "both", "another run) as"),
        (newer(9), newer(5, model=[1]), "both", "another run) as"),
        (at(5), locked, "here", "dropout: copied to the Drive."),
        (locked, at(5), "there", "dropout: nothing was in it yet."),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_the_further_run_is_kept(make_here, make_there, kept, said, places, capsys):
    here, there = places
    make_here(here)
    make_there(there)
    before = {"here": content(here), "there": content(there)}
    for _ in range(2):  # the second time the runs are on the Drive
        drive.keep_runs_on_drive()
        assert here.is_symlink() and here.resolve() == there.resolve()
        first = before["there" if kept == "both" else kept]
        assert content(there / "dropout") == first
        assert sorted(p.name for p in there.iterdir()) == (
            ["dropout", "dropout-2"] if kept == "both" else ["dropout"]
        )
    if kept == "both":
        assert content(there / "dropout-2") == before["here"]
    told = [x for x in capsys.readouterr().out.splitlines() if "passed over" not in x]
    (line,) = told
    assert said in line


def test_runs_of_both_sides_are_on_the_drive_and_each_has_its_line(places, capsys):
    here, there = places
    for name in ("a", "b"):
        partial(here, 3, name=name)
    partial(there, 7, name="c")
    (here / "notes.txt").write_text("mine", "utf-8")
    drive.keep_runs_on_drive()
    assert sorted(p.name for p in here.iterdir()) == ["a", "b", "c", "notes.txt"]
    assert capsys.readouterr().out.splitlines() == [
        f"{name}: copied to the Drive." for name in ("a", "b", "notes.txt")
    ]


def test_without_runs_the_drive_is_ready_for_them(places, capsys):
    here, there = places
    drive.keep_runs_on_drive()
    partial(here, 1)
    assert (there / "dropout" / "state.pt").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "owner, call",
    [(shutil, "copytree"), (shutil, "copyfile"), (shutil, "rmtree"), (Path, "rename")],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_what_is_interrupted_goes_on_and_loses_nothing(
    owner, call, error, places, monkeypatch, capsys
):
    """At each call by turns, until it goes through; then all is as it should be."""
    here, there = places
    complete(here)
    partial(here, 3, name="more")
    partial(there, 5)
    wanted, earlier = content(here / "dropout"), content(there / "dropout")
    real, calls = getattr(owner, call), []

    def failing(*arguments, **options):
        calls.append(arguments)
        if len(calls) == moment:
            if call == "rmtree" and Path(arguments[0]).exists():
                next(Path(arguments[0]).iterdir()).unlink()  # has only begun
            raise error
        return real(*arguments, **options)

    moment, attempts = 1, 0
    monkeypatch.setattr(owner, call, failing)
    while not here.is_symlink():
        calls.clear()
        try:
            drive.keep_runs_on_drive()
        except (KeyboardInterrupt, OSError) as stopped:
            assert isinstance(stopped, KeyboardInterrupt) or str(here) in str(stopped)
            whole = [content(f) for f in (here / "dropout", there / "dropout")]
            assert wanted in whole and whole[1] in (wanted, earlier, {})
            attempts, moment = attempts + 1, moment + 1
    assert attempts
    assert content(there / "dropout") == wanted
    assert (there / "more" / "state.pt").exists()


def test_names_of_runs_are_no_scratch_names(places):
    """Runs may be called exp.old and exp.part."""
    here, there = places
    names = ["exp", "exp.old", "exp.part"]
    for name in names:
        partial(there, 5, name=name)
    partial(here, 9, name="exp")
    earlier = content(there / "exp.old")
    drive.keep_runs_on_drive()
    assert sorted(p.name for p in there.iterdir()) == names
    assert content(there / "exp.old") == content(there / "exp.part") == earlier
    assert drive.standing(there / "exp")[1] == 9


@pytest.mark.parametrize("at_rename", [1, 2, 3])
def test_a_session_that_ends_amid_a_copy_leaves_a_run_on_the_drive(
    at_rename, places, monkeypatch
):
    """And the session's own runs are lost with it."""
    here, there = places
    partial(here, 9)
    partial(there, 5)
    real, calls = Path.rename, []

    def failing(*paths):
        calls.append(paths)
        if len(calls) == at_rename:
            raise KeyboardInterrupt
        return real(*paths)

    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(Path, "rename", failing)
        drive.keep_runs_on_drive()
    here.unlink() if here.is_symlink() else shutil.rmtree(here)
    drive.keep_runs_on_drive()
    assert drive.standing(there / "dropout")[1] == (5 if at_rename == 1 else 9)
    assert not [*there.glob(".*.old")]


def test_a_folder_that_was_deleted_on_the_drive_is_made_again(places):
    here, there = places
    drive.keep_runs_on_drive()
    there.rmdir()
    drive.keep_runs_on_drive()
    partial(here, 1)
    assert (there / "dropout" / "state.pt").exists()


def test_what_a_link_among_the_runs_leads_to_is_copied_once(places, tmp_path, capsys):
    here, there = places
    here.mkdir()
    partial(tmp_path, 3, name="mine")
    (here / "dropout").symlink_to(tmp_path / "mine")
    drive.keep_runs_on_drive()
    assert content(there / "dropout") == content(tmp_path / "mine")
    assert here.is_symlink() and [p.name for p in there.iterdir()] == ["dropout"]
    assert capsys.readouterr().out == "dropout: copied to the Drive.\n"


def test_a_symbolic_link_of_the_readers_own_stays(places, tmp_path, capsys):
    here, there = places
    (tmp_path / "elsewhere").mkdir()
    here.symlink_to(tmp_path / "elsewhere")
    drive.keep_runs_on_drive()
    assert here.resolve() == (tmp_path / "elsewhere").resolve()
    assert "not to the Drive; it stays so" in capsys.readouterr().out


def test_a_target_that_is_no_folder_is_named(places):
    here, there = places
    partial(here, 3)
    there.parent.mkdir(parents=True)
    there.write_text("a file", "utf-8")
    with pytest.raises(OSError) as failed:
        drive.keep_runs_on_drive()
    assert str(there) in str(failed.value) and str(here) in str(failed.value)
    assert (here / "dropout" / "state.pt").exists()


def test_outside_of_colab_runs_stay(places, monkeypatch, capsys):
    here, _ = places
    partial(here, 3)
    monkeypatch.setitem(sys.modules, "google.colab", None)
    drive.keep_runs_on_drive()
    assert "Only Colab" in capsys.readouterr().out
    assert not here.is_symlink() and (here / "dropout" / "state.pt").exists()
