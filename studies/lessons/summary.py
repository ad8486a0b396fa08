"""The lessons' records in one: a line for each claim, and each arm's own numbers."""

from dataclasses import asdict

from helpers import record
from studies.attention.references import read_references
from studies.lessons.arms import ARMS, RECIPE, STEPS
from studies.lessons.claims import CLAIMS, decide
from studies.lessons.costs import COSTS
from studies.lessons.readings import interval, losses, read_runs, readings
from studies.lessons.runs import RECORDS

SUMMARY = RECORDS.with_suffix(".json")


def facts(arm: str, runs: dict[int, dict], ways: dict, cost: dict) -> dict:
    """One arm: its readings with intervals, its curves, the cost of its steps."""
    found, first = {}, next(iter(runs.values()))
    for name, read in ways.items():
        try:
            values = [read(run) for run in runs.values()]
        except (KeyError, ValueError):
            continue  # a reading that was not taken of this arm, or is past its end
        found[name] = interval(values) | {"values": values}
    curves = [losses(run) for run in runs.values()]
    told = {key: value for key, value in cost.items() if key != "design"}
    return {
        "seeds": [*runs],
        "design": asdict(ARMS[arm]),
        "weights": first["weights"],
        "steps": [entry["step"] for entry in first["curve"]],
        "curves": curves,
        "readings": found,
        "cost": told | {"asked_a_second": cost["asked"] / cost["seconds"][1]},
    }


def summarise() -> dict:
    """All claims and arms, from the records at hand; written to `SUMMARY`."""
    runs, costs = read_runs(), record.read(COSTS)
    ways = readings(costs)
    references = read_references(RECORDS.parent / "references.json")
    result = {
        "steps": STEPS,
        "recipe": asdict(RECIPE),
        "model": asdict(ARMS["base"].model_config),
        "seconds_a_step": costs["arms"]["base"]["seconds"][1],
        "hardware": costs["hardware"],
        "references": {k: references[k] for k in ("unigram", "bigram")},
        "claims": [decide(claim, runs, costs) for claim in CLAIMS],
        "arms": {
            arm: facts(arm, runs[arm], ways, costs["arms"][arm])
            for arm in ARMS
            if arm in runs
        },
    }
    record.write(SUMMARY, result)
    return result
