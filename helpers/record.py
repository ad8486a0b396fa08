"""Run records: what was trained, on what, and what came out, as JSON.

Every figure about a training run is drawn from such a record, on any machine.
"""

import json
import os
import platform
from pathlib import Path

import torch

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


def write(path: Path, record: dict) -> None:
    """Writes a record as JSON, one line a value, so that changes can be reviewed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf-8")
    part.replace(path)  # whole, even if the program is stopped meanwhile


def read(path: Path) -> dict:
    """Reads a record; ValueError if it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is missing or damaged ({error}).") from error
