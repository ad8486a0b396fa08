"""The packages: no circle of imports, no arrow back up, not too long, all declared."""

import ast
import re
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical
from program import python

from helpers import ROOT
from notebooks.notebook_files import notebook_paths, read_notebook

# Each may import from itself and from those before it.
PACKAGES = "helpers explorer interop studies notebooks".split()
LONGEST_MODULE, LONGEST_TEST = 250, 340
LONGEST_PACKAGE = {"helpers": 2_647, "studies": 5_814, "tests": 11_002}
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path.read_text("utf-8")
    for package in [*PACKAGES, "tests"]
    for path in sorted((ROOT / package).rglob("*.py"))
}
MODULES = {m: source for m, source in SOURCES.items() if not m.startswith("tests")}
CELLS = {
    path.name[:2]: "\n".join(
        cell.source for cell in read_notebook(path).cells if cell.cell_type == "code"
    )
    for path in notebook_paths()
}


@cache
def imported(source: str) -> frozenset[str]:
    """Returns the modules that some code imports anywhere, or takes a name from."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name their module in full"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= parts if parts <= MODULES.keys() else parts | {node.module}
    return frozenset(names)


def test_imports_have_no_circle_and_none_leads_back_up():
    graph = {m: imported(source) & MODULES.keys() for m, source in MODULES.items()}
    TopologicalSorter(graph).prepare()  # CycleError names the modules of a circle
    floors = {module: PACKAGES.index(module.split(".")[0]) for module in MODULES}
    climbing = {
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in others
        if floors[other] > floors[module]
    }
    assert climbing == set()


def test_every_form_of_import_is_seen():
    code = "import helpers.train\ndef f():\n    from helpers.model import ModelConfig"
    seen = imported(f"from helpers import files\n{code}") & MODULES.keys()
    assert seen == {"helpers.files", "helpers.model", "helpers.train"}


def test_modules_and_packages_are_short():
    lines = {module: source.count("\n") for module, source in SOURCES.items()}
    limits = {m: LONGEST_MODULE if m in MODULES else LONGEST_TEST for m in SOURCES}
    assert {m: count for m, count in lines.items() if count > limits[m]} == {}
    for package, most in LONGEST_PACKAGE.items():
        assert sum(lines[m] for m in SOURCES if m.startswith(package)) <= most


def test_a_name_is_defined_once():
    """A reader who looks for a definition finds one."""
    nodes = (node for source in MODULES.values() for node in ast.parse(source).body)
    names = Counter(node.name for node in nodes if hasattr(node, "name"))
    assert {name for name, count in names.items() if count > 1} == {"main"}


def test_no_path_of_a_developers_machine():
    machine = re.compile(r"/(?:home|root|work|tmp)/|/Users/|[A-Z]:\\\\")
    paths = [*notebook_paths(), *ROOT.glob("*.md")]
    paths += [page for folder in PACKAGES for page in (ROOT / folder).rglob("*.md")]
    texts = MODULES | {path: path.read_text("utf-8") for path in paths}
    for name, text in texts.items():
        picture = r'"image/png": "[^"]*"'  # letters of base64 may look like a path
        assert not machine.search(re.sub(picture, "", text)), name
    assert machine.search("in /home/a/b") and not machine.search("/proc /content/x")


# Requirements. Each file is for some folders, beside those of the files it includes.

FILES = {
    "requirements.txt": ("helpers", "explorer", "notebooks"),
    "interop/requirements.txt": ("interop",),
    "studies/requirements.txt": ("studies",),
    "tests/requirements.txt": ("tests",),
}
PROGRAMS = {"jupyterlab", "nbval", "ruff"}  # are run, not imported
DISTRIBUTIONS = packages_distributions()


@cache
def declared(file: str) -> dict[str, Requirement]:
    """Returns the requirements of a file and of those it includes, by name."""
    text = (ROOT / file).read_text("utf-8")
    requirements = map(Requirement, re.findall(r"^\w.*", text, re.M))
    by_name = {canonical(requirement.name): requirement for requirement in requirements}
    for included in re.findall(r"^-r (.*)", text, re.M):
        path = (ROOT / file).parent.joinpath(included).resolve()
        by_name |= declared(str(path.relative_to(ROOT)))
    return by_name


def packages(folders: tuple[str, ...]) -> set[str]:
    """Returns the packages of others that the code of some folders imports."""
    code = [source for m, source in SOURCES.items() if m.startswith(folders)]
    # Notebook 09 compares with libraries that the ones before it do without.
    owners = {number: "notebooks" for number in CELLS} | {"09": "interop"}
    code += [CELLS[number] for number, owner in owners.items() if owner in folders]
    tops = {name.split(".")[0] for source in code for name in imported(source)}
    ours = {*PACKAGES, "tests", "google"}  # and Colab's own, which is nowhere else
    ours |= {module.removeprefix("tests.") for module in SOURCES}
    return tops - sys.stdlib_module_names - ours


@pytest.mark.parametrize("file", FILES)
def test_what_is_imported_is_declared_and_what_is_declared_is_used(file):
    for package in packages(FILES[file]):
        names = DISTRIBUTIONS.get(package, [package])
        assert {*map(canonical, names)} & declared(file).keys(), package
    used = packages(sum(FILES.values(), ()))
    names = {canonical(name) for p in used for name in DISTRIBUTIONS.get(p, [])}
    assert declared(file).keys() - names - PROGRAMS == set()


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
    assert wanted.keys() - pins.keys() == {"torch", "filelock", "jupyterlab", "nbval"}
    assert all(len(wanted[name].specifier) == 2 for name in wanted)


def test_notebooks_need_no_package_of_the_studies():
    """Their imports succeed where the packages that only studies need are missing."""
    own = declared("studies/requirements.txt").keys() - declared("requirements.txt")
    assert "transformers" in own
    missing = [f"sys.modules[{name.replace('-', '_')!r}] = None" for name in own]
    imports = {
        ast.unparse(node)
        for node in ast.walk(ast.parse("\n".join(CELLS.values())))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in PACKAGES
    }
    program = "\n".join(["import sys", *missing, *sorted(imports)])
    assert python("-c", program).stderr == ""
