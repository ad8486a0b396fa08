"""What surrounds a lesson: budget, checks and ledger; and the maintainers' commands.

python -m helpers.notebook --relist         rewrite listings and set-up cells
python -m helpers.notebook --execute [NN]   run notebooks and keep their outputs
python -m helpers.notebook --run [NN]       run them into executed/, as a reader would
python -m helpers.notebook --stamp SLUG     write the GitHub slug into every link
"""

import argparse
import ast
import os
import re
import sys
import tempfile
from functools import cache
from pathlib import Path

from helpers import ROOT, __version__
from helpers.files import write_whole
from helpers.settings import Parser

SLUG = "OWNER/mini-transformer"
SETUP = f'''\
# Set-up: finds the project around this notebook, or fetches it.
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
LISTING = re.compile(r"# %load -s (\w+) \.\./helpers/(\w+)\.py(?:\n|\Z)")
verified: dict[str, str] = {}


def budget() -> str:
    """What fits the machine: "full" with a GPU, else "quick".

    MINI_TRANSFORMER_BUDGET overrides; ValueError if it is neither.
    """
    chosen = os.environ.get("MINI_TRANSFORMER_BUDGET")
    if chosen is None:
        import torch

        return "full" if torch.cuda.is_available() else "quick"
    if chosen not in ("quick", "full"):
        raise ValueError(
            f"MINI_TRANSFORMER_BUDGET is {chosen!r}; choose 'quick' or 'full'."
        )
    return chosen


def plots_dir() -> Path:
    """Where figures go: plots/ under `full`, else plots/quick/, which git ignores.

    Where that cannot be written to, a folder for the time being.
    """
    folder = ROOT / "plots" if budget() == "full" else ROOT / "plots" / "quick"
    try:
        return writable(folder)
    except OSError as error:
        return spare_folder(str(error))


def writable(folder: Path) -> Path:
    """Makes a folder unless it is there; OSError if nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        return folder
    except OSError as error:
        why = f"{folder} cannot be written to ({error.strerror})."
        raise OSError(why) from error


@cache
def spare_folder(why: str) -> Path:
    """A fresh folder outside the project; says once why it is used."""
    folder = Path(tempfile.mkdtemp(prefix="mini-transformer-"))
    print(f"{why} Figures go to {folder}.")
    return folder


def check(claim: str, condition, numbers: str = "") -> None:
    """Verifies a claim of the text: prints one line, or raises AssertionError.

    The condition is True or False, of Python, NumPy or PyTorch; else TypeError.
    """
    kind = str(getattr(condition, "dtype", type(condition).__name__))
    if kind.removeprefix("torch.") != "bool" or getattr(condition, "shape", ()) != ():
        raise TypeError(f"The condition of {claim!r} is not one truth value.")
    told = f" ({numbers})" if numbers else ""
    if not condition:
        verified.pop(claim, None)
        raise AssertionError(
            f"✗ {claim}{told}. If you changed a cell above, that may be why; "
            "otherwise restart and run all cells in order."
        )
    verified[claim] = numbers
    print(f"✓ {claim}{told}")


def ledger() -> None:
    """Prints all claims that this notebook has verified."""
    print(f"{len(verified)} claims verified:")
    for claim in verified:
        print(f"✓ {claim}")


def definition(name: str, module: str) -> str:
    """The source of a function or class of helpers/, decorators included."""
    source = (ROOT / "helpers" / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if getattr(node, "name", None) == name:
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            return "\n".join(source.splitlines()[first - 1 : node.end_lineno])
    raise ValueError(f"helpers/{module}.py defines no {name}; correct the listing.")


def notebooks() -> list[Path]:
    """The project's notebooks in order."""
    return sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def numbered(number: str) -> Path:
    """The notebook of a number, as an option names it: 01."""
    found = {path.name[:2]: path for path in notebooks()}
    if number not in found:
        raise argparse.ArgumentTypeError(
            f"{number!r} is no notebook; there are {', '.join(found)}"
        )
    return found[number]


def keep(book, path: Path) -> None:
    """Writes a notebook as Jupyter does."""
    import nbformat

    write_whole(path, nbformat.writes(book).rstrip("\n") + "\n")


def relist(paths: list[Path]) -> None:
    """Rewrites listings and set-up cells from their sources; all else stays."""
    from helpers.kernel import read

    for path in paths:
        book = read(path)
        for cell in book.cells:
            if mark := LISTING.match(cell.source):
                cell.source = f"{mark[0].strip()}\n{definition(*mark.groups())}"
            if "setup" in cell.metadata.get("tags", []):
                cell.source = SETUP.strip()
        keep(book, path)


def slug(text: str) -> str:
    """OWNER/NAME as GitHub allows them, as an option names it."""
    owner, name = r"[A-Za-z\d]+(-[A-Za-z\d]+)*", r"(?!\.{1,2}\Z)[\w.-]+(?<!\.git)"
    if not re.fullmatch(f"{owner}/{name}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is no slug; write OWNER/NAME")
    return text


def stamp(slug: str) -> None:
    """Writes the slug of the published repository wherever the old one stands."""
    for path in [Path(__file__), ROOT / "README.md", *notebooks()]:
        write_whole(path, path.read_text("utf-8").replace(SLUG, slug))


def main() -> None:
    """The command line; see the top of this module."""
    parser = Parser(
        prog="python -m helpers.notebook",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    some = {"nargs": "*", "metavar": "NN", "type": numbered}
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--relist", action="store_true")
    action.add_argument("--execute", **some)
    action.add_argument("--run", **some)
    action.add_argument("--stamp", metavar="SLUG", type=slug)
    given = parser.parse_args()
    with parser.one_sentence():
        if given.relist:
            return relist(notebooks())
        if given.stamp:
            return stamp(given.stamp)
        if given.execute is not None:  # committed outputs: always of the same kind
            os.environ |= {"MINI_TRANSFORMER_BUDGET": "quick", "TQDM_DISABLE": "1"}
            if not Path(os.environ.get("MINI_TRANSFORMER_DATA", "")).is_absolute():
                sys.exit("MINI_TRANSFORMER_DATA must name the folder of WikiText-2.")
        from helpers.kernel import executed

        # Refused before the work, which takes minutes.
        folder = writable(ROOT / ("notebooks" if given.run is None else "executed"))
        for path in given.execute or given.run or notebooks():
            target = folder / path.name
            keep(executed(path), target)
            print(f"{path.name} ran; its outputs are in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
