"""The packages: no circle of imports, no arrow back up, and not too long."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import nbformat
import pytest

from helpers import ROOT
from notebooks.source import notebooks

# Each may import from itself and from those before it.
PACKAGES = "helpers explorer studies notebooks".split()
LONGEST_MODULE, LONGEST_PACKAGE = 250, {"helpers": 2_400, "studies": 3_600}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
MACHINE = re.compile(r"/(?:home|root|work|tmp)/|/Users/|[A-Z]:\\\\")


def imported(source: str) -> set[str]:
    """Returns the project's modules that a module imports, within functions too."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name their module in full"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= parts if parts <= MODULES.keys() else parts | {node.module}
    names |= {f"{name}.__init__" for name in names}
    return names & MODULES.keys()


GRAPH = {module: imported(source) for module, source in MODULES.items()}


def test_imports_have_no_circle_and_none_leads_back_up():
    TopologicalSorter(GRAPH).prepare()  # CycleError names the modules of a circle
    floors = {module: PACKAGES.index(module.split(".")[0]) for module in MODULES}
    climbing = {
        f"{module} imports {other}"
        for module, others in GRAPH.items()
        for other in others
        if floors[other] > floors[module]
    }
    assert climbing == set()


@pytest.mark.parametrize(
    "line, module",
    [
        ("import helpers.train", "helpers.train"),
        ("from helpers import files", "helpers.files"),
        ("def f():\n    from helpers.model import ModelConfig", "helpers.model"),
        ("from helpers import ROOT", "helpers.__init__"),
    ],
)
def test_every_form_of_import_is_seen(line, module):
    assert imported(line) == {module}


def test_modules_and_packages_are_short():
    lines = {module: source.count("\n") for module, source in MODULES.items()}
    assert {m: count for m, count in lines.items() if count > LONGEST_MODULE} == {}
    for package, most in LONGEST_PACKAGE.items():
        assert sum(lines[m] for m in MODULES if m.startswith(package)) <= most


def test_notebooks_need_no_package_of_the_studies():
    """Run where the studies' own packages are missing, their imports succeed."""
    path = ROOT / "studies" / "requirements.txt"
    own = re.findall(r"^[a-z][\w-]*", path.read_text("utf-8"), re.M)
    assert "transformers" in own
    missing = [f"sys.modules[{name.replace('-', '_')!r}] = None" for name in own]
    cells = [cell for path in notebooks() for cell in nbformat.read(path, 4).cells]
    trees = [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]
    imports = {
        ast.unparse(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in PACKAGES
    }
    program = "\n".join(["import sys", *missing, *sorted(imports)])
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.stderr == ""


def test_no_path_of_a_developers_machine():
    paths = [*notebooks(), ROOT / "README.md"]
    texts = MODULES | {path.name: path.read_text("utf-8") for path in paths}
    for name, text in texts.items():
        picture = r'"image/png": "[^"]*"'  # letters of base64 may look like a path
        assert not MACHINE.search(re.sub(picture, "", text)), name
    assert MACHINE.search("in /home/a/b") and not MACHINE.search("/proc /content/x")
