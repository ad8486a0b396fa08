"""Lesson 8: grammar or facts? Of the shipped model without dropout."""

from helpers.record import read_record
from studies.lab.command import RECORDS
from studies.lab.readings import Claim


def grammar_minus_facts() -> dict:
    """Percentage points by which more function words than names are guessed right.

    The two intervals, bootstrapped over the text, are added.
    """
    study = read_record(RECORDS / "knowledge.json")
    kinds = (study["bands"]["class"][kind] for kind in ("function words", "names"))
    good, bad = (kind["accuracy"]["no_dropout"] for kind in kinds)
    ends = {"mean": "mean", "low": "high", "high": "low"}
    return {
        "interval": {a: 100 * (good[a] - bad[b]) for a, b in ends.items()},
        "budget": f"{study['words']:,} words asked",
        "hardware": [study["hardware"]["device"]],
        "core_minutes": study["seconds"] * study["hardware"]["threads"] / 60,
    }


CLAIMS = [
    Claim(
        "The model knows grammar better than facts: it guesses more of the function "
        "words right than of the names.",
        grammar_minus_facts,
        "above",
        "percentage points",
        primary=True,
    )
]
