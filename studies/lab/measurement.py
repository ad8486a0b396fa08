"""A study that is one record, made in one go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from helpers.record import read_record, write_record
from studies.lab.command import Parser, command
from studies.lab.figures import save_figure


@dataclass(frozen=True)
class Measurement:
    """What `measure` returns is the record at `path`; a record is not made again."""

    name: str  # of the command: python -m studies.NAME
    about: str
    path: Path
    measure: Callable[[], dict]
    tables: dict[str, Callable[[dict], str]] = field(default_factory=dict)
    figures: dict[str, Callable[[dict], Figure]] = field(default_factory=dict)

    def read(self) -> dict:
        """The record. ValueError if there is none."""
        return read_record(self.path)

    def parser(self) -> Parser:
        """The option --summary."""
        parser = command(self.name, f"{self.about} What is on record is only shown.")
        parser.add_argument("--summary", action="store_true", help="measure nothing")
        return parser

    def run(self, parser: Parser, summary: bool) -> None:
        """Makes the record unless it is there, draws the figures, prints the tables."""
        with parser.one_sentence():
            if not summary and not self.path.exists():
                write_record(self.path, self.measure())
            found = self.read()
            for name, figure in self.figures.items():
                save_figure(name, figure(found))
            tables = [table(found) for table in self.tables.values()]
            print("\n\n".join(tables) or f"The record is {self.path}.")

    def main(self, arguments: list[str] | None = None) -> None:
        """`python -m studies.NAME`."""
        parser = self.parser()
        self.run(parser, parser.parse_args(arguments).summary)
