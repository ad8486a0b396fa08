"""The gate of the notebooks: what a rule forbids, no published notebook may hold.

A rule takes a notebook and its name and returns complaints. Each rule runs over every
notebook, and each is shown to complain of a small notebook that breaks it.
"""

import ast
import copy
import json
import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path
from unittest.mock import patch

import nbformat
import pytest
import torch
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import ROOT, __version__
from notebooks.source import LISTING, SETUP, SLUG, definition, notebooks, numbered

NAMES = "01_tokenizer 02_layers 03_model 04_training 05_attention 06_lessons".split()
TAUGHT = "tokenizer bpe layers masking data model optimize run train evaluate".split()
NOT_LISTED = {
    "main",  # a command line
    "require_fitting",  # says which sizes go together; 02 and 03 meet them one by one
    "require_usable",  # refuses a text in which there is nothing to learn or to ask
    "require_known",  # refuses a text that is encoded for another model
    "require_match",  # refuses a text that is cut for another model
    "require_same_words",  # refuses a tokenizer of another model
    "shallow_copy",  # leaves alone a reader's model, whose mode and layers are its own
    "matrix_weights",  # counts what a giant would have; 03 counts every parameter
    "lone_sentences",  # serves the experiment's held-out sentences, not the model
    "probe",  # serves a table of the training history; 05 asks the model directly
}
BADGE = re.compile(
    r"https://colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)"
    r"/blob/main/notebooks/([\w.-]+\.ipynb)"
)
LIMIT_WORDS, LIMIT_WIDTH = 120, 79
LIMIT_CODE, LIMIT_SETUP, LIMIT_LISTING = 25, 30, 40
LIMIT_BYTES = 1_000_000
MIN_CHECKS = 60


def cells(book, kind="code"):
    """Numbers and cells of one kind."""
    return [(i, c) for i, c in enumerate(book.cells) if c.cell_type == kind]


def outputs(book):
    return [(i, output) for i, cell in cells(book) for output in cell.outputs]


def prose(text: str) -> str:
    """Markdown without code fences."""
    return re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.M | re.S)


def words(text: str) -> int:
    """Words to be read: not URLs, tables, or hints that are folded away."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"^ *\|.*$", "", text, flags=re.M))
    text = re.sub(r"https?://\S+|<[^>]*>", "", text)
    return sum(any(map(str.isalnum, word)) for word in text.split())


# The rules.


def not_run(book, name):
    """A code cell has no number: it was not run."""
    return [f"cell {i} was not run" for i, c in cells(book) if not c.execution_count]


def out_of_order(book, name):
    """Numbers are not 1, 2, 3, ...: cells were run in another order."""
    counts = [c.execution_count for _, c in cells(book)]
    return [] if counts == [*range(1, len(counts) + 1)] else [f"counts are {counts}"]


def errors(book, name):
    """A cell ended with an error."""
    found = [(i, o) for i, o in outputs(book) if o.output_type == "error"]
    return [f"cell {i}: {output.ename}" for i, output in found]


def stderr(book, name):
    """A cell wrote a warning or a progress bar."""
    return [f"cell {i}" for i, o in outputs(book) if o.get("name") == "stderr"]


def widget_state(book, name):
    """The metadata hold the state of widgets."""
    return ["metadata.widgets"] if "widgets" in book.metadata else []


def timings(book, name):
    """A cell's metadata hold when it ran."""
    return [f"cell {i}" for i, c in cells(book) if "execution" in c.metadata]


def listing_differs(book, name):
    """A listing is not what its first line says."""
    found = []
    for i, cell in cells(book):
        if not cell.source.startswith("# %load"):
            continue
        if not (mark := LISTING.match(cell.source)):
            found.append(f"cell {i}: {cell.source.splitlines()[0]!r} names no listing")
        elif cell.source.removeprefix(mark[0]) != definition(*mark.groups()):
            found.append(f"cell {i}: {mark[1]} differs from helpers/{mark[2]}.py")
    return found


def setup_differs(book, name):
    """The first code cell is not the set-up of all notebooks."""
    tagged = [i for i, c in cells(book) if "setup" in c.metadata.get("tags", [])]
    if [i for i, _ in cells(book)][:1] != tagged:
        return [f"tagged `setup` are {tagged}, not the first code cell alone"]
    same = book.cells[tagged[0]].source == SETUP.strip()
    return [] if same else [f"cell {tagged[0]} differs from helpers.notebook.SETUP"]


def setup_prints(book, name):
    """The set-up has something to say although notebook and project fit."""
    tagged = [(i, c) for i, c in cells(book) if "setup" in c.metadata.get("tags", [])]
    return [f"cell {i} has {len(c.outputs)} outputs" for i, c in tagged if c.outputs]


def no_alt(book, name):
    """A picture has no text for those who do not see it."""
    found = []
    for i, output in outputs(book):
        for kind in output.get("data", {}):
            told = output.get("metadata", {}).get(kind, {}).get("alt", "")
            if kind.startswith("image/") and not told.strip():
                found.append(f"cell {i}: no metadata['{kind}']['alt']")
    return found


def not_one_title(book, name):
    """There is not exactly one heading of the first level."""
    text = "\n\n".join(prose(c.source) for _, c in cells(book, "markdown"))
    titles = re.findall(r"^# .*$", text, flags=re.M)
    return [] if len(titles) == 1 else [f"titles are {titles}"]


def long_text(book, name):
    """A markdown cell is longer than one reads in one go."""
    counts = [(i, words(c.source)) for i, c in cells(book, "markdown")]
    return [f"cell {i} has {count} words" for i, count in counts if count > LIMIT_WORDS]


def long_code(book, name):
    """A code cell has too many lines. The first of a listing is not of its source."""
    found = []
    for i, cell in cells(book):
        limit = LIMIT_SETUP if "setup" in cell.metadata.get("tags", []) else LIMIT_CODE
        limit = 1 + LIMIT_LISTING if LISTING.match(cell.source) else limit
        count = len(cell.source.splitlines())
        if count > limit:
            found.append(f"cell {i} has {count} lines, limit {limit}")
    return found


def wide_code(book, name):
    """A line of code is wider than the page."""
    return [
        f"cell {i}: {line[:40]}... has {len(line)} characters"
        for i, cell in cells(book)
        for line in cell.source.splitlines()
        if len(line) > LIMIT_WIDTH and not LISTING.match(cell.source)
    ]


def names(book) -> tuple[set[str], set[str]]:
    """The names that a notebook has from elsewhere: by import, and by a listing."""
    imported, listed = {"__main__"}, set()
    for _, cell in cells(book):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported |= {(n.asname or n.name).split(".")[0] for n in node.names}
        if mark := LISTING.match(cell.source):
            listed.add(mark[1])
    return imported, listed


def root(node) -> str:
    """The name with which an expression begins: a of a.b[c].d()."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return getattr(node, "id", "")


def managers(node) -> list:
    """The context managers that a `with` or a decorator puts around a node's body."""
    entered = [item.context_expr for item in getattr(node, "items", ())]
    return entered + getattr(node, "decorator_list", [])


CHANGE = re.compile(r"setattr|delattr|patch|set_default_\w+|register_\w*hook")


def leaves_a_patch(book, name):
    """A cell changes what is not its own, and an interruption would leave it so.

    It may do so by a context manager: unittest.mock.patch, or the handle of a hook.
    """
    (imported, listed), found = names(book), []
    for i, cell in cells(book):
        if LISTING.match(cell.source) or "setup" in cell.metadata.get("tags", []):
            continue
        tree = ast.parse(cell.source)
        local = {n for f in tree.body if hasattr(f, "args") for n in ast.walk(f)}
        safe = {call for node in ast.walk(tree) for call in managers(node)}
        for node in {*ast.walk(tree)} - safe:
            stored = isinstance(getattr(node, "ctx", None), ast.Store | ast.Del)
            func = getattr(node, "func", None)
            called = getattr(func, "attr", ""), root(func)
            if (
                (stored and not isinstance(node, ast.Name) and root(node) in imported)
                or (stored and node not in local and root(node) in listed)
                or (isinstance(node, ast.stmt) and getattr(node, "name", "") in listed)
                or isinstance(node, ast.Global)
                or any(map(CHANGE.fullmatch, called))
            ):
                found.append(f"cell {i}: {ast.unparse(node)[:60]}")
    return found


def loose_figures(source: str) -> list[str]:
    """Figures that are made outside of `default_style`."""
    tree = ast.parse(source)
    styled = (
        {*ast.walk(node)}
        for node in ast.walk(tree)
        if any(ast.unparse(m).endswith("default_style()") for m in managers(node))
    )
    loose = {*ast.walk(tree)}.difference(*styled)
    made = (n for n in loose if isinstance(n, ast.Call) and root(n) == "Figure")
    return [*map(ast.unparse, made)]


def readers_style(book, name):
    """A cell makes a figure in the style that a reader may have set."""
    return [f"cell {i}: {f}" for i, c in cells(book) for f in loose_figures(c.source)]


def large(book, name):
    """The file is larger than GitHub shows quickly."""
    size = len(nbformat.writes(book).encode())
    return [f"{size:,} bytes"] if size > LIMIT_BYTES else []


def no_ledger(book, name):
    """The last code cell does not print what was verified."""
    last = cells(book)[-1][1].source.strip()
    return [] if last == "ledger()" else [f"the last code cell is {last[:40]!r}"]


def claim_twice(book, name):
    """Two checks state the same claim, so that the ledger counts them as one."""
    stated = [
        line.partition(" (")[0]
        for i, cell in cells(book)[:-1]
        for output in cell.outputs
        for line in output.get("text", "").splitlines()
        if line.startswith("✓ ")
    ]
    return [claim for claim in sorted(set(stated)) if stated.count(claim) > 1]


def wrong_badge(book, name):
    """The badge leads to another repository or another notebook, or there is none."""
    text = "\n".join(c.source for _, c in cells(book, "markdown"))
    found = BADGE.findall(text)
    return [] if found == [(SLUG, name)] else [f"badges lead to {found}"]


RULES = [
    not_run,
    out_of_order,
    errors,
    stderr,
    widget_state,
    timings,
    listing_differs,
    setup_differs,
    setup_prints,
    no_alt,
    not_one_title,
    long_text,
    long_code,
    wide_code,
    leaves_a_patch,
    readers_style,
    large,
    no_ledger,
    claim_twice,
    wrong_badge,
]


def called(rule):
    return rule.__name__


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.name[:2])
@pytest.mark.parametrize("rule", RULES, ids=called)
def test_notebook_keeps_the_rule(rule, path):
    complaints = rule(nbformat.read(path, as_version=4), path.name)
    assert not complaints, f"{rule.__doc__} {complaints}"


# The rules complain when they should, and only then.

NAME = "07_good.ipynb"
PICTURE = dict(
    output_type="display_data",
    data={"image/png": "aGVsbG8="},
    metadata={"image/png": {"alt": "A line that rises."}},
)


FOLDED = "\n\n<details><summary>Hint</summary>" + "word " * 130 + "</details>"


DRAWN = """\
with patch("__main__.merge", print), layer.register_forward_hook(print):
    x = draw()
x.y = 1
@figure.default_style()
def draw():
    return Figure()
with default_style():
    figure = Figure()
"""


def good():
    """A small notebook to which no rule objects."""
    link = f"https://colab.research.google.com/github/{SLUG}/blob/main/notebooks/{NAME}"
    listing = "# %load -s merge ../helpers/bpe.py\n" + definition("merge", "bpe")
    book = new_notebook(
        cells=[
            new_markdown_cell(f"[![Open]({link[:27]}.svg)]({link})\n\n# A title"),
            new_code_cell(SETUP.strip(), metadata={"tags": ["setup"]}),
            new_markdown_cell(
                "## Text\n\n```python\n# no title\n```\n" + "word " * 110
            ),
            new_markdown_cell("| a table |\n" * 130 + FOLDED + "[a](https://b.c/d e)"),
            new_code_cell(listing),
            new_code_cell(DRAWN, outputs=[new_output(**PICTURE)]),
            new_code_cell("ledger()"),
        ]
    )
    for count, (_, cell) in enumerate(cells(book), start=1):
        cell.execution_count = count
    return book


def edit(i, old, new):
    def change(book):
        assert old in book.cells[i].source
        book.cells[i].source = book.cells[i].source.replace(old, new)

    return change


def number(i, count):
    return lambda book: book.cells[i].update(execution_count=count)


def output(i=5, **fields):
    return lambda book: book.cells[i].outputs.append(new_output(**fields))


def said(text, i=5):
    return output(i, output_type="stream", name="stdout", text=text)


def marked(alt):
    return lambda book: book.cells[5].outputs[0].metadata.update({"image/png": alt})


def code(text):
    return lambda book: book.cells[5].update(source=text)


def text(text):
    return lambda book: book.cells[3].update(source=text)


def twice(i):
    return lambda book: book.cells.insert(i, copy.deepcopy(book.cells[i]))


BROKEN = [
    (not_run, number(4, None)),
    (out_of_order, number(4, 7)),
    (out_of_order, number(4, 1)),
    (errors, output(output_type="error", ename="E", evalue="", traceback=[])),
    (stderr, output(output_type="stream", name="stderr", text="warning")),
    (widget_state, lambda book: book.metadata.update(widgets={})),
    (timings, lambda book: book.cells[4].metadata.update(execution={})),
    (listing_differs, edit(4, "i += 2", "i += 1")),
    (listing_differs, edit(4, "../helpers/", "helpers/")),
    (listing_differs, lambda book: book.cells[4].update(source="# %load bpe.py")),
    (
        listing_differs,
        lambda book: book.cells[4].update(source=book.cells[4].source + "\n"),
    ),
    (setup_differs, edit(1, "shutil.rmtree", "print")),
    (setup_differs, lambda book: book.cells[1].metadata.clear()),
    (setup_differs, lambda book: book.cells.insert(0, book.cells.pop(5))),
    (setup_differs, twice(1)),
    (setup_prints, said("Cloning", 1)),
    (no_alt, output(**PICTURE | {"metadata": {}})),
    (no_alt, marked({})),
    (no_alt, marked({"alt": " "})),
    (no_alt, output(**PICTURE | {"data": {"image/jpeg": "aGVsbG8="}})),
    (not_one_title, text("# Another title")),
    (not_one_title, edit(0, "# A title", "A title")),
    (long_text, text("word " * 121)),
    (long_text, text("<details>a</details>" + "word " * 121 + "<details>a</details>")),
    (long_code, code("x = 1\n" * 26)),
    (long_code, edit(1, "import os", "import os\n" * 9)),
    (long_code, edit(4, "def merge", "x = 1\n" * 40 + "def merge")),
    (wide_code, code("x" * 80)),
    (wide_code, edit(1, "import os", "import os  # " + "x" * 70)),
    (leaves_a_patch, code("import helpers.train as t\nt.x = 1")),
    (leaves_a_patch, code("merge = print")),
    (leaves_a_patch, code("def merge():\n    pass")),
    (leaves_a_patch, code("import os\nos.environ['A'] = 'b'")),
    (leaves_a_patch, code("from helpers.layers import A\nA.fused = True")),
    (leaves_a_patch, code("def f():\n    global merge\n    merge = print")),
    (leaves_a_patch, code("setattr(merge, 'x', 1)")),
    (leaves_a_patch, code("with x:\n    merge = print")),
    (leaves_a_patch, code("patch('__main__.merge', print).start()")),
    (leaves_a_patch, code("hook = model.register_forward_hook(print)")),
    (leaves_a_patch, code("import torch\ntorch.set_default_dtype(torch.half)")),
    (readers_style, code("with open(x):\n    figure = Figure()")),
    (readers_style, code("def f():\n    return Figure(figsize=(1, 1)).subplots()")),
    (large, output(**PICTURE | {"data": {"image/png": "a" * 1_000_000}})),
    (no_ledger, lambda book: book.cells.append(new_code_cell("1 + 1"))),
    (claim_twice, said("✓ one is one\n✓ one is one (1)\n")),
    (wrong_badge, edit(0, SLUG, "somebody/else")),
    (wrong_badge, edit(0, NAME, "01_tokenizer.ipynb")),
    (wrong_badge, edit(0, "/blob/main/", "/blob/master/")),
]


@pytest.mark.parametrize("rule", RULES, ids=called)
def test_rule_lets_a_good_notebook_pass(rule):
    book = good()
    nbformat.validate(book)
    assert rule(book, NAME) == []


@pytest.mark.parametrize(
    "rule, damage", BROKEN, ids=[f"{called(r)}-{i}" for i, (r, _) in enumerate(BROKEN)]
)
def test_rule_complains_of_a_broken_notebook(rule, damage):
    book = good()
    damage(book)
    assert rule(book, NAME)


def test_every_rule_is_shown_to_complain():
    assert {rule for rule, _ in BROKEN} == set(RULES)


# Across notebooks.


def taught():
    return [nbformat.read(path, as_version=4) for path in notebooks()]


def verified(book) -> int:
    """Calls of check( in code cells, as far as a ✓ was printed for each."""
    count = 0
    for _, cell in cells(book):
        calls = len(re.findall(r"^\s*check\(", cell.source, flags=re.M))
        printed = "".join(o.get("text", "") for o in cell.outputs)
        count += min(calls, len(re.findall(r"^✓ ", printed, flags=re.M)))
    return count


def public(module: str) -> set[str]:
    """Functions and classes that a module defines, without _private ones."""
    tree = ast.parse((ROOT / "helpers" / f"{module}.py").read_text("utf-8"))
    kinds = ast.FunctionDef | ast.ClassDef
    names = {node.name for node in tree.body if isinstance(node, kinds)}
    return {name for name in names if not name.startswith("_")}


def test_there_are_six_notebooks():
    assert [path.stem for path in notebooks()] == NAMES


def test_checks_are_many_and_have_printed():
    assert sum(map(verified, taught())) >= MIN_CHECKS


def test_only_checks_that_have_printed_count():
    book = good()
    book.cells[5].source = 'check("a", True)\ncheck("b", True)'
    assert verified(book) == 0
    said("✓ a\n")(book)
    assert verified(book) == 1


@pytest.mark.parametrize("module", TAUGHT)
def test_everything_public_is_listed(module):
    marks = [LISTING.match(c.source) for book in taught() for _, c in cells(book)]
    listed = {mark[1] for mark in marks if mark and mark[2] == module}
    assert public(module) - NOT_LISTED - listed == set()


def test_exemptions_are_needed():
    assert set().union(*map(public, [*TAUGHT, "notebook"])) >= NOT_LISTED


def test_readme_leads_to_all_notebooks():
    found = BADGE.findall((ROOT / "README.md").read_text("utf-8"))
    assert set(found) == {(SLUG, f"{name}.ipynb") for name in NAMES}


# A listing is live, and one notebook alone finds its project.


def printed(book, folder) -> str:
    """Runs a notebook in a folder and returns what its last cell printed."""
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        book, timeout=120, kernel_name="python3", resources=resources
    )
    client.execute()
    return "".join(o.text for o in book.cells[-1].outputs if o.name == "stdout")


def up_to(mark: str, book) -> tuple[list, int]:
    """Code cells up to the first check after a listing, and the listing's place."""
    code = [cell for _, cell in cells(book)]
    place = next(i for i, c in enumerate(code) if c.source.startswith(mark))
    last = next(i for i in range(place, len(code)) if "check(" in code[i].source)
    return code[: last + 1], place


def test_an_edited_listing_changes_the_next_result():
    """In notebook 02, `attend` without its scaling no longer equals the loops."""
    lesson = nbformat.read(ROOT / "notebooks" / "02_layers.ipynb", as_version=4)
    code, place = up_to("# %load -s attend ", lesson)
    told = printed(new_notebook(cells=copy.deepcopy(code)), ROOT / "notebooks")
    assert "✓ the vectorised form equals the loops" in told
    edited = code[place].source.replace(" / q_BHTK.shape[-1] ** 0.5", "")
    assert edited != code[place].source
    code[place].source = edited
    with pytest.raises(CellExecutionError, match="✗ the vectorised form equals"):
        printed(new_notebook(cells=code), ROOT / "notebooks")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A local clone of what is committed, in the place of the one on GitHub."""
    if not (ROOT / ".git").exists():
        pytest.skip("this copy of the project is no git checkout")
    folder = tmp_path_factory.mktemp("published") / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture
def alone(published, tmp_path, monkeypatch):
    """An empty folder, and the address from which a notebook there fetches."""
    monkeypatch.setenv("MINI_TRANSFORMER_REPO", published.as_uri())
    return tmp_path


def test_a_notebook_alone_in_an_empty_folder_runs_twice(alone):
    lesson = nbformat.read(ROOT / "notebooks" / "02_layers.ipynb", as_version=4)
    lesson.cells = [cell for _, cell in cells(lesson)]
    ledger = lesson.cells[-1].outputs[0].text
    assert "✓" in ledger
    for _ in range(2):  # the second time the project is there
        assert printed(lesson, alone) == ledger
    assert [path.name for path in alone.iterdir()] == ["mini-transformer"]


def run_setup(folder) -> str:
    """Runs the set-up cell and returns where its kernel found helpers/."""
    source = SETUP + "\nprint(helpers.__file__)"
    return printed(new_notebook(cells=[new_code_cell(source)]), folder).strip()


def test_half_a_clone_is_repaired(alone):
    half = alone / "mini-transformer.part" / "helpers"
    half.mkdir(parents=True)
    (half / "notebook.py").write_text("", "utf-8")
    assert run_setup(alone) == str(alone / "mini-transformer/helpers/__init__.py")
    assert [path.name for path in alone.iterdir()] == ["mini-transformer"]


def test_a_folder_that_is_not_the_project_is_not_deleted(alone):
    thesis = alone / "mini-transformer" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.write_text("precious", "utf-8")
    with pytest.raises(CellExecutionError, match="not empty|exist"):
        run_setup(alone)
    assert thesis.read_text("utf-8") == "precious"


def test_setup_run_twice_in_one_kernel_changes_nothing(alone):
    sources = [SETUP, "print(sys.path)"] * 2
    book = new_notebook(cells=[new_code_cell(source) for source in sources])
    printed(book, alone)
    assert book.cells[1].outputs[0].text == book.cells[3].outputs[0].text
    assert str(alone / "mini-transformer") in book.cells[1].outputs[0].text[:200]


def test_the_project_comes_before_a_package_of_that_name(alone, monkeypatch):
    """The registry has a package called helpers."""
    other = alone / "site" / "helpers"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(other.parent))
    assert run_setup(alone) == str(alone / "mini-transformer/helpers/__init__.py")


def test_versions_that_differ_are_told_in_one_sentence(alone):
    old = SETUP.replace(f'"{__version__}"', '"0.0.9"')
    assert old != SETUP
    told = printed(new_notebook(cells=[new_code_cell(old)]), alone)
    assert told == f"This notebook is 0.0.9, the project {__version__}.\n"


def occupied(folder, monkeypatch):
    (folder / "mini-transformer" / "mine").mkdir(parents=True)


def taken_by_a_file(folder, monkeypatch):
    (folder / "mini-transformer").write_text("mine", "utf-8")


def without_git(folder, monkeypatch):
    monkeypatch.setenv("PATH", str(folder))


def read_only(folder, monkeypatch):
    def refuse(*arguments, **options):
        raise subprocess.CalledProcessError(128, "git", stderr="Read-only file system")

    monkeypatch.setattr(subprocess, "run", refuse)


def offline(folder, monkeypatch):
    monkeypatch.setenv("MINI_TRANSFORMER_REPO", (folder / "nowhere").as_uri())


@pytest.mark.parametrize(
    "cause, told",
    [
        (offline, "nowhere"),
        (without_git, "No such file or directory: 'git'"),
        (occupied, "mini-transformer is something else; rename it"),
        (taken_by_a_file, "mini-transformer is something else; rename it"),
        (read_only, "Read-only file system"),
    ],
)
def test_a_project_that_cannot_be_fetched_is_told_with_its_cause(
    cause, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    cause(tmp_path, monkeypatch)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(RuntimeError) as failed:
        exec(compile(SETUP, "set-up", "exec"), {})
    said = str(failed.value)
    assert said.startswith("Could not fetch ") and re.search(told, said)
    assert said.endswith("This takes git, a connection and a writable folder.")
    assert failed.value.__suppress_context__  # a short traceback
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def demonstration(number: str, mark: str) -> str:
    """The code of the cell that has this text."""
    book = nbformat.read(numbered(number), as_version=4)
    (found,) = (c.source for _, c in cells(book) if mark in c.source)
    return found


@pytest.fixture
def kernel(monkeypatch):
    """The names of a notebook, as its kernel has them, with a step and a run."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    vars(module).update(tempfile=tempfile, Path=Path, patch=patch, train_step=print)
    vars(module).update(TrainingRun=type("TrainingRun", (), {}))
    return vars(module)


def test_an_interrupted_kill_leaves_the_living_step(kernel, tmp_path, capsys):
    exec(demonstration("04", "def killed_run"), kernel)
    living, seen = kernel["train_step"], []

    def small_run(folder):
        seen.append(kernel["train_step"])
        raise KeyboardInterrupt if len(seen) < 3 else kernel["Killed"]

    kernel["small_run"] = small_run
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            kernel["killed_run"](tmp_path)
        assert kernel["train_step"] is living
        exec(demonstration("04", "def killed_run"), kernel)  # the cell, run again
    (tmp_path / "state.pt").touch()
    kernel["killed_run"](tmp_path)
    assert kernel["train_step"] is living and living not in seen
    step = types.SimpleNamespace(step=29)
    seen[-1](step, "a batch")  # reaches the living step, whatever came before
    assert capsys.readouterr().out.endswith("state.pt\nnamespace(step=29) a batch\n")


def test_an_interrupted_forgetful_run_leaves_the_class_that_remembers(kernel):
    complete, seen = kernel["TrainingRun"], []

    def small_run(folder):
        seen.append(kernel["TrainingRun"])
        raise KeyboardInterrupt

    kernel |= {"killed_run": lambda folder: None, "small_run": small_run}
    with pytest.raises(KeyboardInterrupt):
        exec(demonstration("04", "class Forgetful"), kernel)
    assert seen == [kernel["Forgetful"]] and kernel["TrainingRun"] is complete


@pytest.mark.parametrize("mark", ["register_forward_hook", "register_forward_pre_hook"])
def test_an_interrupted_hook_is_gone(mark, kernel):
    seen = []

    def fill_mask(model, *arguments):
        seen.append(hooks())
        raise KeyboardInterrupt

    def hooks():
        return len(part._forward_hooks) + len(part._forward_pre_hooks)

    part = torch.nn.Identity()
    part.output = part.attention = part
    kernel |= {"model": types.SimpleNamespace(blocks=[part] * 4), "words": []}
    kernel |= {"fill_mask": fill_mask, "tokenizer": None, "guess": part}
    part.words = []
    with pytest.raises(KeyboardInterrupt):
        exec(demonstration("05", mark), kernel)
    assert seen == [1] and hooks() == 0


def test_notebooks_are_plain_json():
    for path in notebooks():
        json.loads(path.read_text("utf-8"))


def test_an_exported_page_shows_the_explorers_picture():
    """Where no kernel runs, a picture stands in place of the widget; nothing loads."""
    html = pytest.importorskip("nbconvert").HTMLExporter()
    path = numbered("05")
    book = nbformat.read(path, as_version=4)
    (cell,) = (c for _, c in cells(book) if c.source.endswith("examples=examples)"))
    (output,) = cell.outputs
    assert "application/vnd.jupyter.widget-view+json" in output.data
    assert len(json.dumps(output)) < 300_000
    book.cells = [cell]
    page, _ = html.from_notebook_node(book)
    body = page[page.index("<body") :]
    assert output.data["image/png"].strip() in body.replace("\n", "")
    assert "widget-view" not in body and "Loading widget" not in body
