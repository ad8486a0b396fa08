"""Studies as declarations: arms over seeds, or a single measurement.

A `Study` says how its runs are made, what is read from their records and how it is
reported, and `StudyResults` does so. A `Measurement` is a study with a single record.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from helpers import ROOT
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig
from helpers.record import read_record, write_record
from studies.lab.claims import SMALLEST, Claim, Effect, verdict
from studies.lab.command import COUNT, SEED, Parser, command
from studies.lab.figures import save_figure
from studies.lab.runs import FAST, make_runs, read_run, recorded_run, run_paths
from studies.lab.scored_text import require_wikitext
from studies.lab.stats import student_interval

Runs = dict[str, dict[int, dict]]  # records, by arm and seed
Reading = Callable[[dict], float]  # from a record; KeyError if it is not there


@dataclass(frozen=True)
class Arm:
    """A model and how it is trained."""

    model: ModelConfig = ModelConfig()
    training: TrainConfig = FAST

    def settings(self, seed: int) -> dict:
        """What makes a run of this arm this run, beside its name and its text."""
        return {"model": self.model, "training": replace(self.training, seed=seed)}


@dataclass(frozen=True)
class Study:
    """Arms × seeds, each a run with a record in `folder`.

    `make(arm, seed, folder)` trains and scores one run, whose states are kept in that
    folder, and returns what its record holds beside what makes it this run. `text(arm)`
    returns what makes it this run and is known only where the text is at hand.
    `read(path, identity)` returns the record, None if there is none, or raises
    ValueError if it is of another run. `alike` are parts of the records that may not
    differ between the runs. A run is named by `pattern`.
    """

    name: str  # of the command: python -m studies.NAME
    about: str
    folder: Path
    arms: dict[str, Arm]
    make: Callable[[Arm, int, Path], dict]
    readings: dict[str, Reading]
    table: Callable[["StudyResults"], str]
    seeds: Sequence[int] = range(3)
    claims: Sequence[Claim] = ()
    figures: dict[str, Callable[["StudyResults"], Figure]] = field(default_factory=dict)
    text: Callable[[Arm], dict] = lambda arm: {}
    read: Callable[[Path, dict], dict | None] = read_run
    alike: Sequence[str] = ()
    pattern: str = "{arm}_seed_{seed}"
    states: Path = ROOT / "runs"

    def job(self, arm: str, seed: int) -> tuple:
        """What `recorded_run` needs for one run: its arguments."""
        name = self.pattern.format(arm=arm, seed=seed)
        identity = self.identity(arm, seed) | self.text(self.arms[arm])
        made = self.make, self.arms[arm], seed, self.states / name
        return self.folder / f"{name}.json", identity, self.read, *made

    def identity(self, arm: str, seed: int) -> dict:
        """What makes a run this run, but for its text."""
        return {"arm": arm, "seed": seed} | self.arms[arm].settings(seed)

    def run(self, arm: str, seed: int) -> dict:
        """The record of one run, which is made unless it is there."""
        return recorded_run(*self.job(arm, seed))

    def runs(self) -> Runs:
        """All records that there are.

        ValueError if one is not of its arm, or is unlike the others.
        """
        runs, first = {}, None
        for arm in self.arms:
            name = self.pattern.format(arm=arm, seed="{seed}")
            for seed, path in run_paths(self.folder, name).items():
                run = self.read(path, self.identity(arm, seed))
                runs.setdefault(arm, {})[seed] = run
                first = first or run
                if other := [part for part in self.alike if run[part] != first[part]]:
                    raise ValueError(
                        f"{path} has another {' and '.join(other)} than the runs "
                        "before it; compare within one."
                    )
        return runs

    def results(self) -> "StudyResults":
        """What the records say. ValueError if there are none."""
        if runs := self.runs():
            return StudyResults(self, runs)
        raise ValueError(f"There are no runs in {self.folder}; make them first.")

    def command_for(self, arms: Iterable[str]) -> str:
        """What makes the runs of some arms."""
        return f"python -m studies.{self.name} --arms {' '.join(arms)}"

    def parser(self, arms: Iterable[str] = ()) -> Parser:
        """The options --arms, --seeds, --processes and --summary.

        Other names than those of the arms may be given for --arms.
        """
        parser = command(self.name, self.about)
        arms, seeds = [*(arms or self.arms)], [*self.seeds]
        parser.add_argument("--arms", nargs="+", choices=arms, default=arms)
        parser.add_argument("--seeds", nargs="+", type=SEED, default=seeds)
        parser.add_argument("--processes", type=COUNT, default=1, help="runs at a time")
        parser.add_argument("--summary", action="store_true", help="train nothing")
        return parser

    def make_missing(self, arms, seeds, processes: int = 1) -> None:
        """Makes the runs whose records are missing, `processes` at a time."""
        require_wikitext()
        make_runs([self.job(arm, seed) for seed in seeds for arm in arms], processes)

    def report(self) -> None:
        """Draws the figures and prints the table."""
        results = self.results()
        for name, figure in self.figures.items():
            try:
                save_figure(name, figure(results))
            except KeyError as missing:
                print(f"{name} is not drawn: there are no runs of {missing}.")
        print(self.table(results))

    def main(self, arguments: list[str] | None = None) -> None:
        """`python -m studies.NAME`: makes what is missing, then reports."""
        parser = self.parser()
        given = parser.parse_args(arguments)
        with parser.one_sentence():
            if not given.summary:
                self.make_missing(given.arms, given.seeds, given.processes)
            self.report()


@dataclass(frozen=True)
class StudyResults:
    """What the records of a study say."""

    study: Study
    runs: Runs

    @cached_property
    def readings(self) -> dict[str, dict[str, dict]]:
        """Of each arm each reading that it has, as an interval over its seeds."""
        intervals = {arm: {} for arm in self.runs}
        for arm, runs in self.runs.items():
            for name, read in self.study.readings.items():
                with suppress(KeyError, ValueError):
                    values = [read(run) for run in runs.values()]
                    intervals[arm][name] = student_interval(values)
        return intervals

    def effect(self, effect: Effect) -> dict:
        """A paired difference over the `seeds` that all its arms have, as an interval.

        KeyError if a run does not have the reading.
        """
        each = [self.runs.get(arm, {}) for arm in effect.arms]
        seeds = sorted(set.intersection(*map(set, each)))
        read = self.study.readings[effect.reading]
        signed = [*zip((1, -1, -1, 1), each, strict=False)]
        values = [sum(sign * read(runs[s]) for sign, runs in signed) for s in seeds]
        return student_interval(values) | {"seeds": seeds}

    def decide(self, claim: Claim) -> dict:
        """A claim's fields, its interval, its verdict, and what would decide it."""
        margin = SMALLEST.get(claim.unit, 0.0)
        row = vars(claim) | {"margin": margin}
        if isinstance(effect := row.pop("effect"), Effect):
            command = self.study.command_for(effect.arms)
            row |= {"interval": self.effect(effect), "command": command}
        else:
            row |= effect()
        return row | {"verdict": verdict(row["interval"], claim.expected, margin)}

    @cached_property
    def claims(self) -> list[dict]:
        """A row for each claim of the study, as `decide` returns it."""
        return [self.decide(claim) for claim in self.study.claims]


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
