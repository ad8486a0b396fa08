"""What surrounds a lesson: budget, checks and ledger; and the maintainers' commands.

python -m helpers.notebook --relist         rewrite listings and set-up cells
python -m helpers.notebook --execute [NN]   run notebooks and keep their outputs
python -m helpers.notebook --run            run all into executed/, as a reader would
python -m helpers.notebook --stamp SLUG     write the GitHub slug into every link
"""

import argparse
import ast
import os
import re
import shutil
import sys
from pathlib import Path

from helpers import ROOT, __version__

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
root = next((p for p in places if (p / "helpers/notebook.py").exists()), None)
if root is None:
    root, part = places[-1], Path.cwd() / "mini-transformer.part"
    shutil.rmtree(part, ignore_errors=True)  # of a clone that was interrupted
    clone = ["git", "clone", "-q", "--depth=1", url, str(part)]
    if subprocess.run(clone, stderr=subprocess.DEVNULL).returncode:
        raise RuntimeError(f"Could not fetch {{url}}: offline or wrong address?")
    part.rename(root)
if sys.path[0] != str(root):
    sys.path.insert(0, str(root))
import helpers

if helpers.__version__ != VERSION:
    print(f"This notebook is {{VERSION}}, the project {{helpers.__version__}}.")
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
    """Where figures go: plots/ under `full`, else plots/quick/, which git ignores."""
    folder = ROOT / "plots" if budget() == "full" else ROOT / "plots" / "quick"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def keep_runs_on_drive() -> None:
    """In Colab: puts runs/ on the reader's own Drive, which outlives the session.

    Colab asks for permission. Runs that are there already go on.
    """
    from google.colab import drive  # exists in Colab only

    drive.mount("/content/drive")
    target = Path("/content/drive/MyDrive/mini-transformer/runs")
    target.mkdir(parents=True, exist_ok=True)
    here = ROOT / "runs"
    if here.is_symlink():
        return
    if here.exists():
        shutil.copytree(here, target, dirs_exist_ok=True)
        shutil.rmtree(here)
    here.symlink_to(target)


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


def notebooks(numbers: list[str] | None = None) -> list[Path]:
    """The project's notebooks in order, or those whose names begin with `numbers`."""
    paths = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    return [p for p in paths if not numbers or p.name[:2] in numbers]


def relist(paths: list[Path]) -> None:
    """Rewrites listings and set-up cells from their sources; all else stays."""
    import nbformat

    for path in paths:
        book = nbformat.read(path, as_version=4)
        for cell in book.cells:
            if mark := LISTING.match(cell.source):
                cell.source = f"{mark[0].strip()}\n{definition(*mark.groups())}"
            if "setup" in cell.metadata.get("tags", []):
                cell.source = SETUP.strip()
        nbformat.write(book, path)


def execute(path: Path, target: Path) -> None:
    """Runs a notebook from top to bottom and writes it with its outputs.

    Leaves out what differs from run to run: timings, progress bars, the state of
    widgets, the version of Python. A cell that fails ends the program, its source and
    error shown.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError
    from tqdm.auto import tqdm

    book = nbformat.read(path, as_version=4)
    count = sum(cell.cell_type == "code" for cell in book.cells)
    bar = tqdm(total=count, desc=path.stem, unit="cell", file=sys.stdout)
    client = NotebookClient(
        book,
        timeout=3_600,
        kernel_name="python3",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_complete=lambda cell, cell_index: bar.update(),
    )
    try:
        client.execute()
    except CellExecutionError as error:
        sys.exit(f"{path.name} failed. {error}")
    finally:
        bar.close()
    book.metadata["language_info"] = {"name": "python"}
    target.parent.mkdir(exist_ok=True)
    nbformat.write(book, target)


def stamp(slug: str) -> None:
    """Writes the slug of the published repository wherever the old one stands."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", slug):
        raise ValueError(f"{slug!r} is no slug; write OWNER/NAME.")
    for path in [Path(__file__), ROOT / "README.md", *notebooks()]:
        path.write_text(path.read_text("utf-8").replace(SLUG, slug), "utf-8")


def main() -> None:
    """The command line; see the top of this module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--relist", action="store_true")
    action.add_argument("--execute", nargs="*", metavar="NN")
    action.add_argument("--run", action="store_true")
    action.add_argument("--stamp", metavar="SLUG")
    given = parser.parse_args()
    if given.relist:
        relist(notebooks())
    elif given.stamp:
        stamp(given.stamp)
    else:
        if given.execute is not None:  # committed outputs: always of the same kind
            os.environ |= {"MINI_TRANSFORMER_BUDGET": "quick", "TQDM_DISABLE": "1"}
            if not Path(os.environ.get("MINI_TRANSFORMER_DATA", "")).is_absolute():
                sys.exit("MINI_TRANSFORMER_DATA must name the folder of WikiText-2.")
        for path in notebooks(given.execute):
            target = path if not given.run else ROOT / "executed" / path.name
            execute(path, target)
            print(f"{path.name} ran; its outputs are in {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
