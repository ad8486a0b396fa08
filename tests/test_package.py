"""The packages: their floors, their size, and nothing of a developer's machine."""

import ast
import re
import subprocess
import sys

import nbformat
import pytest

from helpers import ROOT
from notebooks.source import notebooks

# The table in the README, lowest floor first.
README = (ROOT / "README.md").read_text("utf-8")
TABLE = re.findall(r"^\| \d+ \| (`.*`) \|$", README, re.M)
FLOORS = [re.findall(r"`(\w+)`", row) for row in TABLE]
FLOOR = {name: i for i, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted((ROOT / "helpers").glob("*.py"))
MACHINE = re.compile(r"/(?:home|root|work|tmp)/|/Users/|[A-Z]:\\\\")


def starts_program(node) -> bool:
    """if __name__ == "__main__": runs only as a program, so it is no import."""
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def imported(source: str) -> set[str]:
    """The modules of helpers/ that a module needs."""
    found = set()
    for top in ast.parse(source).body:
        for node in () if starts_program(top) else ast.walk(top):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert not node.level, "imports name their module in full"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            parts = [name.split(".") for name in names]
            found |= {p[1] for p in parts if p[0] == "helpers" and len(p) > 1}
    return found & FLOOR.keys()


def climbing(name: str, source: str) -> list[str]:
    """What a module imports from its own floor or one above, against the rule."""
    return [other for other in sorted(imported(source)) if FLOOR[other] >= FLOOR[name]]


def test_every_module_has_one_floor():
    assert sorted(["__init__", *sum(FLOORS, [])]) == [path.stem for path in MODULES]


@pytest.mark.parametrize("name", FLOOR)
def test_modules_import_from_floors_below_only(name):
    source = (ROOT / "helpers" / f"{name}.py").read_text("utf-8")
    assert climbing(name, source) == []


@pytest.mark.parametrize(
    "line",
    [
        "import helpers.train",
        "from helpers import train",
        "from helpers.train import train",
        "from helpers.model import ModelConfig",
        "def f():\n    from studies.lab.experiment import prepare",
    ],
)
def test_an_import_from_above_is_seen(line):
    assert climbing("data", line)


def test_imports_from_below_are_allowed():
    below = "from helpers import ROOT, toy\nfrom helpers.tokenizer import UNK"
    assert imported(below) == {"toy", "tokenizer"}
    assert climbing("data", below) == []


EXPLORER = sorted((ROOT / "explorer").glob("*.py"))


@pytest.mark.parametrize("module", EXPLORER, ids=lambda path: path.stem)
def test_the_explorer_stands_on_helpers_and_keeps_its_own_order(module):
    order = "card views controls widget __init__".split()
    assert {path.stem for path in EXPLORER} == {*order}
    source = module.read_text("utf-8")
    above = order[order.index(module.stem) :]
    assert [name for name in above if f"explorer.{name}" in source] == []
    found = re.findall(r"^ *(?:from|import) (\w+)", source, re.M)
    assert "studies" not in found and "tests" not in found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_helpers_knows_nothing_of_what_stands_on_it(module):
    source = module.read_text("utf-8")
    assert not re.search(r"^ *(?:from|import) (?:explorer|studies)\b", source, re.M)


@pytest.mark.parametrize(
    "modules, most", [(MODULES, 4_400), (EXPLORER, 980)], ids=["helpers", "explorer"]
)
def test_the_packages_are_small(modules, most):
    lines = {p.name: p.read_text("utf-8").splitlines() for p in modules}
    assert {n: len(text) for n, text in lines.items() if len(text) > 250} == {}
    wide = [
        f"{name}: {line}"
        for name, text in lines.items()
        for line in text
        if len(line.partition("  # noqa")[0]) > 88
    ]
    assert wide == []
    assert sum(map(len, lines.values())) <= most


def studies_only() -> list[str]:
    """Packages that the studies have installed and the notebooks do without."""
    lines = (ROOT / "studies" / "requirements.txt").read_text("utf-8").splitlines()
    names = [re.match(r"[\w-]+", line) for line in lines if line[:1].isalpha()]
    return [name.group().replace("-", "_") for name in names]


def imports_without(missing: list[str], source: str) -> str:
    """What goes wrong where the project's imports in `source` run without packages."""
    without = "".join(f"sys.modules[{name!r}] = None\n" for name in missing)
    line = r"^ *((?:from|import) (?:helpers|explorer|studies)\b(?:[^(\n]*$|[^)]*\)))"
    wanted = re.findall(line, source, re.M)
    program = f"import sys\n{without}" + "\n".join(sorted({*wanted}))
    found = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    return found.stderr


def test_notebooks_need_no_package_of_the_studies():
    assert {"scipy", "transformers", "x_transformers"} <= {*(gone := studies_only())}
    cells = [cell for path in notebooks() for cell in nbformat.read(path, 4).cells]
    code = "\n".join(c.source for c in cells if c.cell_type == "code")
    assert "from studies.tables import" in code
    assert imports_without(gone, code) == ""
    assert "import of scipy halted" in imports_without(gone, "import studies.dropout")


def machine_paths(text: str) -> list[str]:
    """Absolute paths of a machine, pictures in base64 left out."""
    text = re.sub(r'"image/png": "[^"]*"', "", text)
    return [text[m.start() : m.start() + 60] for m in MACHINE.finditer(text)]


def test_no_path_of_a_developers_machine():
    folders = ["helpers", "explorer", "notebooks", "README.md"]
    found = subprocess.run(
        ["git", "ls-files", *folders], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    names = found.stdout.split()
    if found.returncode:  # no git checkout
        paths = (*MODULES, *EXPLORER, *ROOT.glob("*/*.ipynb"))
        names = [str(path.relative_to(ROOT)) for path in paths]
    assert "helpers/model.py" in names
    for name in names:
        assert machine_paths((ROOT / name).read_text("utf-8")) == [], name


@pytest.mark.parametrize(
    "text, bad", [("/home/a/b", 1), ("/tmp/x", 1), ("/proc/cpuinfo /content/x", 0)]
)
def test_a_path_of_a_machine_is_seen(text, bad):
    assert len(machine_paths(text)) == bad
