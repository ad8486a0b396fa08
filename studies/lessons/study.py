"""All lessons in one study: their arms, the table of their claims, the figures."""

import textwrap
from functools import partial

from matplotlib.figure import Figure

from helpers import ROOT, record
from helpers.figure import QUIET, default_style
from studies.lab.command import RECORDS
from studies.lab.readings import SEEDS, Claim, Effect, Runs
from studies.lab.report import (
    GREEN,
    ORANGE,
    between,
    interval_rows,
    markdown,
    named_rows,
)
from studies.lab.runs import read_run
from studies.lab.study import Results, Study
from studies.lessons import (
    knowledge,
    layout,
    length,
    masks,
    rate,
    size,
    small,
    tying,
    vocabulary,
)
from studies.lessons.arms import BASE
from studies.lessons.costs import COSTS, measure, untimed
from studies.lessons.readings import READINGS
from studies.lessons.runs import digest, make

# The last is a choice of this study itself.
LESSONS = {1: length, 2: layout, 3: vocabulary, 4: size, 5: tying, 6: small, 7: masks}
LESSONS |= {8: knowledge, None: rate}
ARMS = {"base": BASE} | vocabulary.ARMS | tying.ARMS | layout.ARMS | size.ARMS
ARMS |= small.ARMS | masks.ARMS | rate.ARMS
PARTS = "curve.step", "curve.loss", "validation.loss", "weights"  # of each record
DIGITS = {"nats": 3, "points": 1, "steps": 0}


class Lessons(Study):
    """A study whose steps are timed, too: losses are compared at equal time."""

    def make_missing(self, arms, seeds, processes: int = 1) -> None:
        """Makes the runs that are missing, then times the arms that were not timed."""
        super().make_missing(arms, seeds, processes)
        if names := untimed(self.arms):
            measure({name: self.arms[name] for name in names}, BASE)

    def runs(self) -> Runs:
        """All records that there are; ValueError if there are no times of an arm."""
        if names := untimed(self.arms):
            raise ValueError(
                f"No step times of {', '.join(names)}: leave out --summary."
            )
        return super().runs()


def claim_row(results: Results, claim: Claim) -> dict:
    """A claim with its verdict, and what it takes to check it.

    Minutes of one core are those of the steps, by the recorded costs: several runs at
    once share a machine, so their own clocks would say too much.
    """
    row = results.decide(claim)
    if not isinstance(claim.effect, Effect):
        return row
    costs, seconds = record.read(COSTS), 0.0
    arms = {name: results.study.arms[name] for name in claim.effect.arms}
    for name, arm in arms.items():
        cost = costs["arms"][name]
        threads = cost.get("hardware", costs["hardware"])["threads"]
        seconds += SEEDS * arm.steps * cost["seconds"][1] * threads
    made = [results.runs[arm][s] for arm in arms for s in row["interval"]["seeds"]]
    steps = sorted({arm.steps for arm in arms.values()})
    return row | {
        "budget": " or ".join(f"{n:,}" for n in steps) + " steps",
        "hardware": sorted({run["hardware"]["device"] for run in made}),
        "core_minutes": seconds / 60,
    }


def verdict_text(row: dict) -> str:
    """The verdict; of a claim with too few seeds, the command that finishes it."""
    said = row["verdict"]
    return f"{said}: `{row['command']}`" if said == "unfinished" else said


def effect_text(row: dict) -> str:
    """A claim's number with its interval and unit; empty if there is none yet."""
    if row["interval"]["mean"] is None:
        return ""
    digits, unit = DIGITS.get(row["unit"], 2), row["unit"]
    return row.get("effect") or between(row["interval"], digits, sign="+") + f" {unit}"


def seeds_text(row: dict) -> str:
    """How many seeds; of how many, where some are missing; none if none are drawn."""
    count = row["interval"].get("n", "")
    return f"{count} of {SEEDS}" if row["verdict"] == "unfinished" else f"{count}"


def lesson_lines(results: Results, lesson: int | None) -> str:
    """One lesson's claims, each with its verdict and number, as a Markdown list."""
    rows = (claim_row(results, claim) for claim in LESSONS[lesson].CLAIMS)
    return "\n".join(
        f"* *{row['text']}* **{verdict_text(row)}**: {effect_text(row)}".rstrip(": ")
        for row in rows
    )


def lessons_table(results: Results) -> str:
    """All claims in Markdown; one with too few seeds names the command for it."""
    rows = []
    for lesson, module in LESSONS.items():
        for claim in module.CLAIMS:
            told = claim_row(results, claim)
            rows.append(
                {
                    "Lesson": f"{lesson or ''}",
                    "Claim": told["text"],
                    "Verdict": verdict_text(told),
                    "Effect (95 % interval)": effect_text(told),
                    "Seeds": seeds_text(told),
                    "Budget of a run": told["budget"],
                    "Core minutes": f"{told['core_minutes']:.0f}",
                    "Processor": ", ".join(told["hardware"]),
                }
            )
    return markdown([*rows[0]], [[*row.values()] for row in rows])


@default_style()
def effects_figure(results: Results) -> Figure:
    """Each claim about a loss: the paired differences, their mean and interval.

    The scale is logarithmic from 0.1 nats on, to both sides.
    """
    nats = (row for row in results.claims if row["unit"] == "nats")
    rows = [row for row in nats if row["interval"]["mean"] is not None]
    figure = Figure(figsize=(8.8, 0.42 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    colors = {"holds": GREEN, "does not hold": ORANGE}
    for at, row in enumerate(rows):
        color, margin = colors.get(row["verdict"], QUIET), row["margin"]
        interval_rows(axes, [row["interval"]], color, shift=at)
        if margin:
            axes.barh(at, 2 * margin, left=-margin, color="#eeeeee")
    texts = [row["text"] for row in rows]
    half = [len(text) // 2 + 7 if len(text) > 62 else 62 for text in texts]
    named_rows(axes, [*map(textwrap.fill, texts, half)])
    axes.axvline(0, color=QUIET, linewidth=1)
    axes.set_xscale("symlog", linthresh=0.1)
    ticks = -3, -1, -0.3, -0.1, -0.05, 0, 0.05, 0.1, 0.3
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=8.5)
    axes.minorticks_off()
    label = "difference in validation loss (nats), logarithmic from 0.1 on; dots: seeds"
    figure.supxlabel(label, fontsize=9.5)
    for said, color in (*colors.items(), ("open or unfinished", QUIET)):
        axes.plot([], [], "o-", color=color, label=said)
    figure.legend(frameon=False, ncols=3, loc="outside upper center")
    return figure


STUDY = Lessons(
    "lessons",
    "Train the arms of the lessons over their seeds, resumable; runs whose record "
    "exists are skipped. Then time a step of each arm that has no time on record, and "
    "print the table and draw the figures.",
    folder=RECORDS / "lessons",
    states=ROOT / "runs" / "lessons",
    arms=ARMS,
    make=make,
    text=lambda arm: {"text": digest(arm.pieces, arm.model_config.vocab_size)},
    read=partial(read_run, parts=PARTS),
    readings=READINGS,
    claims=[claim for module in LESSONS.values() for claim in module.CLAIMS],
    table=lessons_table,
    figures={
        "lesson_length.png": lambda _: length.figure(record.read(length.GROWTH)),
        "lesson_layout.png": layout.figure,
        "lesson_vocabulary.png": vocabulary.figure,
        "lesson_size.png": size.figure,
        "lesson_tying.png": tying.figure,
        "lesson_small.png": small.figure,
        "lesson_mask.png": masks.figure,
        "lesson_effects.png": effects_figure,
    },
)
