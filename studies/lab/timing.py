"""How long a piece of work takes and how much memory, on a machine others may use too.

Works that are compared take turns, so that whatever slows the machine slows them all,
and a ratio is taken within each round.
"""

import math
import os
import re
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from helpers.masking import mask_tokens
from helpers.optimize import TrainConfig
from helpers.train import train_step
from helpers.training_run import TrainingRun

WARM_UP = 2  # rounds before the clock runs


def training_step(
    model, config: TrainConfig, mask=mask_tokens
) -> Callable[[Tensor], Tensor]:
    """A step as `train` takes it, on a batch of ids (B, T); it returns the loss."""
    run = TrainingRun(model, config)
    return lambda ids_BT: train_step(run, ids_BT, config, 10**6, mask)


def seconds_of(work: Callable[[], object], device: str) -> float:
    """How long the work takes, up to its end on the device too."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def time_in_turns(
    turns: dict[str, Callable[[], float]], rounds: int, limit: float = math.inf
) -> dict[str, list[float]]:
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


def spread(numbers: list[float]) -> list[float]:
    """Lower quartile, median, upper quartile."""
    return np.quantile(numbers, [0.25, 0.5, 0.75]).tolist()


def ratio_spread(seconds: list[float], others: list[float]) -> list[float]:
    """Quartiles of how many times as long one took as the other in the same round."""
    return spread([a / b for a, b in zip(seconds, others, strict=True)])


def resident(what: str) -> int | None:
    """This process's memory in bytes, now (VmRSS) or at most (VmHWM). Linux only.

    Not getrusage: its ru_maxrss starts at the peak of the process that started this.
    """
    with suppress(FileNotFoundError):
        text = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(re.search(rf"{what}:\s+(\d+)", text)[1])
    return None


def peak_of(work: Callable[[], object], device: str) -> float | None:
    """What the work takes at most, in MB, beyond what is there before it.

    For a training step, weights and AdamW's averages are there before, so this is
    activations, gradients and what the operators need. Call it in a fresh process.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = resident("VmRSS")
    work()
    return None if before is None else (resident("VmHWM") - before) / 1e6


def in_fresh_process(function: Callable, *arguments):
    """What the function returns in a process of its own, whose memory can be trusted.

    There glibc returns a tensor above 1 MiB as soon as it is freed. It otherwise keeps
    some of them, and the same step's peak varies by a fifth.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**20)  # read when a process starts
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
