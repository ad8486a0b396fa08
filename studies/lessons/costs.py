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
from studies.lab import timing
from studies.lab.machine import hardware
from studies.lab.runs import RECORDS
from studies.lessons.arms import BASE, LessonArm

COSTS = RECORDS / "lessons" / "costs.json"
ROUNDS = 9
MIXED = 24  # batches a turn where rows differ in length, at equal distances


def cost_batches(arm: LessonArm) -> tuple[list[Tensor], float]:
    """Batches whose mean step stands for all, and the share of [PAD] in the whole text.

    One batch, or many where rows differ in length.
    """
    lines, length = arm.lines("train"), arm.model_config.max_length
    if arm.layout != "bucket":
        return [next(arm.batches(0))], wasted_share(arm.rows(lines))
    batches = bucket(lines, length, arm.train_config(0).batch_size, seeded(0))
    batches.sort(key=lambda ids_BT: ids_BT.shape[1])
    middles = [(2 * i + 1) * len(batches) // (2 * MIXED) for i in range(MIXED)]
    return [batches[i] for i in middles], wasted_share(batches)


def cost_turn(arm: LessonArm) -> tuple[Callable[[], float], dict]:
    """A turn of an arm, which returns seconds per step; and what its steps work on."""
    (batches, padding), config = cost_batches(arm), arm.train_config(0)
    mask = arm.mask(0)
    torch.manual_seed(0)
    model = MaskedLanguageModel(arm.model_config).to(timing.DEVICE)
    step = timing.timed_training_step(model, config, mask)

    def turn() -> float:
        step(batches[0])  # after another arm's, it finds caches and memory not its own
        return timing.seconds_of(lambda: [*map(step, batches)]) / len(batches)

    how = model.config.vocab_size, config.mask_rate, seeded(0), config.masks == "fixed"
    masked = [int((mask(ids_BT, *how)[1] != IGNORE).sum()) for ids_BT in batches]
    return turn, {
        "asked": statistics.fmean(masked),
        "tokens": statistics.fmean(ids_BT.numel() for ids_BT in batches),
        "padding": padding,
        "design": asdict(arm),
    }


def measure_costs(arms: dict[str, LessonArm]) -> None:
    """Times the arms that are not on record as they are, each beside the base.

    Of other arms what is on record stays, so that a new one moves no older number. For
    an idle machine.
    """
    costs = {"hardware": hardware(), "rounds": ROUNDS, "arms": {}}
    if COSTS.exists():
        costs = read_record(COSTS)
    timed = {name: LessonArm(**cost["design"]) for name, cost in costs["arms"].items()}
    new = {name: arm for name, arm in arms.items() if timed.get(name) != arm}
    if not new:
        return
    turns, facts = {}, {}
    for name, arm in {"base": BASE, **new}.items():
        turns[name], facts[name] = cost_turn(arm)
    seconds = timing.time_in_turns(turns, ROUNDS)
    for name in new:
        measured = timing.times_and_ratios(seconds[name], seconds["base"])
        costs["arms"][name] = facts[name] | measured | {"hardware": hardware()}
    write_record(COSTS, costs)
