"""What surrounds a lesson: checks and their ledger, budgets, where figures go."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from nbformat.v4 import new_notebook

from helpers import ROOT, figure, notebook
from helpers.bpe import BPETokenizer
from helpers.files import write_whole
from helpers.notebook import budget, check, ledger, plots_dir
from helpers.tokenizer import SPECIALS, WordTokenizer
from notebooks.source import keep

TRUE = [True, np.bool_(True), np.array(True), torch.tensor(True)]
FALSE = [False, np.bool_(False), np.array(False), torch.tensor(False)]
NEITHER = [None, 1, "yes", [True], lambda: False, np.float64(1.0), torch.tensor(1.0)]
NEITHER += [np.array([True]), torch.tensor([True]), torch.tensor([True, False])]


@pytest.fixture(autouse=True)
def nothing_verified(monkeypatch):
    monkeypatch.setattr(notebook, "verified", {})


@pytest.mark.parametrize("condition", TRUE, ids=repr)
def test_a_true_claim_is_printed_and_counted(condition, capsys):
    check("rows sum to 1", condition, "3 rows")
    assert capsys.readouterr().out == "✓ rows sum to 1 (3 rows)\n"
    ledger()
    assert capsys.readouterr().out == "1 claims verified.\n"


@pytest.mark.parametrize("condition", FALSE, ids=repr)
def test_a_false_claim_raises_with_a_hint_and_no_longer_counts(condition):
    check("rows sum to 1", True, "1.0")
    with pytest.raises(AssertionError, match="✗ rows sum to 1 .0.9.*restart"):
        check("rows sum to 1", condition, "0.9")
    assert notebook.verified == {}


@pytest.mark.parametrize("condition", NEITHER, ids=repr)
def test_what_is_not_one_truth_value_is_refused(condition):
    with pytest.raises(TypeError, match="'rows sum to 1' is not one truth value"):
        check("rows sum to 1", condition)
    assert notebook.verified == {}


def test_budget_follows_the_hardware_unless_told(monkeypatch):
    for hardware, expected in ((True, "full"), (False, "quick")):
        monkeypatch.delenv("MINI_TRANSFORMER_BUDGET")
        monkeypatch.setattr(torch.cuda, "is_available", lambda answer=hardware: answer)
        assert budget() == expected
        for told in ("quick", "full"):
            monkeypatch.setenv("MINI_TRANSFORMER_BUDGET", told)
            assert budget() == told
    monkeypatch.setenv("MINI_TRANSFORMER_BUDGET", "huge")
    with pytest.raises(ValueError, match="'huge'; choose 'quick' or 'full'"):
        budget()


@pytest.mark.parametrize("chosen, place", [("quick", "plots/quick"), ("full", "plots")])
def test_figures_of_a_quick_run_stay_apart(chosen, place, monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "ROOT", tmp_path)
    monkeypatch.setenv("MINI_TRANSFORMER_BUDGET", chosen)
    assert plots_dir() == tmp_path / place
    assert plots_dir().is_dir()


def test_figures_that_cannot_be_kept_go_elsewhere(monkeypatch, tmp_path, capsys):
    (tmp_path / "plots").write_text("a file in place of the folder", "utf-8")
    monkeypatch.setattr(notebook, "ROOT", tmp_path)
    spare = plots_dir()
    assert spare == plots_dir() and spare.is_dir()
    why = f"{tmp_path}/plots/quick cannot be written to (Not a directory)."
    assert capsys.readouterr().out == f"{why} Figures go to {spare}.\n"
    spare.rmdir()


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*arguments, **options):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


WRITERS = {
    "bytes": lambda path: write_whole(path, b"new"),
    "words": lambda path: WordTokenizer([*SPECIALS]).save(path),
    "merges": lambda path: BPETokenizer([]).save(path),
    "figure": lambda path: figure.save(Figure(), path.name),
    "notebook": lambda path: keep(new_notebook(), path),
}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_is_written_whole_or_stays_as_it_was(write, step, monkeypatch, tmp_path):
    path = tmp_path / "new" / "a.png"
    monkeypatch.setattr(figure, "plots_dir", lambda: path.parent)
    write_whole(path, "é")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, full_disk)
        with pytest.raises(OSError, match=f"{path} cannot be written .No space left"):
            write(path)
        assert [path] == [*path.parent.iterdir()]
        patch.setattr(os, step, read_only)
        patch.setattr(Path, "unlink", read_only)
        with pytest.raises(OSError, match=f"{path} cannot be written .Read-only"):
            write(path)
    assert path.read_bytes() == "é".encode()
    write(path)
    assert path.read_bytes() != "é".encode() and [path] == [*path.parent.iterdir()]


def test_a_lesson_without_pytorch_does_not_wait_for_it():
    heavy = "[name for name in ('torch', 'nbformat', 'numpy') if name in sys.modules]"
    source = f"import sys, helpers.notebook; print({heavy})"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert done.stdout == "[]\n"
