"""All lessons in one study: their arms, the table of their claims, the figures."""

import math

from matplotlib.figure import Figure

from helpers import ROOT
from helpers.figure import QUIET
from helpers.record import read_record
from studies.lab.claims import SEEDS, SMALLEST, Claim, Effect
from studies.lab.command import RECORDS
from studies.lab.figures import (
    BLUE,
    ORANGE,
    figure_of,
    interval_rows,
    label_rows,
    note_point,
)
from studies.lab.report import markdown_table, range_text
from studies.lab.study import Study, StudyResults
from studies.lessons import (
    knowledge,
    layout,
    length,
    masks,
    size,
    small,
    tying,
    vocabulary,
)
from studies.lessons.arms import BASE, FALLING
from studies.lessons.costs import COSTS, measure_costs
from studies.lessons.readings import READINGS
from studies.lessons.runs import lesson_text_digest, make_lesson_run

MODULES = length, layout, vocabulary, size, tying, small, masks, knowledge
LESSONS = {number: module.CLAIMS for number, module in enumerate(MODULES, 1)}
LESSONS[None] = [  # a choice of this study itself
    Claim(
        "A learning rate that falls to 0 beats a constant rate of half its peak.",
        Effect("falling", "base"),
        sides=("a rate that falls", "a constant rate"),
    )
]
ARMS = {"base": BASE} | vocabulary.ARMS | tying.ARMS | layout.ARMS | size.ARMS
ARMS |= small.ARMS | masks.ARMS | {"falling": FALLING}
EFFECT = "Effect (95 % interval)"  # the title of its column
DIGITS = {"nats": 3, "percentage points": 1, "steps": 0}


class Lessons(Study):
    """A study whose steps are timed, too: losses are compared at equal time."""

    def make_missing(self, arms, seeds, processes: int = 1) -> None:
        """Makes the runs that are missing, then times the arms that were not timed."""
        super().make_missing(arms, seeds, processes)
        measure_costs(self.arms)


def lesson_row(results: StudyResults, claim: Claim) -> dict:
    """A claim with its verdict, and what it takes to check it.

    Minutes of one core are those of the steps, by the recorded costs: several runs at
    once share a machine, so their own clocks would say too much.
    """
    row = results.decide(claim)
    if not isinstance(claim.effect, Effect):
        return row
    costs, seconds = read_record(COSTS), 0.0
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


def lesson_effect(row: dict) -> str:
    """A claim's number with its interval and unit; empty if there is none yet."""
    if row["interval"]["mean"] is None:
        return ""
    number = range_text(row["interval"], DIGITS.get(row["unit"], 2), sign="+")
    return row.get("effect") or f"{number} {row['unit']}"


def lesson_cells(results: StudyResults, claim: Claim) -> dict[str, str]:
    """A claim and what became of it, by the titles of the table.

    A primary claim is the lesson's own sentence; others were added to understand it.
    One with too few seeds names the command that finishes it.
    """
    row = lesson_row(results, claim)
    verdict, seeds = row["verdict"], f"{row['interval'].get('n', '')}"
    if verdict == "unfinished":
        verdict, seeds = f"{verdict}: `{row['command']}`", f"{seeds} of {SEEDS}"
    return {
        "Claim": row["text"],
        "Kind": "primary" if row["primary"] else "exploratory",
        "Verdict": verdict,
        EFFECT: lesson_effect(row),
        "Seeds": seeds,
        "Budget of a run": row["budget"],
        "Core minutes": f"{row['core_minutes']:.0f}",
        "Processor": ", ".join(row["hardware"]),
    }


def lesson_lines(results: StudyResults, lesson: int | None) -> str:
    """One lesson's claims, each with its verdict and number, as a Markdown list."""
    rows = (lesson_cells(results, claim) for claim in LESSONS[lesson])
    return "\n".join(
        f"* {row['Kind'].capitalize()}: *{row['Claim']}* **{row['Verdict']}** "
        f"{row[EFFECT]}".rstrip()
        for row in rows
    )


def lessons_table(results: StudyResults) -> str:
    """All claims as a Markdown table."""
    rows = [
        {"Lesson": f"{lesson or ''}"} | lesson_cells(results, claim)
        for lesson, claims in LESSONS.items()
        for claim in claims
    ]
    return markdown_table([*rows[0]], [[*row.values()] for row in rows])


def lessons_figure(results: StudyResults) -> Figure:
    """Each pair whose losses a claim compares, a row each."""
    pairs = [row for row in results.claims if row["sides"]]
    rows = [row for row in pairs if row["interval"]["mean"] is not None]
    return figure_of(size=(8.8, 0.29 * len(rows) + 1.2))(draw_lessons)(rows)


def draw_lessons(axes, rows: list[dict]) -> None:
    """Differences in loss; left of zero the one named on the left is ahead.

    Grey is the margin; a colour says that an interval leaves zero behind it on that
    side. What lies beyond the scale is an arrow with its mean.
    """
    end, margin = 0.4, SMALLEST["nats"]
    axes.axvspan(-margin, margin, color="#ececec", linewidth=0)
    axes.axvline(0, color=QUIET, linewidth=1)
    for y, row in enumerate(rows):
        mean, low, high = (row["interval"][key] or 0 for key in ("mean", "low", "high"))
        color = BLUE if high < 0 else ORANGE if low > 0 else QUIET
        if abs(mean) < end:
            interval_rows(axes, [row["interval"]], color, y)
        else:
            x, text = math.copysign(end, mean) * 0.97, f"{mean:+.2f}".replace("-", "−")
            axes.plot(x, y, "<" if x < 0 else ">", color=color)
            look = {"va": "center", "color": color, "fontsize": 9}
            note_point(axes, text, (x, y), (8, 0), **look)
    left, right = zip(*(row["sides"] for row in rows), strict=True)
    label_rows(axes, left)
    axes.set_xlim(-end, end)
    other = axes.secondary_yaxis("right")
    other.set_yticks(range(len(rows)), right, fontsize=9)
    other.spines["right"].set_visible(False)
    other.tick_params(length=0)
    title = "← the one on the left is better        the one on the right is better →"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("difference in validation loss (nats per word); small dots: seeds")


STUDY = Lessons(
    "lessons",
    "Train the arms of the lessons over their seeds, resumable; runs whose record "
    "exists are skipped. Then time a step of each arm that has no time on record, and "
    "print the table and draw the figures.",
    folder=RECORDS / "lessons",
    states=ROOT / "runs" / "lessons",
    arms=ARMS,
    make=make_lesson_run,
    text=lambda arm: {
        "text": lesson_text_digest(arm.pieces, arm.model_config.vocab_size)
    },
    readings=READINGS,
    claims=[claim for claims in LESSONS.values() for claim in claims],
    table=lessons_table,
    figures={
        "lesson_length.png": lambda _: length.length_figure(read_record(length.GROWTH)),
        "lesson_layout.png": layout.layout_figure,
        "lesson_vocabulary.png": vocabulary.vocabulary_figure,
        "lesson_size.png": size.size_figure,
        "lesson_tying.png": tying.tying_figure,
        "lesson_small.png": small.small_figure,
        "lesson_mask.png": masks.masks_figure,
        "lesson_effects.png": lessons_figure,
    },
)
