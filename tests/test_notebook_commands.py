"""The maintainers' commands, on a small copy of the project."""

import argparse
import json
import os
import re
import shutil
import signal
import sys
import time

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from program import python, started

from helpers import ROOT
from notebooks import listings, notebook_files
from notebooks.address import SLUG, live_page_address, repository_slug
from notebooks.listings import FOLDED, SETUP, listing_source, relist_notebooks
from notebooks.notebook_files import numbered_notebook, read_notebook

MODULE = """\
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
"""
COPIED = [f"helpers/{n}.py" for n in ("__init__", "files", "interrupt")]
COPIED += [f"notebooks/{name}.py" for name in ("__main__", "address", "kernel")]
COPIED += [f"notebooks/{name}.py" for name in ("listings", "notebook_files")]
COPIED.append("interop/model_card.py")  # links to the published repository


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of what the commands need, with a module and a notebook of its own."""
    for folder in ("helpers", "interop", "notebooks"):
        (tmp_path / folder).mkdir()
    for name in COPIED:
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "helpers" / "steps.py").write_text(MODULE, "utf-8")
    badge = f"[![Open](https://a.b/badge.svg)](https://a.b/{SLUG}/01)"
    readme = f"{badge} [live](https://{live_page_address(SLUG)})"
    (tmp_path / "README.md").write_text(readme, "utf-8")
    text = new_markdown_cell(f"{badge}\n# %load -s small ../helpers/steps.py\n")
    setup = new_code_cell("old", metadata={"tags": ["setup"]})
    listing = new_code_cell("# %load -s small ../helpers/steps.py\nold")
    listing.metadata.tags = ["wikitext"]
    last = new_code_cell("# %load -s Next ../helpers/steps.py")
    cells = [text, setup, new_code_cell("from functools import cache"), listing, last]
    write(tmp_path, "01_one", *cells)
    write(tmp_path, "02_two", "1 + 1")
    for module in (listings, notebook_files):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    return tmp_path


def write(project, name, *cells):
    """Writes a notebook of these cells; those of plain text are of code."""
    cells = [new_code_cell(c) if isinstance(c, str) else c for c in cells]
    nbformat.write(new_notebook(cells=cells), project / "notebooks" / f"{name}.ipynb")


def cells_of(project, name="01_one", folder="notebooks"):
    return read_notebook(project / folder / f"{name}.ipynb").cells


def environment(project) -> dict[str, str]:
    """The variables of a command whose kernels import the small project."""
    folders = dict.fromkeys(["MINI_TRANSFORMER_DATA", "PYTHONPATH"], str(project))
    return folders | {"TQDM_DISABLE": ""}


def command(project, *arguments, **variables):
    """Runs `python -m notebooks` in the small project."""
    variables = environment(project) | variables
    return python("-m", "notebooks", *arguments, folder=project, **variables)


def test_a_definition_has_its_decorators_and_no_neighbours(project):
    small = listing_source("small", "steps")
    assert small == "@cache\ndef small(x):\n    return x < LIMIT"
    assert listing_source("Next", "steps").splitlines()[0] == "class Next:"
    with pytest.raises(ValueError, match="steps.py defines no large"):
        listing_source("large", "steps")


def test_relist_rewrites_listings_and_setup_and_nothing_else(project):
    before, paths = cells_of(project), [project / "notebooks" / "01_one.ipynb"]
    relist_notebooks(paths)
    once, after = paths[0].read_bytes(), cells_of(project)
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed == [1, 3, 4]
    assert after[1].source == SETUP.strip()
    first_line = "# %load -s small ../helpers/steps.py\n"
    assert after[3].source == first_line + listing_source("small", "steps")
    assert FOLDED.items() <= after[1].metadata.items()
    for cell in (*before, *after):
        del cell["source"]
        for key in FOLDED:
            cell.metadata.pop(key, None)
    assert before == after  # tags, ids and outputs
    relist_notebooks(paths)
    assert paths[0].read_bytes() == once


def test_stamp_writes_the_slug_everywhere_and_can_be_repeated(project):
    relist_notebooks([project / "notebooks" / "01_one.ipynb"])
    for name in ("someone/mini-transformer", "someone-else/another_name.py"):
        done = command(project, "--stamp", name)
        assert done.returncode == 0, done.stderr
        texts = [cell.source for cell in cells_of(project)[:2]]
        texts.append((project / "interop" / "model_card.py").read_text("utf-8"))
        texts.append((project / "README.md").read_text("utf-8"))
        assert all(name in text and "OWNER" not in text for text in texts)
        assert f"(https://{name.replace('/', '.github.io/')}/)" in texts[-1]
    setup = cells_of(project)[1].source
    assert command(project, "--relist").returncode == 0
    assert cells_of(project)[1].source == setup


NO_SLUGS = " name a/b/c https://github.com/a/b .. a/. a/.. ../b a/ /b -a/b a-/b a--b/c "
NO_SLUGS += "a_b/c a.b/c a/b.git ä/b a/é a\\b"


@pytest.mark.parametrize(
    "read_option, texts",
    [
        (repository_slug, [*NO_SLUGS.split(" "), "a b/c", "a/b\n"]),
        (numbered_notebook, ["99", "3", "", "01_one"]),
    ],
)
def test_what_is_no_slug_or_no_notebook_is_refused(read_option, texts, project):
    for text in texts:
        with pytest.raises(argparse.ArgumentTypeError, match="there are 01, 02|OWNER"):
            read_option(text)
    assert numbered_notebook("02").name == "02_two.ipynb"
    assert repository_slug("a-b/c.d") == "a-b/c.d"


@pytest.mark.parametrize(
    "options, status, message",
    [
        ([], 2, "one of the arguments"),
        (["--relist", "01"], 2, "unrecognized arguments: 01"),
        (["--run", "--relist"], 2, "not allowed with argument"),
        (["--run", "01", "99"], 2, "'99' is no notebook; there are 01, 02"),
        (["--stamp=a"], 2, "'a' is no slug; write OWNER/NAME"),
        (["--run", "01"], 1, "File exists: "),
        # Outputs made with the toy corpus were committed once by mistake.
        (["--execute", "01"], 1, "MINI_TRANSFORMER_DATA must name the folder"),
    ],
)
def test_nothing_is_done_that_is_refused(options, status, message, project):
    (project / "executed").write_text("a file in place of the folder", "utf-8")
    write(project, "01_one", "open('was_run', 'w')")
    done = command(project, *options, MINI_TRANSFORMER_DATA="wikitext")
    assert (done.returncode, done.stdout) == (status, "") and message in done.stderr
    assert not (project / "notebooks" / "was_run").exists()


FOREIGN = '{"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [], "x": 1}'


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [{}]', FOREIGN])
def test_a_file_that_is_no_notebook_is_named(text, project):
    path = project / "notebooks" / "01_one.ipynb"
    path.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="01_one.ipynb is no notebook .*; restore it"):
        read_notebook(path)
    if text == "":
        done = command(project, "--run")
        assert done.returncode == 1 and done.stderr.count("\n") == 1


def test_execute_gives_the_same_bytes_each_time(project):
    show = "import os\nfor i in range(3):\n    print(i, flush=True)\n"
    show += "print(os.environ['MINI_TRANSFORMER_BUDGET'])"
    write(project, "01_one", new_markdown_cell("A text."), show, "1 + 1")
    before, written = cells_of(project), []
    for budget in ("full", "quick"):
        done = command(project, "--execute", "01", MINI_TRANSFORMER_BUDGET=budget)
        assert (done.returncode, done.stderr) == (0, "")
        written.append((project / "notebooks" / "01_one.ipynb").read_bytes())
    assert written[0] == written[1]
    book = nbformat.reads(written[0], as_version=4)
    assert [cell.id for cell in book.cells] == [cell.id for cell in before]
    assert [cell.get("execution_count") for cell in book.cells] == [None, 1, 2]
    assert [o.text for o in book.cells[1].outputs] == ["0\n1\n2\nquick\n"]
    assert book.metadata == {"language_info": {"name": "python"}}
    assert book.cells[1].metadata == {}
    assert cells_of(project, "02_two")[0].execution_count is None


def test_run_takes_named_notebooks_and_stops_where_a_cell_fails(project):
    """In the interpreter that runs it, whatever kernel is installed for the user."""
    other = project / "jupyter" / "kernels" / "python3" / "kernel.json"
    other.parent.mkdir(parents=True)
    spec = {"argv": ["false", "{connection_file}"], "language": "python"}
    other.write_text(json.dumps(spec | {"display_name": "another Python"}), "utf-8")
    write(project, "01_one", "import sys\nprint(sys.executable)")
    write(project, "02_two", "x - 1")
    write(project, "03_three", "1 + 1")
    names = ["--run", "01", "02", "03"]
    done = command(project, *names, JUPYTER_PATH=str(project / "jupyter"))
    assert done.returncode == 1
    assert re.search(r"01_one: 100%.*1/1", done.stdout)
    assert "01_one.ipynb ran; its outputs are in executed/" in done.stdout
    assert "02_two.ipynb failed" in done.stderr and "NameError" in done.stderr
    assert 'kernel.py", line' not in done.stderr  # no traceback of its own
    assert [path.name for path in (project / "executed").iterdir()] == ["01_one.ipynb"]
    (output,) = cells_of(project, folder="executed")[0].outputs
    assert output.text == f"{sys.executable}\n"
    assert cells_of(project)[0].outputs == []


@pytest.mark.parametrize(
    "launcher, place", [("", "cell [2]"), ("raise SystemExit(3)", "before its first")]
)
def test_a_kernel_that_dies_or_cannot_start_is_one_sentence(launcher, place, project):
    if launcher:
        (project / "ipykernel_launcher.py").write_text(launcher, "utf-8")
    write(project, "01_one", "1", "import os\nos._exit(1)", "2")
    done = command(project, "--run", "01", TQDM_DISABLE="1")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"01_one.ipynb, {place}")
    assert f"the kernel of {sys.executable} failed: " in done.stderr


def kernels_of(pid: int) -> list[int]:
    """The kernels that a process has started and that still run."""
    owner = {"JPY_PARENT_PID": str(pid)}.items()
    running = {p.pid: p.info["environ"] or {} for p in psutil.process_iter(["environ"])}
    return [number for number, names in running.items() if owner <= names.items()]


@pytest.mark.parametrize("moment", [0, 0.3, 0.7, 1.5, "cell"])
def test_ctrl_c_ends_a_run_at_the_first_press(moment, project):
    """Seconds after the bar has appeared, when the kernel starts, or within a cell."""
    write(project, "01_one", "open('begun', 'w')\nwhile True:\n    pass")
    command = ["-u", "-m", "notebooks", "--run", "01"]
    with started(*command, folder=project, **environment(project)) as process:
        assert process.stdout.read(8)  # of the bar
        while moment == "cell" and not (project / "notebooks" / "begun").exists():
            time.sleep(0.05)
        time.sleep(0 if moment == "cell" else moment)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal interrupts a group
        _, said = process.communicate(timeout=20)
        assert kernels_of(process.pid) == []
    assert process.returncode == 130
    assert said == "python -m notebooks: interrupted.\n"
    assert [*(project / "executed").glob("*")] == []
