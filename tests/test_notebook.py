"""What surrounds a lesson: checks and their ledger, budgets, files."""

import errno
import os
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from nbformat.v4 import new_notebook
from program import python
from tiny import knowing

from helpers import notebook
from helpers.bpe import BPETokenizer
from helpers.files import write_file
from helpers.notebook import budget, check, ledger
from notebooks.notebook_files import write_notebook

TRUE = [True, np.bool_(True), np.array(True), torch.tensor(True)]
FALSE = [False, np.bool_(False), np.array(False), torch.tensor(False)]
NEITHER = [None, 1, "yes", [True], lambda: False, np.float64(1.0), torch.tensor(1.0)]
NEITHER += [np.array([True]), torch.tensor([True]), torch.tensor([True, False])]


def test_a_claim_is_printed_and_counted_or_raises_with_a_hint(monkeypatch, capsys):
    monkeypatch.setattr(notebook, "verified", {})
    for condition in TRUE:
        check("rows sum to 1", condition, "3 rows")
        assert capsys.readouterr().out == "✓ rows sum to 1 (3 rows)\n"
    ledger()
    assert capsys.readouterr().out == "1 claims verified.\n"
    for condition in NEITHER:
        with pytest.raises(TypeError, match="'rows sum to 1' is not one truth value"):
            check("rows sum to 1", condition)
    for condition in FALSE:
        with pytest.raises(AssertionError, match="✗ rows sum to 1 .0.9.*restart"):
            check("rows sum to 1", condition, "0.9")
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


def failing(number: int) -> Mock:
    """A function that fails with this error of the system."""
    return Mock(side_effect=OSError(number, os.strerror(number)))


WRITERS = {
    "bytes": lambda path: write_file(path, b"new"),
    "words": lambda path: knowing([]).save(path),
    "merges": lambda path: BPETokenizer([]).save(path),
    "notebook": lambda path: write_notebook(new_notebook(), path),
}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_is_written_whole_or_stays_as_it_was(write, step, monkeypatch, tmp_path):
    path = tmp_path / "new" / "a.png"
    write_file(path, "é")
    with monkeypatch.context() as patch:
        patch.setattr(os, step, failing(errno.ENOSPC))
        with pytest.raises(OSError, match=f"{path} cannot be written .No space left"):
            write(path)
        assert [path] == [*path.parent.iterdir()]
        patch.setattr(os, step, failing(errno.EROFS))
        patch.setattr(Path, "unlink", failing(errno.EROFS))
        with pytest.raises(OSError, match=f"{path} cannot be written .Read-only"):
            write(path)
    assert path.read_bytes() == "é".encode()
    write(path)
    assert path.read_bytes() != "é".encode() and [path] == [*path.parent.iterdir()]


def test_a_lesson_without_pytorch_does_not_wait_for_it():
    heavy = "[name for name in ('torch', 'nbformat', 'numpy') if name in sys.modules]"
    source = f"import sys, helpers.notebook; print({heavy})"
    assert python("-c", source).stdout == "[]\n"
