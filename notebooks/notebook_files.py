"""The notebooks as files: which there are, and how one is read and written."""

import argparse
from pathlib import Path

import nbformat

from helpers import ROOT
from helpers.files import write_file


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
