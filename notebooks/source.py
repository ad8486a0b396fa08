"""What the notebooks repeat: their set-up cell, listings, and published address."""

import argparse
import ast
import re
from pathlib import Path

import nbformat

from helpers import ROOT, __version__
from helpers.files import write_file

SLUG = "OWNER/mini-transformer"
SETUP = f'''\
# @title Set-up: finds the project around this notebook, or fetches it
import os
import shutil
import subprocess
import sys
from pathlib import Path
SLUG, VERSION = "{SLUG}", "{__version__}"
url = os.environ.get("MINI_TRANSFORMER_REPO", f"https://github.com/{{SLUG}}.git")
places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "mini-transformer"]
root = next((p for p in places if os.path.exists(p / "helpers/bpe.py")), None)
if root is None:
    root, part = places[-1], Path.cwd() / "mini-transformer.part"
    try:
        if root.exists():
            raise OSError(f"{{root}} is something else; rename it")
        shutil.rmtree(part, ignore_errors=True)  # of an interrupted clone
        subprocess.run(["git", "clone", "-q", "--depth=1", url, str(part)],
                       check=True, capture_output=True, encoding="utf-8")
        if not (part / "helpers/bpe.py").exists():
            raise OSError("it is another project")
        part.rename(root)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(part, ignore_errors=True)
        why = str(getattr(error, "stderr", None) or error).strip()
        raise RuntimeError(f"Could not fetch {{url}} ({{why}}). This takes git, "
                           "a connection and a writable folder.") from None
sys.path = [str(root), *(p for p in sys.path if p != str(root))]
import helpers
if (found := getattr(helpers, "__version__", f"{{root}} has none")) != VERSION:
    print(f"This notebook is {{VERSION}}, the project {{found}}.")
'''
# How a cell is folded away: in Colab, and in JupyterLab.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}
LISTING = re.compile(r"# %load -s (\w+) \.\./helpers/(\w+)\.py(?:\n|\Z)")


def listing_source(name: str, module: str) -> str:
    """Returns the source of a function or class of helpers/, decorators included."""
    source = (ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if getattr(node, "name", None) == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"helpers/{module}.py defines no {name}; correct the listing.")


def notebook_paths() -> list[Path]:
    """Returns the project's notebooks in order."""
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def numbered_notebook(number: str) -> Path:
    """Returns the notebook of a number such as 01, as an option names it."""
    by_number = {path.name[:2]: path for path in notebook_paths()}
    if number not in by_number:
        raise argparse.ArgumentTypeError(
            f"{number!r} is no notebook; there are {', '.join(by_number)}"
        )
    return by_number[number]


def read_notebook(path: Path):
    """Reads a notebook; ValueError if the file is none."""
    try:
        book = nbformat.read(path, as_version=4)
        nbformat.validate(book)
        return book
    except Exception as error:  # JSON may hold anything
        why = str(error).partition("\n")[0][:200]
        raise ValueError(f"{path} is no notebook ({why}); restore it.") from error


def write_notebook(book, path: Path) -> None:
    """Writes a notebook as Jupyter does."""
    write_file(path, nbformat.writes(book).rstrip("\n") + "\n")


def relist_notebooks(paths: list[Path]) -> None:
    """Rewrites listings and set-up cells, folds cells with a title; the rest stays."""
    for path in paths:
        book = read_notebook(path)
        for cell in book.cells:
            if mark := LISTING.match(cell.source):
                cell.source = f"{mark[0].strip()}\n{listing_source(*mark.groups())}"
            if "setup" in cell.metadata.get("tags", []):
                cell.source = SETUP.strip()
            if cell.cell_type == "code" and cell.source.startswith("# @title"):
                cell.metadata.update(FOLDED)
        write_notebook(book, path)


def repository_slug(text: str) -> str:
    """Checks that an option is OWNER/NAME as GitHub allows them, and returns it."""
    owner, name = r"[A-Za-z\d]+(-[A-Za-z\d]+)*", r"(?!\.{1,2}\Z)[\w.-]+(?<!\.git)"
    if not re.fullmatch(f"{owner}/{name}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no slug; write OWNER/NAME")
    return text


def live_page_address(slug: str) -> str:
    """The address of a repository's page on GitHub Pages."""
    return "{}.github.io/{}/".format(*slug.split("/"))


def stamp_notebooks(slug: str) -> None:
    """Writes the slug of the published repository wherever the old one stands."""
    others = [ROOT / "README.md", ROOT / "interop" / "model_card.py"]
    for path in [Path(__file__), *others, *notebook_paths()]:
        text = path.read_text("utf-8").replace(
            live_page_address(SLUG), live_page_address(slug)
        )
        write_file(path, text.replace(SLUG, slug))
