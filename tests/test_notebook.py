"""What surrounds a lesson, and the maintainers' commands on a small project."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from helpers import ROOT, __version__, figure, notebook
from helpers.bpe import BPETokenizer
from helpers.figure import default_style, save
from helpers.files import write_whole
from helpers.notebook import budget, check, ledger, plots_dir
from helpers.tokenizer import SPECIALS, WordTokenizer
from notebooks.source import SETUP, SLUG, definition, keep, relist

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


def refusing(call, error):
    """A method of Path that fails for what lies under some folder."""

    def method(path, *arguments, **options):
        if "plots" in path.parts:
            raise OSError(error, os.strerror(error), str(path))
        return call(path, *arguments, **options)

    return method


def test_figures_of_a_read_only_checkout_go_elsewhere(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(notebook, "ROOT", tmp_path)
    monkeypatch.setattr(Path, "mkdir", refusing(Path.mkdir, errno.EROFS))
    notebook.spare_folder.cache_clear()
    spare = plots_dir()
    assert spare == plots_dir() and spare.is_dir()
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and str(spare) in said
    assert said.startswith(f"{tmp_path}/plots/quick cannot be written to (Read-only")
    spare.rmdir()


def test_figures_go_elsewhere_from_a_folder_that_is_there_and_refuses(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(notebook, "ROOT", tmp_path)
    (tmp_path / "plots" / "quick").mkdir(parents=True)
    monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    notebook.spare_folder.cache_clear()
    spare = plots_dir()
    assert tmp_path not in spare.parents
    spare.rmdir()


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(*arguments, **options):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@default_style()
def save_figure(path):
    save(Figure(), path.name)


WRITERS = {
    "write_whole": lambda path: write_whole(path, b"new"),
    "words": lambda path: WordTokenizer([*SPECIALS]).save(path),
    "merges": lambda path: BPETokenizer([]).save(path),
    "figure": save_figure,
    "notebook": lambda path: keep(new_notebook(), path),
}


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_file_is_written_whole_or_stays_as_it_was(write, step, monkeypatch, tmp_path):
    path = tmp_path / "new" / "a.png"
    monkeypatch.setattr(figure, "plots_dir", lambda: path.parent)
    write_whole(path, "é")
    assert path.read_bytes() == "é".encode()
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


def test_a_light_import():
    """A lesson without PyTorch does not wait for it."""
    heavy = "[name for name in ('torch', 'nbformat', 'numpy') if name in sys.modules]"
    source = f"import sys, helpers.notebook; print({heavy})"
    told = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, encoding="utf-8"
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
    modules = "__init__", "bpe", "files", "interrupt", "kernel", "notebook", "settings"
    for name in modules:
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
    """What `python -m notebooks` returns in the small project."""
    return subprocess.run(
        [sys.executable, "-m", "helpers.notebook", *arguments],
        cwd=project,
        env=os.environ
        | {"TQDM_DISABLE": "", "PYTHONPATH": "", "MINI_TRANSFORMER_DATA": str(project)}
        | variables,
        capture_output=True,
        encoding="utf-8",
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
    for slug in ("someone/mini-transformer", "someone-else/another_name.py"):
        told = command(project, "--stamp", slug)
        assert told.returncode == 0, told.stderr
        texts = [(project / "README.md").read_text("utf-8")]
        for name in ("01_one", "02_two"):
            texts += [read(project, name).cells[i].source for i in (0, 1)]
        assert all(slug in text and "OWNER" not in text for text in texts)
    before = read(project).cells[1].source
    assert command(project, "--relist").returncode == 0
    assert read(project).cells[1].source == before


@pytest.mark.parametrize(
    "slug",
    ["", "name", "a/b/c", "https://github.com/a/b", "a b/c", ".", "..", "../.."]
    + ["a/.", "a/..", "../b", "a/", "/b", "-a/b", "a-/b", "a--b/c", "a_b/c", "a.b/c"]
    + ["a/b.git", "a/b\n", "ä/b", "a/é", "a\\b"],
)
def test_what_is_no_slug_is_not_stamped(slug, project):
    told = command(project, f"--stamp={slug}")
    refused(told, f"argument --stamp: {slug!r} is no slug; write OWNER/NAME")
    assert SLUG in (project / "README.md").read_text("utf-8")


def refused(told, *said):
    """Status 2 and one sentence, and nothing was run."""
    assert told.returncode == 2 and told.stdout == ""
    assert all(part in told.stderr for part in said)
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize("action", ["--run", "--execute"])
@pytest.mark.parametrize("numbers", [["99"], ["01", "3"], [""], ["01_one"]], ids=str)
def test_a_notebook_that_does_not_exist_is_refused(action, numbers, project):
    told = command(project, action, *numbers)
    wanted = f"argument {action}: {numbers[-1]!r} is no notebook; there are 01, 02"
    refused(told, wanted)
    assert not (project / "executed").exists()


@pytest.mark.parametrize("action", ["--relist", "--run", "--execute"])
@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cells": [{}]', '{"cells": [{}]}'])
def test_a_file_that_is_no_notebook_is_named(text, action, project):
    (project / "notebooks" / "01_one.ipynb").write_text(text, "utf-8")
    told = command(project, action)
    assert told.returncode == 1 and "01_one.ipynb is no notebook (" in told.stderr
    assert told.stderr.count("\n") == 1 and told.stderr.endswith("; restore it.\n")


@pytest.mark.parametrize("action, name", [("--run", "executed"), ("--execute", None)])
def test_what_could_not_be_kept_is_not_run(
    action, name, project, monkeypatch, tmp_path, capsys
):
    fill(project, "open('was_run', 'w')")
    monkeypatch.setattr(sys, "argv", ["notebook", action, "01"])
    monkeypatch.setenv("MINI_TRANSFORMER_DATA", str(tmp_path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(tempfile, "TemporaryFile", read_only)
    with pytest.raises(SystemExit) as ended:
        notebook.main()
    assert ended.value.code == 1
    folder = project / (name or "notebooks")
    said = f"{folder} cannot be written to (Read-only file system).\n"
    assert capsys.readouterr().err == f"python -m notebooks: {said}"
    assert not (project / "notebooks" / "was_run").exists()


# The set-up cell.


def test_a_repository_that_is_another_project_is_refused(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q", "other"], check=True)
    git[-1] += "/other"
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "none"], check=True)
    monkeypatch.setenv("MINI_TRANSFORMER_REPO", (tmp_path / "other").as_uri())
    with pytest.raises(RuntimeError, match="fetch file.*other .it is another project"):
        exec(compile(SETUP, "set-up", "exec"), {})
    assert [*Path.cwd().iterdir()] == []


def test_a_folder_of_another_project_is_told_in_one_sentence(tmp_path):
    (tmp_path / "helpers").mkdir()
    for name in ("__init__", "bpe"):
        (tmp_path / "helpers" / f"{name}.py").touch()
    told = subprocess.run(
        [sys.executable, "-c", SETUP],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
    )
    assert told.stderr == ""
    said = f"This notebook is {__version__}, the project {tmp_path} has none.\n"
    assert told.stdout == said


def test_a_folder_that_may_not_be_looked_into_is_passed_over(monkeypatch, tmp_path):
    """As the parent of the reader's own folder may be."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MINI_TRANSFORMER_REPO", (tmp_path / "nowhere").as_uri())
    real = os.stat

    def refuse(path, *arguments, **options):
        if str(path).endswith("helpers/bpe.py"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(RuntimeError, match="Could not fetch .*nowhere"):
        exec(compile(SETUP, "set-up", "exec"), {})


@pytest.mark.parametrize("options", [[], ["--relist", "01"], ["--run", "--relist"]])
def test_other_options_are_refused(options, project):
    refused(command(project, *options))


def fill(project, *cells, name="01_one"):
    """Gives a notebook these cells instead."""
    book = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    nbformat.write(book, project / "notebooks" / f"{name}.ipynb")


def test_run_takes_the_notebooks_that_are_named(project):
    for name in ("01_one", "02_two", "03_three"):
        fill(project, "1", name=name)
    told = command(project, "--run", "03", "01")
    assert told.returncode == 0, told.stderr
    found = sorted(path.stem for path in (project / "executed").iterdir())
    assert found == ["01_one", "03_three"]


def test_run_uses_the_interpreter_that_runs_it(project, tmp_path):
    """Whatever kernel of the same name is installed for the user."""
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["false", "{connection_file}"], "language": "python"}
    spec["display_name"] = "another Python"
    (other / "kernel.json").write_text(json.dumps(spec), "utf-8")
    fill(project, "import sys\nprint(sys.executable)")
    told = command(project, "--run", "01", JUPYTER_PATH=str(tmp_path / "jupyter"))
    assert told.returncode == 0, told.stderr
    (said,) = read(project, folder="executed").cells[0].outputs
    assert said.text == f"{sys.executable}\n"


def test_a_kernel_that_dies_is_one_sentence(project):
    fill(project, "1", "import os\nos._exit(1)", "2")
    told = command(project, "--run", "01", TQDM_DISABLE="1")
    assert told.returncode == 1
    assert told.stderr.startswith("01_one.ipynb, cell [2]: the kernel of ")
    assert told.stderr.count("\n") == 1 and "died" in told.stderr


def test_a_kernel_that_cannot_start_is_one_sentence(project):
    (project / "ipykernel_launcher.py").write_text("raise SystemExit(3)", "utf-8")
    fill(project, "1")
    told = command(project, "--run", "01", PYTHONPATH=str(project), TQDM_DISABLE="1")
    assert told.returncode == 1
    assert told.stderr.startswith("01_one.ipynb, before its first cell: the kernel of ")
    assert told.stderr.count("\n") == 1


def kernels_of(pid: int) -> list[str]:
    """The kernels that a process has started and that still run, where /proc tells."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if f"JPY_PARENT_PID={pid}\0".encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


BUSY = """\
from pathlib import Path
Path("begun").touch()
while True:
    pass
"""


@pytest.mark.parametrize("moment", [0, 0.2, 0.4, 0.7, 1, 1.5, "cell"])
def test_ctrl_c_ends_a_run_at_the_first_press(moment, project):
    """Seconds after the bar has appeared, when the kernel starts, or within a cell."""
    fill(project, BUSY)
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "helpers.notebook", "--run", "01"],
        cwd=project,
        env={name: os.environ[name] for name in os.environ.keys() - {"TQDM_DISABLE"}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # a terminal interrupts the whole group
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        assert process.stdout.read(8)  # of the bar
        if moment == "cell":
            while not (project / "notebooks" / "begun").exists():
                time.sleep(0.05)
        else:
            time.sleep(moment)
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said == b"python -m notebooks: interrupted.\n"
    assert kernels_of(process.pid) == []
    assert [*(project / "executed").glob("*")] == []
