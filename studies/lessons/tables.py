"""The lessons as text, from their summary alone: claims, numbers and verdicts."""

SEEDS = 3  # below which nothing is decided
TITLES = (
    "Lesson",
    "Claim",
    "Verdict",
    "Effect (95 % interval)",
    "Seeds",
    "Budget of a run",
    "Core minutes",
    "Processor",
)


def verdict_text(row: dict) -> str:
    """The verdict; of a claim with too few seeds, the command that finishes it."""
    said = row["verdict"]
    return f"{said}: `{row['command']}`" if said == "unfinished" else said


def effect_text(row: dict) -> str:
    """A claim's number with its interval and unit; empty if there is none yet."""
    found, unit = row["found"], row["unit"]
    if found["mean"] is None:
        return ""
    if "written" in found:
        # Recorded as what is beyond half a step.
        share, low, high = (50 + found[key] for key in ("mean", "low", "high"))
        written, fused = (found[form]["equal_at"] for form in ("written", "fused"))
        return (
            f"{share:.0f} % ({low:.0f} to {high:.0f} %) of a step; half of it from "
            f"{written:,.0f} positions on (fused: {fused:,.0f})"
        )
    digits = {"nats": 3, "points": 1, "steps": 0}.get(unit, 2)
    text = f"{found['mean']:+.{digits}f}"
    if found["low"] is not None:
        text += f" ({found['low']:+.{digits}f} to {found['high']:+.{digits}f})"
    return f"{text} {unit}"


def seeds_text(row: dict) -> str:
    """How many seeds; of how many, where some are missing; none if none are drawn."""
    count = row["found"]["n"]
    if count is None:
        return ""
    return str(count) if count >= SEEDS else f"{count} of {SEEDS}"


def lesson_lines(summary: dict, lesson: int | None) -> str:
    """One lesson's claims, each with its verdict and number, as a Markdown list."""
    return "\n".join(
        f"* *{row['text']}* **{verdict_text(row)}**: {effect_text(row)}".rstrip(": ")
        for row in summary["claims"]
        if row["lesson"] == lesson
    )


def lessons_table(summary: dict) -> str:
    """The closing table in Markdown; a claim with too few seeds names its command."""
    lines = [TITLES, ["---"] * len(TITLES)]
    for row in summary["claims"]:
        cells = ["" if row["lesson"] is None else str(row["lesson"]), row["text"]]
        cells += [verdict_text(row), effect_text(row), seeds_text(row), row["budget"]]
        cells += [f"{row['core_minutes']:.0f}", ", ".join(row["hardware"])]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
