"""What surrounds a lesson, and the maintainers' commands on a small project."""

import os
import re
import shutil
import subprocess
import sys
import types

import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import ROOT, notebook
from helpers.notebook import (
    SETUP,
    SLUG,
    budget,
    check,
    definition,
    ledger,
    plots_dir,
    relist,
)

TRUE = [True, np.bool_(True), np.array(True), torch.tensor(True), torch.ones(2).any()]
FALSE = [False, np.bool_(False), torch.tensor(False), torch.zeros(2).all()]
NOT_ONE_TRUTH = [
    None,
    1,
    0.5,
    "yes",
    [True],
    (True,),
    {True: True},
    (value for value in [False]),
    lambda: False,
    torch.isfinite,
    np.float64(1.0),
    torch.tensor(1.0),
    torch.tensor([True]),
    torch.tensor([True, False]),
    np.array([True]),
]


@pytest.fixture(autouse=True)
def nothing_verified(monkeypatch):
    monkeypatch.setattr(notebook, "verified", {})


@pytest.mark.parametrize("condition", TRUE, ids=repr)
def test_a_true_claim_is_printed_and_counted(condition, capsys):
    check("rows sum to 1", condition, "3 rows")
    assert capsys.readouterr().out == "✓ rows sum to 1 (3 rows)\n"
    ledger()
    assert capsys.readouterr().out == "1 claims verified:\n✓ rows sum to 1\n"


@pytest.mark.parametrize("condition", FALSE, ids=repr)
def test_a_false_claim_is_told_with_a_hint(condition):
    with pytest.raises(AssertionError, match="✗ rows sum to 1 .0.9.*restart"):
        check("rows sum to 1", condition, "0.9")
    assert notebook.verified == {}


@pytest.mark.parametrize("condition", NOT_ONE_TRUTH, ids=lambda c: type(c).__name__)
def test_what_is_not_one_truth_value_is_refused(condition):
    with pytest.raises(TypeError, match="'rows sum to 1' is not one truth value"):
        check("rows sum to 1", condition)
    assert notebook.verified == {}


def test_a_cell_run_again_counts_once_and_no_more_after_it_fails(capsys):
    for numbers in ("3 rows", "4 rows"):
        check("rows sum to 1", True, numbers)
    check("no weight is negative", True)
    assert list(notebook.verified) == ["rows sum to 1", "no weight is negative"]
    with pytest.raises(AssertionError):
        check("rows sum to 1", False)
    capsys.readouterr()
    ledger()
    assert capsys.readouterr().out == "1 claims verified:\n✓ no weight is negative\n"


def test_budget_follows_the_hardware_unless_told(monkeypatch):
    for found, expected in ((True, "full"), (False, "quick")):
        monkeypatch.delenv("MINI_TRANSFORMER_BUDGET")
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=found: found)
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


def test_runs_move_to_the_drive_and_stay_there(monkeypatch, tmp_path):
    """With a stand-in for Colab's module, whose drive is a folder."""
    mounted = []
    colab = types.SimpleNamespace(drive=types.SimpleNamespace(mount=mounted.append))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google", types.SimpleNamespace(colab=colab))
    drive, root = tmp_path / "drive", tmp_path / "project"
    monkeypatch.setattr(notebook, "ROOT", root)
    monkeypatch.setattr(
        notebook, "Path", lambda path: drive / path.removeprefix("/content/drive/")
    )
    (root / "runs" / "a").mkdir(parents=True)
    (root / "runs" / "a" / "state.pt").write_text("here")
    for _ in range(2):
        notebook.keep_runs_on_drive()
        assert (root / "runs").is_symlink()
        assert (root / "runs" / "a" / "state.pt").read_text() == "here"
    assert mounted == ["/content/drive"] * 2
    found = drive / "MyDrive" / "mini-transformer" / "runs" / "a" / "state.pt"
    assert found.read_text() == "here"


def test_a_light_import():
    """A lesson without PyTorch does not wait for it."""
    heavy = "[name for name in ('torch', 'nbformat', 'numpy') if name in sys.modules]"
    source = f"import sys, helpers.notebook; print({heavy})"
    told = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True
    )
    assert told.stdout == "[]\n"


# Listings.

MODULE = '''\
"""A module."""

from functools import cache

LIMIT = 3


# What it does.
@cache
def small(x):
    return x < LIMIT


# What the next does.
class Next:
    def small(self):
        return 1
'''


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what the commands need, with a module and two notebooks of its own."""
    for folder in ("helpers", "notebooks"):
        (tmp_path / folder).mkdir()
    for name in ("__init__", "notebook"):
        shutil.copy(ROOT / "helpers" / f"{name}.py", tmp_path / "helpers")
    (tmp_path / "helpers" / "steps.py").write_text(MODULE, "utf-8")
    badge = f"[![Open](https://a.b/badge.svg)](https://a.b/{SLUG}/01)"
    (tmp_path / "README.md").write_text(badge, "utf-8")
    for number, last in (("01_one", "x = 1\nx + 1"), ("02_two", "x - 1")):
        book = new_notebook(
            cells=[
                new_markdown_cell(f"{badge}\n# %load -s small ../helpers/steps.py\n"),
                new_code_cell("old", metadata={"tags": ["setup"]}),
                new_code_cell("from functools import cache\n\nLIMIT = 3"),
                new_code_cell(
                    "# %load -s small ../helpers/steps.py\nold",
                    metadata={"tags": ["wikitext"]},
                ),
                new_code_cell("# %load -s Next ../helpers/steps.py"),
                new_code_cell("for i in range(3):\n    print(i, flush=True)"),
                new_code_cell(last),
            ]
        )
        nbformat.write(book, tmp_path / "notebooks" / f"{number}.ipynb")
    monkeypatch.setattr(notebook, "ROOT", tmp_path)
    return tmp_path


def read(project, name="01_one", folder="notebooks"):
    return nbformat.read(project / folder / f"{name}.ipynb", as_version=4)


def test_a_definition_has_its_decorators_and_no_neighbours(project):
    expected = "@cache\ndef small(x):\n    return x < LIMIT"
    assert definition("small", "steps") == expected
    assert definition("Next", "steps").splitlines()[0] == "class Next:"
    with pytest.raises(ValueError, match="steps.py defines no large"):
        definition("large", "steps")


def test_relist_rewrites_listings_and_setup_and_nothing_else(project):
    path = project / "notebooks" / "01_one.ipynb"
    before = read(project).cells
    relist([path])
    once = path.read_bytes()
    after = read(project).cells
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed == [1, 3, 4]
    assert after[1].source == SETUP.strip()
    mark = "# %load -s small ../helpers/steps.py\n"
    assert after[3].source == mark + definition("small", "steps")
    for cell in before:
        cell.source = ""
    for cell in after:
        cell.source = ""
    assert before == after  # tags, ids and outputs
    relist([path])
    assert path.read_bytes() == once


# The commands.


def command(project, *arguments, **variables):
    """What `python -m helpers.notebook` returns in the small project."""
    return subprocess.run(
        [sys.executable, "-m", "helpers.notebook", *arguments],
        cwd=project,
        env=os.environ
        | {"TQDM_DISABLE": "", "PYTHONPATH": "", "MINI_TRANSFORMER_DATA": str(project)}
        | variables,
        capture_output=True,
        text=True,
    )


def test_execute_gives_the_same_bytes_each_time(project):
    relist(sorted((project / "notebooks").glob("*.ipynb")))
    path = project / "notebooks" / "01_one.ipynb"
    ids = [cell.id for cell in read(project).cells]
    told = command(project, "--execute", "01", MINI_TRANSFORMER_BUDGET="full")
    assert told.returncode == 0, told.stderr
    first = path.read_bytes()
    book = read(project)
    assert [cell.id for cell in book.cells] == ids
    assert [c.execution_count for c in book.cells[1:]] == [1, 2, 3, 4, 5, 6]
    assert [o.text for o in book.cells[5].outputs] == ["0\n1\n2\n"]
    assert book.metadata.language_info == {"name": "python"}
    assert "execution" not in book.cells[6].metadata
    assert read(project, "02_two").cells[6].execution_count is None
    command(project, "--execute", "01")
    assert path.read_bytes() == first


def test_execute_forces_the_quick_budget(project):
    path = project / "notebooks" / "02_two.ipynb"
    ask = 'import os\nprint(os.environ["MINI_TRANSFORMER_BUDGET"])'
    nbformat.write(new_notebook(cells=[new_code_cell(ask)]), path)
    command(project, "--execute", "02", MINI_TRANSFORMER_BUDGET="full")
    assert read(project, "02_two").cells[0].outputs[0].text == "quick\n"


def test_execute_wants_the_real_corpus(project):
    """Outputs made with the toy corpus were committed once by mistake."""
    for folder in ("", "wikitext"):  # none; one that a notebook would not find
        told = command(project, "--execute", "01", MINI_TRANSFORMER_DATA=folder)
        assert told.returncode == 1
        assert "MINI_TRANSFORMER_DATA" in told.stderr
    assert read(project).cells[6].execution_count is None


def test_run_shows_progress_and_stops_where_a_cell_fails(project):
    relist(sorted((project / "notebooks").glob("*.ipynb")))
    before = (project / "notebooks" / "01_one.ipynb").read_bytes()
    told = command(project, "--run")
    assert told.returncode == 1
    assert re.search(r"01_one: 100%.*6/6", told.stdout)
    assert "01_one.ipynb ran" in told.stdout
    assert "02_two.ipynb failed" in told.stderr
    assert "x - 1" in told.stderr and "NameError" in told.stderr
    assert 'notebook.py", line' not in told.stderr  # no traceback of its own
    assert [path.name for path in (project / "executed").iterdir()] == ["01_one.ipynb"]
    assert (project / "notebooks" / "01_one.ipynb").read_bytes() == before


def test_stamp_writes_the_slug_everywhere_and_twice_is_well(project):
    relist(sorted((project / "notebooks").glob("*.ipynb")))
    for slug in ("someone/mini-transformer", "someone.else/another_name"):
        told = command(project, "--stamp", slug)
        assert told.returncode == 0, told.stderr
        texts = [(project / "README.md").read_text("utf-8")]
        for name in ("01_one", "02_two"):
            texts += [read(project, name).cells[i].source for i in (0, 1)]
        assert all(slug in text and "OWNER" not in text for text in texts)
    before = read(project).cells[1].source
    assert command(project, "--relist").returncode == 0
    assert read(project).cells[1].source == before


@pytest.mark.parametrize("slug", ["name", "a/b/c", "https://github.com/a/b", "a b/c"])
def test_what_is_no_slug_is_not_stamped(slug, project):
    told = command(project, "--stamp", slug)
    assert told.returncode == 1
    assert "is no slug; write OWNER/NAME." in told.stderr
    assert SLUG in (project / "README.md").read_text("utf-8")
