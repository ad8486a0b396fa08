"""All lessons in one study: their arms, the table of their claims, the figures."""

from helpers import ROOT
from helpers.record import read_record
from studies.lab.claims import SEEDS, Claim, Effect
from studies.lab.runs import RECORDS
from studies.lab.study import Study, StudyResults
from studies.lab.tables import markdown_table, range_text
from studies.lessons import figures
from studies.lessons.arms import ARMS, arm_text_digest
from studies.lessons.claims import LESSONS
from studies.lessons.costs import COSTS, measure_costs
from studies.lessons.readings import READINGS
from studies.lessons.runs import make_lesson_run
from studies.speed.scaling import STUDY as SCALING

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
        "Processor": " and ".join(row["hardware"]),
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


STUDY = Lessons(
    "lessons",
    "Train the arms of the lessons over their seeds, resumable; runs whose record "
    "exists are skipped. Then time a step of each arm that has no time on record, and "
    "print the table and draw the figures.",
    folder=RECORDS / "lessons",
    states=ROOT / "runs" / "lessons",
    arms=ARMS,
    make=make_lesson_run,
    text=lambda arm: {"text": arm_text_digest(arm.pieces, arm.model_config.vocab_size)},
    readings=READINGS,
    claims=[claim for claims in LESSONS.values() for claim in claims],
    table=lessons_table,
    figures={
        "lesson_length.png": lambda _: figures.lesson_length_figure(SCALING.read()),
        "lesson_layout.png": figures.lesson_layout_figure,
        "lesson_vocabulary.png": figures.lesson_vocabulary_figure,
        "lesson_size.png": figures.lesson_size_figure,
        "lesson_tying.png": figures.lesson_tying_figure,
        "lesson_small.png": figures.lesson_small_figure,
        "lesson_mask.png": figures.lesson_masks_figure,
        "lesson_effects.png": figures.lesson_effects_figure,
    },
)
