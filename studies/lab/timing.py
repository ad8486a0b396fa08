"""How long a piece of work takes, on a machine that others may use too.

Works that are compared take turns, so that whatever slows the machine slows them all,
and a ratio is taken within each round.
"""

import math
import time
from collections.abc import Callable

import torch

from helpers.masking import mask_tokens
from helpers.optimize import TrainConfig
from helpers.train import TrainingRun, train_step
from studies.lab.machine import DEVICE, hardware
from studies.lab.stats import quartiles

WARM_UP = 2  # rounds before the clock runs


def timed_training_step(model, config: TrainConfig, mask=mask_tokens) -> Callable:
    """A step as `train` takes it, on a batch of ids (B, T); it returns the loss."""
    run = TrainingRun(model, config)
    return lambda ids_BT: train_step(run, ids_BT, config, 10**6, mask)


def seconds_of(work: Callable[[], object]) -> float:
    """How long the work takes, up to its end on the device too."""
    wait = torch.cuda.synchronize if DEVICE == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def timed(make: Callable[..., dict], *material) -> dict:
    """What is made of the material, with the seconds that it took, and the hardware."""
    start = time.perf_counter()
    made = make(*material) | {"seconds": round(time.perf_counter() - start, 1)}
    return made | {"hardware": hardware()}


def time_in_turns(turns: dict[str, Callable], rounds: int, limit=math.inf) -> dict:
    """Calls each in turn, round after round, and returns what they returned: seconds.

    The first rounds only warm up. After `limit` seconds there are at least 3 others.
    """
    seconds, start = {name: [] for name in turns}, time.perf_counter()
    for done in range(-WARM_UP, rounds):
        if done >= 3 and time.perf_counter() - start > limit:
            break
        for name, turn in turns.items():
            taken = turn()
            if done >= 0:
                seconds[name].append(taken)
    return seconds


def times_and_ratios(seconds: list[float], others: list[float]) -> dict[str, list]:
    """Quartiles of the seconds, and of the ratios to the other in the same round."""
    ratios = [a / b for a, b in zip(seconds, others, strict=True)]
    return {"seconds": quartiles(seconds), "ratio": quartiles(ratios)}
