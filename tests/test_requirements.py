"""What is imported is declared, in ranges that hold here and on Colab."""

import ast
import re
import sys
from importlib.metadata import packages_distributions, version

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical

from helpers import ROOT
from notebooks.source import notebooks

# Which folders a file of requirements is for, beside those of the files it includes.
FILES = {
    "requirements.txt": ("helpers", "explorer", "notebooks"),
    "studies/requirements.txt": ("studies",),
    "tests/requirements.txt": ("tests", "conftest.py"),
}
OURS = {"helpers", "explorer", "studies", "tests", "conftest"}
OURS |= {path.stem for path in (ROOT / "tests").glob("*.py")}
COLAB_ONLY = {"google"}
PROGRAMS = {"jupyterlab", "ruff"}  # are started, not imported


def declared(name: str) -> dict[str, Requirement]:
    """The requirements of a file and of those it includes, by canonical name."""
    found = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if line.startswith("-r "):
            path = (ROOT / name).parent / line[3:]
            found |= declared(str(path.resolve().relative_to(ROOT)))
        elif line.strip() and line[0] != "#":
            requirement = Requirement(line)
            found[canonical(requirement.name)] = requirement
    return found


def sources(places: tuple[str, ...]) -> list[str]:
    """The Python code of modules and notebooks."""
    found = []
    for place in places:
        if place == "notebooks":
            cells = [c for path in notebooks() for c in nbformat.read(path, 4).cells]
            found += [cell.source for cell in cells if cell.cell_type == "code"]
        else:
            paths = [ROOT / place] if place.endswith(".py") else []
            paths += (ROOT / place).rglob("*.py")
            found += [path.read_text("utf-8") for path in paths]
    return found


def imported(source: str) -> set[str]:
    """Top-level names of the packages of others that some code imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - OURS - COLAB_ONLY


def undeclared(source: str, packages: set[str]) -> set[str]:
    """What some code imports from packages that are not among the declared ones."""
    of = packages_distributions()
    return {
        name
        for name in imported(source)
        if not packages & {canonical(package) for package in of.get(name, [name])}
    }


@pytest.mark.parametrize("file", FILES)
def test_what_is_imported_is_declared(file):
    packages, wanted = {*declared(file)}, sources(FILES[file])
    assert len(wanted) > 3
    assert set().union(*(undeclared(code, packages) for code in wanted)) == set()


def test_an_import_without_a_line_is_seen():
    code = "def f():\n    from PIL import Image\nimport numpy.linalg, os, helpers.hub"
    assert undeclared(code, {"numpy"}) == {"PIL"}
    assert undeclared(code, {"numpy", "pillow"}) == set()
    assert undeclared("import no_such_package", {"numpy"}) == {"no_such_package"}


@pytest.mark.parametrize("file", FILES)
def test_what_is_declared_is_imported_or_a_program(file):
    names = set().union(*map(imported, sources(sum(FILES.values(), ()))))
    of = packages_distributions()
    used = {canonical(package) for name in names for package in of.get(name, [])}
    assert {*declared(file)} - used - PROGRAMS == set()


@pytest.mark.parametrize("file", FILES)
def test_the_versions_here_are_in_the_ranges(file):
    for name, requirement in declared(file).items():
        assert requirement.specifier.contains(version(name), prereleases=True), name


def test_colabs_versions_are_in_the_ranges_of_the_notebooks():
    text = (ROOT / "tests" / "colab-requirements.txt").read_text("utf-8")
    colab = {
        canonical(name): pin
        for name, pin in re.findall(r"^([\w.-]+)==(\S+)$", text, re.M)
    }
    wanted = declared("requirements.txt")
    for name in wanted.keys() & colab.keys():
        assert wanted[name].specifier.contains(colab[name]), name
    # Of filelock, torch brings there whichever it needs.
    others = {"torch", "filelock", "jupyterlab", "nbval"}
    assert wanted.keys() - colab.keys() == others
    assert all(len(wanted[name].specifier) == 2 for name in wanted)
