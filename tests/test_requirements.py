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
    "tests/requirements.txt": ("tests",),
}
OURS = {"conftest", *(name for names in FILES.values() for name in names)}
OURS |= {path.stem for path in (ROOT / "tests").glob("*.py")}
COLAB_ONLY = {"google"}
PROGRAMS = {"jupyterlab", "nbval", "ruff"}  # are run, not imported
DISTRIBUTIONS = packages_distributions()


def declared(name: str) -> dict[str, Requirement]:
    """Returns the requirements of a file and of those it includes, by name."""
    text = (ROOT / name).read_text("utf-8")
    requirements = map(Requirement, re.findall(r"^\w.*", text, re.M))
    by_name = {canonical(requirement.name): requirement for requirement in requirements}
    for included in re.findall(r"^-r (.*)", text, re.M):
        path = (ROOT / name).parent.joinpath(included).resolve()
        by_name |= declared(str(path.relative_to(ROOT)))
    return by_name


def imported(source: str) -> set[str]:
    """Returns the packages of others that some code imports anywhere."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module)
    tops = {name.partition(".")[0] for name in names}
    return tops - sys.stdlib_module_names - OURS - COLAB_ONLY


def imports_of(folder: str) -> set[str]:
    """Returns the packages of others that a folder's modules and notebooks import."""
    code = [path.read_text("utf-8") for path in (ROOT / folder).rglob("*.py")]
    if folder == "notebooks":
        cells = [cell for path in notebooks() for cell in nbformat.read(path, 4).cells]
        code += [cell.source for cell in cells if cell.cell_type == "code"]
    return set().union(*map(imported, code))


def undeclared(packages: set[str], names) -> set[str]:
    """Returns the packages that come with none of the declared names."""
    return {
        package
        for package in packages
        if not {*map(canonical, DISTRIBUTIONS.get(package, [package]))} & {*names}
    }


@pytest.mark.parametrize("file", FILES)
def test_what_is_imported_is_declared_and_what_is_declared_is_used(file):
    names = declared(file)
    for folder in FILES[file]:
        packages = imports_of(folder)
        assert packages and undeclared(packages, names) == set()
    used = set().union(*map(imports_of, sum(FILES.values(), ())))
    brought = {canonical(name) for p in used for name in DISTRIBUTIONS.get(p, [])}
    assert {*names} - brought - PROGRAMS == set()


def test_an_import_without_a_line_is_seen():
    code = "def f():\n    from PIL import Image\nimport numpy.linalg, os, helpers.hub"
    assert undeclared(imported(code), {"numpy"}) == {"PIL"}
    assert undeclared(imported(code), {"numpy", "pillow"}) == set()


@pytest.mark.parametrize("file", FILES)
def test_the_versions_here_are_in_the_ranges(file):
    for name, requirement in declared(file).items():
        assert requirement.specifier.contains(version(name), prereleases=True), name


def test_colabs_versions_are_in_the_ranges_of_the_notebooks():
    text = (ROOT / "tests" / "colab-requirements.txt").read_text("utf-8")
    pins = {canonical(n): v for n, v in re.findall(r"^([\w.-]+)==(\S+)$", text, re.M)}
    wanted = declared("requirements.txt")
    for name in wanted.keys() & pins.keys():
        assert wanted[name].specifier.contains(pins[name]), name
    # Of filelock, torch brings there whichever it needs.
    others = {"torch", "filelock", "jupyterlab", "nbval"}
    assert wanted.keys() - pins.keys() == others
    assert all(len(wanted[name].specifier) == 2 for name in wanted)
