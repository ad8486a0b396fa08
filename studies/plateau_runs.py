"""Where the records of `python -m studies.plateau` lie, for all that read them.

Without that command's statistics, so that a notebook can import it.
"""

from helpers import ROOT, record

CONTROL = "none", 1e-3, 0  # its positions, rate and seed
RECORDS = ROOT / "plots" / "records" / "plateau"
SUMMARY = RECORDS.with_suffix(".json")


def run_name(positions: str, rate: float, seed: int) -> str:
    """The name of a run and of its record."""
    return f"{positions}_rate_{rate:g}_seed_{seed}"


def runs_of(summary: dict) -> list[dict]:
    """The whole records of the runs that a summary is of, the control last."""
    control = summary["control"]
    names = [
        run_name(positions, row["rate"], seed)
        for positions, row in summary["arms"].items()
        for seed in row["seeds"]
    ]
    names.append(run_name(CONTROL[0], control["rate"], control["seed"]))
    return [record.read(RECORDS / f"{name}.json") for name in names]
