"""Runs on the Drive: nothing is replaced there, and nothing is lost on the way."""

import errno
import shutil
import sys
import types
from pathlib import Path
from unittest.mock import Mock

import pytest
from tiny import at_call

from notebooks import drive


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The place of runs/ here, and the one on a stand-in for the Drive of Colab."""
    colab = types.SimpleNamespace(drive=types.SimpleNamespace(mount=lambda place: None))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    monkeypatch.setattr(drive, "DRIVE", tmp_path / "drive")
    monkeypatch.setattr(drive, "ROOT", tmp_path / "project")
    (tmp_path / "project").mkdir()
    runs = tmp_path / "drive" / "MyDrive" / "mini-transformer" / "runs"
    return tmp_path / "project" / "runs", runs


def make(folder: Path, *runs: str, state="state") -> None:
    for run in runs:
        (folder / run).mkdir(parents=True)
        (folder / run / "state.pt").write_text(state, "utf-8")


def states(folder: Path) -> dict[str, str]:
    """What is in the state of each run."""
    return {p.parent.name: p.read_text("utf-8") for p in folder.glob("*/state.pt")}


def test_runs_of_both_sides_are_on_the_drive(places, tmp_path, capsys):
    here, there = places
    make(here, "dropout", "mine", state="here")
    make(tmp_path / "other", "linked")
    (here / "linked").symlink_to(tmp_path / "other" / "linked")
    make(there, "dropout", "dropout-2", "theirs", state="there")
    for _ in range(2):
        drive.keep_runs_on_drive()
    assert here.is_symlink() and here.resolve() == there.resolve()
    kept = {name: "there" for name in ("dropout", "dropout-2", "theirs")}
    kept |= {"dropout-3": "here", "linked": "state", "mine": "here"}
    assert states(here) == kept and not (there / "linked").is_symlink()
    assert capsys.readouterr().out == (
        "dropout: moved to the Drive as dropout-3; its name is taken there.\n"
        "linked: moved to the Drive.\n"
        "mine: moved to the Drive.\n"
    )


def test_without_runs_the_drive_is_ready_for_them(places, capsys):
    here, there = places
    drive.keep_runs_on_drive()
    there.rmdir()  # the reader deletes the folder, which is made again
    drive.keep_runs_on_drive()
    assert capsys.readouterr().out == ""
    make(here, "dropout")
    assert states(there) == {"dropout": "state"}


@pytest.mark.parametrize("owner, call", [(shutil, "copyfile"), (Path, "rename")])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
def test_what_is_stopped_has_lost_nothing_and_goes_on(
    owner, call, error, places, monkeypatch
):
    here, there = places
    make(here, "dropout", "more", state="here")
    make(there, "dropout", state="there")
    failing = at_call(2, Mock(side_effect=error), getattr(owner, call))
    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, OSError)):
        patch.setattr(owner, call, failing)
        drive.keep_runs_on_drive()
    assert states(here) == {"dropout": "here", "more": "here"}
    assert states(there)["dropout"] == "there"
    drive.keep_runs_on_drive()
    assert {("dropout", "there"), ("more", "here")} <= {*states(here).items()}
    assert states(here)["dropout-2"] == "here" and here.is_symlink()


def test_a_symbolic_link_of_the_readers_own_stays(places, tmp_path, capsys):
    here, _ = places
    (tmp_path / "elsewhere").mkdir()
    here.symlink_to(tmp_path / "elsewhere")
    drive.keep_runs_on_drive()
    assert here.resolve() == (tmp_path / "elsewhere").resolve()
    assert "not to the Drive; it stays so" in capsys.readouterr().out


def test_a_target_that_is_no_folder_is_named(places):
    here, there = places
    make(here, "dropout")
    there.parent.mkdir(parents=True)
    there.write_text("a file", "utf-8")
    with pytest.raises(OSError, match=f"{there}.*stays in {here}"):
        drive.keep_runs_on_drive()
    assert states(here) == {"dropout": "state"}


def test_outside_of_colab_runs_stay(places, monkeypatch, capsys):
    here, _ = places
    make(here, "dropout")
    monkeypatch.setitem(sys.modules, "google.colab", None)
    drive.keep_runs_on_drive()
    assert "Only Colab" in capsys.readouterr().out
    assert not here.is_symlink() and states(here) == {"dropout": "state"}
