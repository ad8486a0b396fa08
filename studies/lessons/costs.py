"""What a training step of each arm costs beside one of the base, taken in turn."""

import statistics
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from helpers.data import bucket, wasted_share
from helpers.masking import IGNORE
from helpers.model import MaskedLanguageModel
from helpers.record import read_record, write_record
from helpers.seeds import seeded
from studies.lab.command import RECORDS
from studies.lab.machine import hardware
from studies.lab.timing import (
    ratio_spread,
    seconds_of,
    spread,
    time_in_turns,
    training_step,
)
from studies.lessons.arms import (
    BASE,
    Arm,
    rows_of,
    text_of,
    training_batches,
)
from studies.lessons.masking import mask_function

COSTS = RECORDS / "lessons" / "costs.json"
ROUNDS = 9
MIXED = 24  # batches a turn where rows differ in length, at equal distances


def timed_batches(arm: Arm) -> tuple[list[Tensor], float]:
    """Batches whose mean step stands for all, and the share of [PAD] in the whole text.

    One batch, or many where rows differ in length.
    """
    lines, length = text_of(arm, "train"), arm.model_config.max_length
    if arm.layout != "bucket":
        return [next(training_batches(arm, 0))], wasted_share(rows_of(arm, lines))
    batches = bucket(lines, length, arm.train_config(0).batch_size, seeded(0))
    batches.sort(key=lambda ids_BT: ids_BT.shape[1])
    middles = [(2 * i + 1) * len(batches) // (2 * MIXED) for i in range(MIXED)]
    return [batches[i] for i in middles], wasted_share(batches)


def prepare(arm: Arm, device: str) -> tuple[Callable[[], float], dict]:
    """A turn of an arm, which returns seconds per step; and what its steps work on."""
    (batches, padding), config = timed_batches(arm), arm.train_config(0)
    mask = mask_function(arm, 0)
    torch.manual_seed(0)
    model = MaskedLanguageModel(arm.model_config).to(device)
    step = training_step(model, config, mask)

    def turn() -> float:
        step(batches[0])  # after another arm's, it finds caches and memory not its own
        return seconds_of(lambda: [*map(step, batches)], device) / len(batches)

    how = model.config.vocab_size, config.mask_rate, seeded(0), config.masks == "fixed"
    masked = [int((mask(ids_BT, *how)[1] != IGNORE).sum()) for ids_BT in batches]
    return turn, {
        "asked": statistics.fmean(masked),
        "tokens": statistics.fmean(ids_BT.numel() for ids_BT in batches),
        "padding": padding,
        "design": asdict(arm),
    }


def measure(arms: dict[str, Arm]) -> None:
    """Times the arms that are not on record as they are, each beside the base.

    Quartiles of seconds per step, and of the ratios to the base within each round. Of
    other arms what is on record stays, so that a new one moves no older number. For an
    idle machine.
    """
    costs = {"hardware": hardware(), "rounds": ROUNDS, "arms": {}}
    if COSTS.exists():
        costs = read_record(COSTS)
    timed = {name: Arm(**cost["design"]) for name, cost in costs["arms"].items()}
    new = {name: arm for name, arm in arms.items() if timed.get(name) != arm}
    if not new:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    turns, facts = {}, {}
    for name, arm in {"base": BASE, **new}.items():
        turns[name], facts[name] = prepare(arm, device)
    seconds = time_in_turns(turns, ROUNDS)
    for name in new:
        costs["arms"][name] = facts[name] | {
            "seconds": spread(seconds[name]),
            "ratio": ratio_spread(seconds[name], seconds["base"]),
            "hardware": hardware(),
        }
    write_record(COSTS, costs)
