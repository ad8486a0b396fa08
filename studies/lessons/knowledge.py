"""Lesson 8: grammar or facts? Of the shipped model without dropout."""

from helpers import record
from studies.lab.command import RECORDS
from studies.lab.readings import Claim

GRAMMAR, FACTS = "function words", "names"


def grammar_minus_facts() -> dict:
    """Points by which function words are named more often than names.

    The two intervals, bootstrapped over the text, are added.
    """
    study = record.read(RECORDS / "knowledge.json")
    good, bad = (
        study["bands"]["class"][kind]["accuracy"]["no_dropout"]
        for kind in (GRAMMAR, FACTS)
    )
    return {
        "interval": {
            "mean": 100 * (good["mean"] - bad["mean"]),
            "low": 100 * (good["low"] - bad["high"]),
            "high": 100 * (good["high"] - bad["low"]),
        },
        "budget": f"{study['words']:,} words asked",
        "hardware": [study["hardware"]["device"]],
        "core_minutes": study["seconds"] * study["hardware"]["threads"] / 60,
        "command": "python -m studies.attention.knowledge",
    }


CLAIMS = [
    Claim(
        "The model knows grammar better than facts: function words better than names.",
        grammar_minus_facts,
        "above",
        "points",
        primary=True,
    )
]
