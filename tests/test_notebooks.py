"""The gate of the notebooks: what a rule forbids, no published notebook may hold.

A rule takes a notebook and its name and returns complaints. It runs over every
notebook, and is shown to complain once one of them is damaged.
"""

import ast
import copy
import json
import re

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook, new_output

from helpers import ROOT
from notebooks.source import (
    FOLDED,
    LISTING,
    SETUP,
    SLUG,
    definition,
    notebooks,
    numbered,
)

TAUGHT = "tokenizer bpe layers masking data model optimize run train evaluate".split()
NOT_LISTED = {
    "check_model_config",  # says which sizes go together; 02 and 03 meet them
    "require_known",  # refuses a text that is encoded for another model
    "require_match",  # refuses a text that is cut for another model
    "require_same_words",  # refuses a tokenizer of another model
    "shallow_copy",  # leaves alone a reader's model, whose mode and layers are its own
    "attend_fused",  # `attend` as torch has it; 02 compares the two
    "gather_positions",  # takes some positions of a row; 02 and 03 use it
    "memory_advice",  # says what to try where a batch does not fit into memory
    "encode_lines",  # calls the tokenizer of 01 once for each line
    "fill",  # adds [PAD]; `pad` and `bucket` in 07 say how much
    "steps_per_epoch",  # a division, which 04 and 07 use
    "token_bytes",  # the bytes of each id, which 01 shows at work
}
BADGE = re.compile(
    r"https://colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)"
    r"/blob/main/notebooks/([\w.-]+\.ipynb)"
)
LIMIT_WORDS, LIMIT_WIDTH, LIMIT_BYTES, LIMIT_CELLS = 120, 79, 1_000_000, 60
LIMIT_CODE, LIMIT_SETUP, LIMIT_LISTING = 25, 30, 40
BOOKS = {path.name: nbformat.read(path, as_version=4) for path in notebooks()}


def cells(book, kind="code"):
    """Numbers and cells of one kind."""
    return [(i, c) for i, c in enumerate(book.cells) if c.cell_type == kind]


def outputs(book):
    return [(i, output) for i, cell in cells(book) for output in cell.outputs]


def is_setup(cell) -> bool:
    return "setup" in cell.metadata.get("tags", [])


def words(text: str) -> int:
    """Words to be read: not URLs, tables, or hints that are folded away."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"^ *\|.*$", "", text, flags=re.M))
    text = re.sub(r"https?://\S+|<[^>]*>", "", text)
    return sum(any(map(str.isalnum, word)) for word in text.split())


# Ways to damage a notebook.


def put(place, **fields):
    """Changes a code cell."""
    return lambda book: cells(book)[place][1].update(fields)


def edit(kind, old, new):
    """Changes the text of the first cell of a kind that has it."""

    def change(book):
        cell = next(cell for _, cell in cells(book, kind) if old in cell.source)
        cell.source = cell.source.replace(old, new)

    return change


def output(**fields):
    """Adds an output to the second code cell."""
    return lambda book: cells(book)[1][1].outputs.append(new_output(**fields))


RULES = {}


def rule(damage, complaints=1):
    """Marks a rule, and says how many complaints follow from a damage."""
    return lambda function: (
        RULES.setdefault(function, (damage, complaints)) and function
    )


# The rules.


@rule(put(1, execution_count=7))
def not_run_in_order(book, name):
    """Cells were not run once each, from top to bottom."""
    counts = [cell.execution_count for _, cell in cells(book)]
    return [] if counts == [*range(1, len(counts) + 1)] else [f"counts are {counts}"]


@rule(output(output_type="stream", name="stderr", text="a warning"))
def fails_or_warns(book, name):
    """A cell ended with an error, or wrote a warning or a progress bar."""
    return [
        f"cell {i}: {o.get('ename', 'stderr')}"
        for i, o in outputs(book)
        if o.output_type == "error" or o.get("name") == "stderr"
    ]


@rule(put(1, metadata={"execution": {}}))
def differs_from_run_to_run(book, name):
    """The metadata hold when a cell ran, or the state of widgets."""
    timed = [f"cell {i}" for i, c in cells(book) if "execution" in c.metadata]
    return timed + [key for key in book.metadata if key == "widgets"]


@rule(edit("code", "# %load -s attend ../helpers/layers.py", "# %load attend"))
def listing_differs(book, name):
    """A listing is not what its first line says."""
    complaints = []
    for i, cell in cells(book):
        if mark := LISTING.match(cell.source):
            if cell.source.removeprefix(mark[0]) != definition(*mark.groups()):
                complaints.append(f"cell {i}: {mark[1]} differs from {mark[2]}.py")
        elif cell.source.startswith("# %load"):
            complaints.append(f"cell {i}: {cell.source[:60]!r} names no listing")
    return complaints


@rule(edit("code", "shutil.rmtree", "print"))
def setup_differs(book, name):
    """The first code cell alone is the set-up, that of all notebooks, and is silent."""
    first = cells(book)[0][1]
    if [cell for _, cell in cells(book) if is_setup(cell)] != [first]:
        return ["tagged `setup` is not the first code cell alone"]
    same = first.source == SETUP.strip() and not first.outputs
    return [] if same else ["it differs from notebooks.source.SETUP, or prints"]


BARE = {"image/png": "aGVsbG8=", "text/html": '<img alt=" " src="data:,">'}


@rule(output(output_type="display_data", data=BARE), complaints=2)
def no_alt(book, name):
    """A picture has no text that reaches those who do not see it."""
    complaints = []
    for i, o in outputs(book):
        data = o.get("data", {})
        bare = [kind for kind in data if kind.startswith("image/")]
        images = re.findall(r"<img\b[^>]*>", data.get("text/html", ""))
        silent = [x[:40] for x in images if not re.search(r'alt="[^"]*\w', x)]
        complaints += [f"cell {i}: {what}" for what in bare + silent]
    return complaints


@rule(lambda book: book.cells.extend([new_code_cell("x")] * 60))
def many_cells(book, name):
    """The notebook is longer than one reads in one sitting."""
    count = len(book.cells)
    return [f"{count} cells"] if count > LIMIT_CELLS else []


def imports_alone(source: str) -> bool:
    kinds = ast.Import | ast.ImportFrom
    return all(isinstance(node, kinds) for node in ast.parse(source).body)


@rule(put(1, source="import torch", metadata={}))
def not_collapsed(book, name):
    """Apparatus (a cell of imports, or one with a title) is not folded away.

    `python -m notebooks --relist` folds the cells whose first line is `# @title …`.
    """
    return [
        f"cell {i}: {cell.source[:40]!r}"
        for i, cell in cells(book)
        if (titled := cell.source.startswith("# @title")) or imports_alone(cell.source)
        if not (titled and FOLDED.items() <= cell.metadata.items())
    ]


@rule(edit("markdown", "\n## ", "\n# "))
def not_one_title(book, name):
    """There is not exactly one heading of the first level."""
    text = "\n\n".join(cell.source for _, cell in cells(book, "markdown"))
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", text, flags=re.M | re.S)
    titles = re.findall(r"^# .*$", text, flags=re.M)
    return [] if len(titles) == 1 else [f"titles are {titles}"]


@rule(edit("markdown", "\n## ", "<details>a</details>" + "word " * 121 + "\n## "))
def long_text(book, name):
    """A markdown cell is longer than one reads in one go."""
    counts = [(i, words(cell.source)) for i, cell in cells(book, "markdown")]
    return [f"cell {i} has {count} words" for i, count in counts if count > LIMIT_WORDS]


@rule(put(-2, source=f"{'x' * 80}\n" + "x = 1\n" * 26), complaints=2)
def long_or_wide_code(book, name):
    """A code cell has too many lines, or one wider than the page."""
    complaints = []
    for i, cell in cells(book):
        lines = cell.source.splitlines()
        limit = LIMIT_SETUP if is_setup(cell) else LIMIT_CODE
        if LISTING.match(cell.source):  # whose first line is not of its source
            lines, limit = lines[1:], LIMIT_LISTING
        elif wide := [line for line in lines if len(line) > LIMIT_WIDTH]:
            complaints.append(f"cell {i}: {wide[0][:40]}... is too wide")
        if len(lines) > limit:
            complaints.append(f"cell {i} has {len(lines)} lines, limit {limit}")
    return complaints


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
PATCHES = """\
import helpers.train as t
t.x = 1
attend = print
def attend(): pass
del t.y[0]
def f(): global attend
setattr(attend, 'x', 1)
patch('__main__.attend', print).start()
hook = model.register_forward_hook(print)
torch.set_default_dtype(torch.half)
"""


@rule(put(-2, source=PATCHES), complaints=10)  # two of them of patch().start()
def leaves_a_patch(book, name):
    """A cell changes what is not its own, and an interruption would leave it so.

    It may do so by a context manager: unittest.mock.patch, or the handle of a hook.
    """
    code = [cell.source for _, cell in cells(book)]
    listed = {mark[1] for mark in map(LISTING.match, code) if mark}
    nodes = [node for source in code for node in ast.walk(ast.parse(source))]
    imports = [n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)]
    names = [alias.asname or alias.name for node in imports for alias in node.names]
    imported = {"__main__"} | {name.split(".")[0] for name in names}
    complaints = []
    for i, cell in cells(book):
        if LISTING.match(cell.source) or is_setup(cell):
            continue
        tree = ast.parse(cell.source)
        local = {n for f in tree.body if hasattr(f, "args") for n in ast.walk(f)}
        managed = {call for node in ast.walk(tree) for call in managers(node)}
        for node in {*ast.walk(tree)} - managed:
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
                complaints.append(f"cell {i}: {ast.unparse(node)[:60]}")
    return complaints


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


@rule(
    put(-2, source="with open(x):\n    figure = Figure(figsize=(1, 1)).subplots()"), 2
)
def readers_style(book, name):
    """A cell makes a figure in the style that a reader may have set."""
    return [f"cell {i}: {f}" for i, c in cells(book) for f in loose_figures(c.source)]


@rule(output(output_type="display_data", data={"image/png": "a" * LIMIT_BYTES}))
def large(book, name):
    """The file is larger than GitHub shows quickly."""
    size = len(nbformat.writes(book).encode())
    return [f"{size:,} bytes"] if size > LIMIT_BYTES else []


def claims(book) -> list[str]:
    """What checks have printed, exercises left out."""
    printed = [o.get("text", "") for _, o in outputs(book)]
    return re.findall(r"^✓ (?!Exercise )(.*?)(?: \(.*)?$", "".join(printed), flags=re.M)


@rule(output(output_type="stream", name="stdout", text="✓ one\n✓ one (1)\n"))
def no_ledger(book, name):
    """The last code cell does not count the claims, or one is made twice."""
    last = cells(book)[-1][1].source.strip()
    twice = {claim for claim in claims(book) if claims(book).count(claim) > 1}
    return [*twice] if last == "ledger()" else [f"the last code cell is {last[:40]!r}"]


@rule(edit("markdown", SLUG, "somebody/else"))
def wrong_badge(book, name):
    """The badge leads to another repository or another notebook, or there is none."""
    text = "\n".join(cell.source for _, cell in cells(book, "markdown"))
    badges = BADGE.findall(text)
    return [] if badges == [(SLUG, name)] else [f"badges lead to {badges}"]


@pytest.mark.parametrize("name", BOOKS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_notebook_keeps_the_rule(rule, name):
    complaints = rule(BOOKS[name], name)
    assert not complaints, f"{rule.__doc__} {complaints}"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_complains_of_a_damaged_notebook(rule):
    name = "02_layers.ipynb"
    book, (damage, complaints) = copy.deepcopy(BOOKS[name]), RULES[rule]
    before = len(rule(book, name))
    damage(book)
    assert len(rule(book, name)) - before == complaints


# Across notebooks.


def test_checks_are_many():
    assert sum(len(claims(book)) for book in BOOKS.values()) >= 60


def test_everything_public_is_listed():
    marks = [LISTING.match(c.source) for b in BOOKS.values() for _, c in cells(b)]
    listed = {(mark[2], mark[1]) for mark in marks if mark}
    public = {
        (module, node.name)
        for module in TAUGHT
        for node in ast.parse((ROOT / f"helpers/{module}.py").read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    missing = {f"{m}.{name}" for m, name in public - listed if name not in NOT_LISTED}
    assert missing == set() and {*NOT_LISTED} <= {name for _, name in public - listed}


def test_readme_leads_to_all_notebooks():
    badges = BADGE.findall((ROOT / "README.md").read_text("utf-8"))
    assert {*badges} == {(SLUG, name) for name in BOOKS}


def test_an_edited_listing_changes_the_next_result():
    """In notebook 02, `attend` without its scaling no longer equals the loops."""
    code = [cell for _, cell in cells(copy.deepcopy(BOOKS["02_layers.ipynb"]))]
    sources = [cell.source for cell in code]
    place = next(i for i, s in enumerate(sources) if s.startswith("# %load -s attend "))
    last = next(i for i in range(place, len(code)) if "check(" in sources[i])
    code[place].source = sources[place].replace(" / q_BHTK.shape[-1] ** 0.5", "")
    assert code[place].source != sources[place]
    where = {"metadata": {"path": str(ROOT / "notebooks")}}
    lesson = new_notebook(cells=code[: last + 1])
    with pytest.raises(CellExecutionError, match="✗ the vectorised form gives"):
        NotebookClient(lesson, kernel_name="python3", resources=where).execute()


def test_an_exported_page_shows_the_explorers_picture():
    """Where no kernel runs, a picture stands in place of the widget; nothing loads."""
    html = pytest.importorskip("nbconvert").HTMLExporter()
    book = nbformat.read(numbered("05"), as_version=4)
    (cell,) = (c for _, c in cells(book) if c.source.endswith("examples=examples)"))
    (output,) = cell.outputs
    assert "application/vnd.jupyter.widget-view+json" in output.data
    assert len(json.dumps(output)) < 300_000
    book.cells = [cell]
    page, _ = html.from_notebook_node(book)
    body = page[page.index("<body") :]
    (picture,) = re.findall('src="([^"]+)"', output.data["text/html"])
    assert f'src="{picture}"' in body
    assert "widget-view" not in body and "Loading widget" not in body
