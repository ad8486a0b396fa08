"""Run records: what was trained, on what, and what came out, as JSON.

Every figure about a training run is drawn from such a record, on any machine.
"""

import hashlib
import json
import os
import platform
from collections.abc import Container
from dataclasses import asdict, is_dataclass
from pathlib import Path

import torch
from torch import Tensor

from helpers.files import write_whole

CONTEXT = 6  # words shown on each side of a probed word


def hardware() -> dict:
    """The machine as a reader would name it, with the versions that matter."""
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        facts = {k.strip(): v.strip() for k, _, v in (x.partition(":") for x in lines)}
        if "cpu family" in facts:  # x86, where many processors have the same name
            cpu = "{model name}, family {cpu family}, model {model}".format_map(facts)
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
    }


def phases(history: list[dict], unigram_loss: float) -> dict[str, dict]:
    """The evaluations that stand for the phases of a training run.

    start: the first; plateau: the one nearest to the unigram loss; after: the first at
    least 1 nat below it; end: the one of lowest validation loss. A phase that was never
    reached is missing.
    """
    found = {"start": history[0]}
    later = history[1:] or history
    found["plateau"] = min(
        later, key=lambda entry: abs(entry["validation_loss"] - unigram_loss)
    )
    below = [e for e in later if e["validation_loss"] < unigram_loss - 1]
    if below:
        found["after"] = below[0]
    found["end"] = min(history, key=lambda entry: entry["validation_loss"])
    return found


def samples(history, unigram_loss, validation_BT, words: list[str]) -> list[dict]:
    """True word against prediction at the same places, one entry a phase."""
    table = []
    for phase, entry in phases(history, unigram_loss).items():
        predictions = []
        for found in entry["probes"]:
            ids, at = validation_BT[found["block"]].tolist(), found["position"]
            left = [words[i] for i in ids[max(0, at - CONTEXT) : at]]
            right = [words[i] for i in ids[at + 1 : at + 1 + CONTEXT]]
            predictions.append(
                {"left": left, "right": right, "true": words[ids[at]]}
                | {"pred": words[found["predicted"]], "p": found["p"]}
            )
        table.append(
            {"phase": phase, "step": entry["step"]}
            | {"most_predicted": words[entry["most_predicted"]]}
            | {"most_predicted_share": entry["most_predicted_share"]}
            | {"predictions": predictions}
        )
    return table


def digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's numbers."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def plain(identity: dict) -> dict:
    """What makes a run this run, as a record holds it: configurations as dicts."""
    return {k: asdict(v) if is_dataclass(v) else v for k, v in identity.items()}


def settings(kind: type, part: str, found: dict) -> dict:
    """A configuration in a record; a field that is newer than it has its default."""
    # In the states of trainings all stood side by side at first.
    there = found.get(
        part, {k: v for k, v in found.items() if k in kind.__match_args__}
    )
    if not isinstance(there, dict):
        raise ValueError(f"The {part} settings are {there!r}; make the record again.")
    return asdict(kind()) | there


def require_same(place, found: dict, wanted: dict, free: Container = ()) -> None:
    """Raises ValueError if what a place holds is not of the run wanted.

    Configurations are compared field by field. What is named in `free` may differ.
    """
    for part, value in wanted.items():
        then, now = {part: found.get(part)}, {part: value}
        if is_dataclass(value):
            then, now = settings(type(value), part, found), asdict(value)
        for name in {**now, **then}:
            if name not in free and then.get(name) != now.get(name):
                raise ValueError(
                    f"{place} holds another run: its {name} is {then.get(name)}, not "
                    f"{now.get(name)}. Choose another name for this one."
                )


def write(path: Path, record: dict) -> None:
    """Writes a record as JSON, one line a value, so that changes can be reviewed."""
    write_whole(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> dict:
    """Reads a record; ValueError if it is missing, damaged or of another kind."""
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no names with values")
        return found
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}).") from error
