"""What the commands of the studies share."""

import argparse
from pathlib import Path

from helpers import record
from helpers.settings import Parser, whole

COUNT, SEED = whole(1), whole(0)  # types of options


def command(name: str, about: str, form=argparse.ArgumentDefaultsHelpFormatter):
    """The parser of `python -m studies.NAME`."""
    return Parser(f"python -m studies.{name}", description=about, formatter_class=form)


def require_writable(parser: Parser, path: Path) -> None:
    """Ends a command whose --out cannot be written before its work; makes a folder."""
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")  # what a record is at first
        part.touch()
        part.unlink()
    except OSError as error:
        parser.error(
            f"--out is {str(path)!r}; choose a file that can be written "
            f"({error.strerror})."
        )


def required(path: Path, maker: str) -> dict:
    """A record; ValueError with the command that makes it if there is none."""
    if not path.exists():
        raise ValueError(f"There is no {path}; make it: {maker}")
    return record.read(path)
