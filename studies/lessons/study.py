"""All lessons in one study: their arms, the table of their claims, the figures."""

import math
from functools import partial

from matplotlib.figure import Figure

from helpers import ROOT, record
from helpers.figure import QUIET, default_style
from studies.lab.command import RECORDS
from studies.lab.readings import SEEDS, SMALLEST, Claim, Effect, Runs
from studies.lab.report import (
    BLUE,
    ORANGE,
    between,
    interval_rows,
    markdown,
    named_rows,
    note,
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


def kind(row: dict) -> str:
    """Whether a claim is the lesson's own sentence, or was added to understand it."""
    return "primary" if row["primary"] else "exploratory"


def seeds_text(row: dict) -> str:
    """How many seeds; of how many, where some are missing; none if none are drawn."""
    count = row["interval"].get("n", "")
    return f"{count} of {SEEDS}" if row["verdict"] == "unfinished" else f"{count}"


def lesson_lines(results: Results, lesson: int | None) -> str:
    """One lesson's claims, each with its verdict and number, as a Markdown list."""
    rows = (claim_row(results, claim) for claim in LESSONS[lesson].CLAIMS)
    return "\n".join(
        f"* {kind(row).capitalize()}: *{row['text']}* **{verdict_text(row)}** "
        f"{effect_text(row)}".rstrip()
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
                    "Kind": kind(told),
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
    """Each pair whose losses a claim compares; left of zero the left one is ahead.

    Grey is the margin; a colour says that an interval leaves zero behind it on that
    side. What lies beyond the scale is an arrow with its mean.
    """
    pairs = [row for row in results.claims if row["sides"] and row["unit"] == "nats"]
    rows = [row for row in pairs if row["interval"]["mean"] is not None]
    figure = Figure(figsize=(8.8, 0.29 * len(rows) + 1.2), layout="constrained")
    axes, end = figure.subplots(), 0.4
    margin = SMALLEST["nats"]
    axes.axvspan(-margin, margin, color="#ececec", linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    for at, row in enumerate(rows):
        interval = row["interval"]
        low, high = interval["low"], interval["high"]
        left, right = high is not None and high < 0, low is not None and low > 0
        color = BLUE if left else ORANGE if right else QUIET
        if abs(interval["mean"]) < end:
            interval_rows(axes, [interval], color, shift=at)
        else:
            side = math.copysign(end, interval["mean"])
            axes.plot(side * 0.97, at, "<" if side < 0 else ">", color=color)
            text = f"{interval['mean']:+.2f}".replace("-", "−")
            look = {"va": "center", "color": color, "fontsize": 9}
            note(axes, text, (side * 0.97, at), (8, 0), **look)
    named_rows(axes, [row["sides"][0] for row in rows])
    axes.set_xlim(-end, end)
    other = axes.secondary_yaxis("right")
    other.set_yticks(range(len(rows)), [row["sides"][1] for row in rows], fontsize=9)
    other.spines["right"].set_visible(False)
    other.tick_params(length=0)
    told = "← the one on the left is better        the one on the right is better →"
    axes.set_title(told, fontsize=10)
    axes.set_xlabel("difference in validation loss (nats per word); small dots: seeds")
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
