"""The gate of the notebooks: what a rule forbids, no published notebook may hold.

A rule takes a notebook and its name and yields complaints. It runs over every
notebook, and is shown to complain once one of them is damaged.
"""

import ast
import copy
import json
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_output

from helpers import ROOT
from notebooks.address import SLUG
from notebooks.listings import FOLDED, LISTING, SETUP, listing_source
from notebooks.notebook_files import notebook_paths, read_notebook

BADGE = re.compile(
    r"https://colab\.research\.google\.com/github/([\w.-]+/[\w.-]+)"
    r"/blob/main/notebooks/([\w.-]+\.ipynb)"
)
LIMIT_WORDS, LIMIT_WIDTH, LIMIT_BYTES, LIMIT_CELLS = 120, 79, 1_000_000, 60
LIMIT_CODE, LIMIT_SETUP, LIMIT_LISTING = 25, 30, 40
BOOKS = {path.name: read_notebook(path) for path in notebook_paths()}
DAMAGES = []  # a rule, how to break it, and how many complaints follow


def cells(book, kind="code"):
    """Numbers and cells of one kind."""
    return [(i, c) for i, c in enumerate(book.cells) if c.cell_type == kind]


def outputs(book):
    return [(i, output) for i, cell in cells(book) for output in cell.outputs]


def prose(book) -> str:
    return "\n\n".join(cell.source for _, cell in cells(book, "markdown"))


def is_setup(cell) -> bool:
    return "setup" in cell.metadata.get("tags", [])


def rule(damage, complaints=1):
    return lambda function: DAMAGES.append((function, damage, complaints)) or function


def put(place, **fields):
    """A damage: changes a code cell."""
    return lambda book: cells(book)[place][1].update(fields)


def edit(kind, old, new):
    """A damage: changes the text of the first cell of a kind that has it."""

    def change(book):
        cell = next(cell for _, cell in cells(book, kind) if old in cell.source)
        cell.source = cell.source.replace(old, new)

    return change


def output(**fields):
    """A damage: adds an output to the second code cell."""
    return lambda book: cells(book)[1][1].outputs.append(new_output(**fields))


@rule(put(1, execution_count=7))
@rule(output(output_type="stream", name="stderr", text="a warning"))
@rule(put(1, metadata={"execution": {}}))
def ran_badly(book, name):
    """Cells ran out of order, warned or failed, or kept what differs in each run."""
    counts = [cell.execution_count for _, cell in cells(book)]
    if counts != [*range(1, len(counts) + 1)]:
        yield f"counts are {counts}"
    for i, o in outputs(book):
        if o.output_type == "error" or o.get("name") == "stderr":
            yield f"cell {i}: {o.get('ename', 'stderr')}"
    yield from (f"cell {i}" for i, c in cells(book) if "execution" in c.metadata)
    yield from book.metadata.keys() & {"widgets"}


@rule(edit("code", "# %load -s attend ../helpers/layers.py", "# %load attend"))
@rule(edit("code", "def attend(", "def attend_to("))
def listing_differs(book, name):
    """A listing is not what its first line says."""
    for i, cell in cells(book):
        mark = LISTING.match(cell.source)
        if mark and cell.source.removeprefix(mark[0]) != listing_source(*mark.groups()):
            yield f"cell {i}: {mark[1]} differs from {mark[2]}.py"
        if not mark and cell.source.startswith("# %load"):
            yield f"cell {i}: {cell.source[:60]!r} names no listing"


@rule(edit("code", "shutil.rmtree", "print"))
@rule(put(1, metadata=FOLDED | {"tags": ["setup"]}))
def setup_differs(book, name):
    """The first code cell alone is the set-up, that of all notebooks, and is silent."""
    first, *others = [cell for _, cell in cells(book)]
    if not is_setup(first) or any(map(is_setup, others)):
        yield "tagged `setup` is not the first code cell alone"
    elif first.source != SETUP.strip() or first.outputs:
        yield "it differs from notebooks.listings.SETUP, or prints"


BARE = {"image/png": "aGVsbG8=", "text/html": '<img alt=" " src="data:,">'}


@rule(output(output_type="display_data", data=BARE), complaints=2)
def no_alt(book, name):
    """A picture has no text that reaches those who do not see it."""
    for i, o in outputs(book):
        data = o.get("data", {})
        images = re.findall(r"<img\b[^>]*>", data.get("text/html", ""))
        bare = [kind for kind in data if kind.startswith("image/")]
        bare += [x[:40] for x in images if not re.search(r'alt="[^"]*\w', x)]
        yield from (f"cell {i}: {what}" for what in bare)


@rule(put(1, source="import torch", metadata={}))
@rule(put(1, source="# @title A plot", metadata={}))
def not_collapsed(book, name):
    """Apparatus (a cell of imports, or one with a title) is not folded away.

    `python -m notebooks --relist` folds the cells whose first line is `# @title …`.
    """
    for i, cell in cells(book):
        kinds, titled = ast.Import | ast.ImportFrom, cell.source.startswith("# @title")
        imports = all(isinstance(node, kinds) for node in ast.parse(cell.source).body)
        folded = titled and FOLDED.items() <= cell.metadata.items()
        if (titled or imports) and not folded:
            yield f"cell {i}: {cell.source[:40]!r}"


@rule(edit("markdown", "\n## ", "\n# "))
@rule(edit("markdown", SLUG, "somebody/else"))
def wrong_head(book, name):
    """There is not exactly one title, or not exactly the badge of this notebook."""
    text = re.sub(r"^ *(```|~~~).*?^ *\1", "", prose(book), flags=re.M | re.S)
    if len(titles := re.findall(r"^# .*$", text, flags=re.M)) != 1:
        yield f"titles are {titles}"
    if (badges := BADGE.findall(prose(book))) != [(SLUG, name)]:
        yield f"badges lead to {badges}"


def words(text: str) -> int:
    """Words to be read: not URLs, tables, or hints that are folded away."""
    text = re.sub(r"<details>.*?</details>", "", text, flags=re.S)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"^ *\|.*$", "", text, flags=re.M))
    text = re.sub(r"https?://\S+|<[^>]*>", "", text)
    return sum(any(map(str.isalnum, word)) for word in text.split())


@rule(edit("markdown", "\n## ", "<details>a</details>" + "word " * 121 + "\n## "))
@rule(put(-2, source=f"{'x' * 80}\n" + "x = 1\n" * 26), complaints=2)
@rule(edit("code", "# %load -s attend ", "# %load -s attend " + "\n" * 40))
@rule(lambda book: book.cells.extend(map(new_code_cell, "x" * 60)))
@rule(output(output_type="display_data", data={"image/png": "a" * LIMIT_BYTES}))
def too_long(book, name):
    """A cell is longer or wider than one reads in one go, or the notebook is."""
    for i, cell in cells(book, "markdown"):
        if (count := words(cell.source)) > LIMIT_WORDS:
            yield f"cell {i} has {count} words"
    for i, cell in cells(book):
        lines = cell.source.splitlines()
        limit = LIMIT_SETUP if is_setup(cell) else LIMIT_CODE
        if cell.source.startswith("# %load"):  # whose first line is not of its source
            lines, limit = lines[1:], LIMIT_LISTING
        elif wide := [line for line in lines if len(line) > LIMIT_WIDTH]:
            yield f"cell {i}: {wide[0][:40]}... is too wide"
        if len(lines) > limit:
            yield f"cell {i} has {len(lines)} lines, limit {limit}"
    if len(book.cells) > LIMIT_CELLS:
        yield f"{len(book.cells)} cells"
    if (size := len(nbformat.writes(book).encode())) > LIMIT_BYTES:
        yield f"{size:,} bytes"


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
                yield f"cell {i}: {ast.unparse(node)[:60]}"


@rule(put(-2, source="figure = Figure(figsize=(1, 1))"))
def readers_style(book, name):
    """A cell makes a figure in the style that a reader may have set."""
    for i, cell in cells(book):
        if "Figure(" in cell.source and "default_style()" not in cell.source:
            yield f"cell {i}"


def claims(book) -> list[str]:
    """What checks have printed, exercises left out."""
    printed = [o.get("text", "") for _, o in outputs(book)]
    return re.findall(r"^✓ (?!Exercise )(.*?)(?: \(.*)?$", "".join(printed), flags=re.M)


@rule(output(output_type="stream", name="stdout", text="✓ one\n✓ one (1)\n"))
@rule(put(-1, source="x = 1"))
def no_ledger(book, name):
    """The last code cell does not count the claims, or one is made twice."""
    yield from {claim for claim in claims(book) if claims(book).count(claim) > 1}
    if (last := cells(book)[-1][1].source.strip()) != "ledger()":
        yield f"the last code cell is {last[:40]!r}"


@pytest.mark.parametrize("name", BOOKS)
@pytest.mark.parametrize("rule", dict.fromkeys(rule for rule, *_ in DAMAGES))
def test_notebook_keeps_the_rule(rule, name):
    complaints = [*rule(BOOKS[name], name)]
    assert not complaints, f"{rule.__doc__} {complaints}"


@pytest.mark.parametrize("rule, damage, complaints", DAMAGES)
def test_rule_complains_of_a_damaged_notebook(rule, damage, complaints):
    name = "02_layers.ipynb"
    damage(book := copy.deepcopy(BOOKS[name]))
    assert len([*rule(book, name)]) == complaints


def test_checks_are_many():
    assert sum(len(claims(book)) for book in BOOKS.values()) >= 60


def test_readme_leads_to_all_notebooks():
    badges = BADGE.findall((ROOT / "README.md").read_text("utf-8"))
    assert {*badges} == {(SLUG, name) for name in BOOKS}


def test_an_exported_page_shows_the_explorers_picture():
    """Where no kernel runs, a picture stands in place of the widget; nothing loads."""
    html = pytest.importorskip("nbconvert").HTMLExporter()
    book = copy.deepcopy(BOOKS["05_attention.ipynb"])
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
