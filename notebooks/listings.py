"""What the notebooks repeat: their set-up cell, and listings of helpers/."""

import ast
import re
from pathlib import Path

from helpers import ROOT, __version__
from notebooks.address import SLUG
from notebooks.notebook_files import read_notebook, write_notebook

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
