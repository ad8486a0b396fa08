"""Keeps the tables in the pages of the studies equal to the records.

`python -m studies.pages` rewrites every table that stands below a comment
`<!-- table: NAME -->` in a page under studies/. The text around the tables is written
by hand.
"""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

from helpers import ROOT
from helpers.files import write_file
from helpers.record import read_record
from studies import dropout, fifty, plateau
from studies.attention import erasure, knowledge, tables
from studies.lab.command import RECORDS, command
from studies.lab.samples import true_vs_pred
from studies.lab.study import Study
from studies.lessons.study import STUDY as LESSONS
from studies.speed import speedrun, throughput

TABLE = re.compile(r"(<!-- table: (\w+) -->\n\n)(?:\|.*\n)*\n*")
DROPOUT = 0.1  # of the training steps that the page of speed compares

read = cache(read_record)


def of_study(study: Study) -> str:
    """The table of a study of many runs."""
    return study.table(study.results())


def step_times(name: str) -> str:
    """Our training step beside that of each peer, with dropout."""
    steps = read(RECORDS / f"{name}.json")["steps"]
    return throughput.table([row for row in steps if row["dropout"] == DROPOUT])


TABLES: dict[str, Callable[[], str]] = {
    "dropout": lambda: of_study(dropout.STUDY),
    "fifty_trials": fifty.trials_table,
    "dropout_words": lambda: true_vs_pred(dropout.shipped()[1]["samples"]),
    "plateau": lambda: of_study(plateau.STUDY),
    "plateau_words": lambda: true_vs_pred(plateau.samples(plateau.STUDY.results())),
    "lessons": lambda: of_study(LESSONS),
    "time_to_quality": lambda: speedrun.table(speedrun.results()),
    "throughput": lambda: step_times("throughput"),
    "throughput_compiled": lambda: step_times("throughput_compiled"),
    "throughput_h100": lambda: step_times("throughput_h100"),
    "erasure": lambda: tables.erasure_table(read(erasure.SUMMARY)),
    "layers": lambda: tables.layers_table(read(erasure.SUMMARY)),
    "heads": lambda: tables.heads_table(read(erasure.SUMMARY)),
    "right": lambda: tables.knowledge_table(read(knowledge.SUMMARY)),
    "loss": lambda: tables.knowledge_table(read(knowledge.SUMMARY), "loss"),
    "alone": lambda: tables.alone_table(read(knowledge.SUMMARY)),
}


def pages() -> list[Path]:
    """The page of every study, and the list of all."""
    return sorted((ROOT / "studies").rglob("*.md"))


def with_tables(text: str) -> str:
    """The text of a page with the tables of the records.

    KeyError if a comment names a table that does not exist.
    """
    return TABLE.sub(lambda mark: f"{mark[1]}{TABLES[mark[2]]()}\n\n", text)


def main(arguments: list[str] | None = None) -> None:
    """`python -m studies.pages`: rewrites the tables."""
    parser = command("pages", __doc__.splitlines()[0])
    parser.parse_args(arguments)
    with parser.one_sentence():
        for path in pages():
            write_file(path, with_tables(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
