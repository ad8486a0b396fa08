"""What surrounds a lesson: its budget, where its figures go, checks and ledger."""

import os
import tempfile
from functools import cache
from pathlib import Path

from helpers import ROOT

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
