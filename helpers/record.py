"""Run records: what was trained, on what, and what came out, as JSON.

Every figure about a training run is drawn from such a record, on any machine.
"""

import hashlib
import json
from collections.abc import Container
from dataclasses import asdict, is_dataclass
from pathlib import Path

from torch import Tensor

from helpers.files import reading_file, write_file


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's numbers."""
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


def record_identity(identity: dict) -> dict:
    """What makes a run this run, as a record holds it: configurations as dicts."""
    return {k: asdict(v) if is_dataclass(v) else v for k, v in identity.items()}


def require_same_record(
    place,
    recorded: dict,
    identity: dict,
    free: Container = (),
    advice: str = "Choose another name for this one.",
) -> None:
    """Raises ValueError if the record in a place is not of the run with an identity.

    Configurations are compared field by field; a field that is newer than the record
    has its default. What is named in `free` may differ. The error ends with the advice.
    """
    for part, value in identity.items():
        then, now = {part: recorded.get(part)}, {part: value}
        if is_dataclass(value):
            known = isinstance(recorded.get(part), dict)
            then = asdict(type(value)()) | recorded[part] if known else {}
            now = asdict(value)
        for name in {**now, **then}:
            if name not in free and then.get(name) != now.get(name):
                raise ValueError(
                    f"{place} holds another run: its {name} is {then.get(name)}, not "
                    f"{now.get(name)}. {advice}"
                )


def write_record(path: Path, record: dict) -> None:
    """Writes a record as JSON, one line a value, so that changes can be reviewed."""
    write_file(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_record(path: Path) -> dict:
    """Reads a record; ValueError if it is missing, damaged or of another kind."""
    with reading_file(path, "Make the record again."):
        return {**json.loads(Path(path).read_text("utf-8"))}
