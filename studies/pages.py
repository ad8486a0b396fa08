"""Keeps the tables in the pages of the studies equal to the records.

`python -m studies.pages` rewrites every table that stands below a comment
`<!-- table: NAME -->` in a page under studies/.
"""

import re
from collections.abc import Callable
from pathlib import Path

from helpers import ROOT
from helpers.files import write_file
from studies import byte_pairs, dropout, fifty, plateau
from studies.attention import erasure, knowledge
from studies.lab.command import command
from studies.lab.samples import samples_table
from studies.lessons.study import STUDY as LESSONS
from studies.plateau import plateau_samples
from studies.speed import leads, speedrun, throughput

TABLE = re.compile(r"(<!-- table: (\w+) -->\n\n)(?:\|.*\n)*\n*")


RUNS = byte_pairs.STUDY, dropout.STUDY, fifty.STUDY, plateau.STUDY, LESSONS
SPEEDS = throughput.STUDY, throughput.COMPILED, throughput.H100
TABLES: dict[str, Callable[[], str]] = {
    study.name: lambda study=study: study.table(study.results()) for study in RUNS
} | {
    name: lambda one=one, table=table: table(one.read())
    for one in (*SPEEDS, erasure.STUDY, knowledge.STUDY)
    for name, table in one.tables.items()
}
TABLES |= {
    "fifty_trials": lambda: fifty.TRIAL_STUDY.table(fifty.TRIAL_STUDY.results()),
    "leads": lambda: leads.STUDY.table(leads.STUDY.results()),
    "dropout_words": lambda: samples_table(
        dropout.STUDY.results().runs["all"][0]["samples"]
    ),
    "plateau_words": lambda: samples_table(plateau_samples(plateau.STUDY.results())),
    "time_to_quality": lambda: speedrun.speedrun_table(speedrun.speedrun_results()),
}


def pages_of_studies() -> list[Path]:
    """The page of every study, and the list of all."""
    return sorted((ROOT / "studies").rglob("*.md"))


def page_with_tables(text: str) -> str:
    """The text of a page with the tables of the records.

    KeyError if a comment names a table that does not exist.
    """
    return TABLE.sub(lambda mark: f"{mark[1]}{TABLES[mark[2]]()}\n\n", text)


def main(arguments: list[str] | None = None) -> None:
    """`python -m studies.pages`: rewrites the tables."""
    parser = command("pages", __doc__.splitlines()[0])
    parser.parse_args(arguments)
    with parser.one_sentence():
        for path in pages_of_studies():
            write_file(path, page_with_tables(path.read_text("utf-8")))


if __name__ == "__main__":
    main()
