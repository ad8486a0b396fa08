"""What a training step of each arm costs beside one of the base, taken in turn."""

import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from helpers import record
from helpers.data import bucket, pack, pad, wasted_share
from helpers.masking import IGNORE
from helpers.model import MaskedLanguageModel
from helpers.run import TrainingRun
from helpers.seeds import seeded
from helpers.train import train_step
from studies.lab.timing import WARM_UP, spread
from studies.lessons.arms import ARMS, Arm, hiding, source, text_of
from studies.lessons.runs import RECORDS

COSTS = RECORDS / "costs.json"
ROUNDS = 9
MIXED = 24  # batches a turn where rows differ in length, at equal distances


def timed_batches(arm: Arm) -> list[Tensor]:
    """Batches whose mean step stands for all: one, or many of different lengths."""
    if arm.layout != "bucket":
        return list(itertools.islice(source(arm, 0), 1))
    length, rows = arm.model_config.max_length, arm.train_config(0).batch_size
    batches = bucket(text_of(arm, "train"), length, rows, seeded(0))
    batches.sort(key=lambda ids_BT: ids_BT.shape[1])
    middles = [(2 * i + 1) * len(batches) // (2 * MIXED) for i in range(MIXED)]
    return [batches[i] for i in middles]


def prepare(name: str, device: str) -> tuple[Callable[[], float], dict]:
    """A turn of an arm, which returns seconds a step; and what a step works on."""
    arm, batches = ARMS[name], timed_batches(ARMS[name])
    config, hide = arm.train_config(0), hiding(arm, 0)
    torch.manual_seed(0)
    model = MaskedLanguageModel(arm.model_config).to(device)
    run = TrainingRun(model, config, getattr(torch, config.precision))

    def step(ids_BT: Tensor) -> float:
        return train_step(run, ids_BT, config, 10**6, hide).item()  # waits for a GPU

    def turn() -> float:
        step(batches[0])  # after another arm's, it finds caches and memory not its own
        start = time.perf_counter()
        for ids_BT in batches:
            step(ids_BT)
        return (time.perf_counter() - start) / len(batches)

    size = model.config.vocab_size, config.mask_rate, seeded(0)
    fixed = config.masks == "fixed"
    labels = [hide(ids_BT, *size, fixed=fixed)[1] for ids_BT in batches]
    asked = statistics.fmean(int((rows != IGNORE).sum()) for rows in labels)
    tokens = statistics.fmean(ids_BT.numel() for ids_BT in batches)
    return turn, {"asked": asked, "tokens": tokens}


def padding(arm: Arm) -> float:
    """Share of [PAD] among all positions of the training text in an arm's layout."""
    lines, config = text_of(arm, "train"), arm.model_config
    rows = arm.train_config(0).batch_size
    if arm.layout == "bucket":
        return wasted_share(bucket(lines, config.max_length, rows, seeded(0)))
    return wasted_share(
        (pad if arm.layout == "pad" else pack)(lines, config.max_length)
    )


def untimed() -> list[str]:
    """The arms whose costs are not on record, or are of another design."""
    made = record.read(COSTS)["arms"] if COSTS.exists() else {}
    designs = {name: cost["design"] for name, cost in made.items()}
    return [
        name
        for name, arm in ARMS.items()
        if name not in designs or Arm(**designs[name]) != arm
    ]


def measure(names: list[str]) -> dict:
    """Times arms beside the base and adds them to the record. For an idle machine.

    Quartiles of seconds a step, and of the ratios to the base within each round. Of
    other arms what is on record stays, so that a new one moves no older number.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    turns, facts = {}, {}
    for name in dict.fromkeys(["base", *names]):
        turns[name], facts[name] = prepare(name, device)
    found = {name: [] for name in turns}
    for done in range(-WARM_UP, ROUNDS):
        for name, turn in turns.items():
            seconds = turn()
            if done >= 0:
                found[name].append(seconds)
    for name, seconds in found.items():
        ratios = [a / b for a, b in zip(seconds, found["base"], strict=True)]
        facts[name] |= {"seconds": spread(seconds), "ratio": spread(ratios)}
        facts[name] |= {"padding": padding(ARMS[name]), "design": asdict(ARMS[name])}
    timed, machine = {name: facts[name] for name in names}, record.hardware()
    result = {"hardware": machine, "rounds": ROUNDS, "arms": timed}
    if COSTS.exists():
        earlier = record.read(COSTS)
        added = {name: cost | {"hardware": machine} for name, cost in timed.items()}
        result = earlier | {"arms": earlier["arms"] | added}
    record.write(COSTS, result)
    return result
