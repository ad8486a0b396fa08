"""How much memory a piece of work takes at most."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch

from studies.lab.timing import DEVICE


def resident_memory(what: str) -> int | None:
    """This process's memory in bytes, now (VmRSS) or at most (VmHWM). Linux only.

    Not getrusage: its ru_maxrss starts at the peak of the process that started this.
    """
    with suppress(FileNotFoundError):
        text = Path("/proc/self/status").read_text("utf-8")
        return 1024 * int(re.search(rf"{what}:\s+(\d+)", text)[1])
    return None


def peak_memory(work: Callable[[], object]) -> float | None:
    """What the work takes at most, in MB, beyond what is there before it.

    For a training step, weights and AdamW's averages are there before, so this is
    activations, gradients and what the operators need. Call it in a fresh process.
    """
    if DEVICE == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    before = resident_memory("VmRSS")
    work()
    return None if before is None else (resident_memory("VmHWM") - before) / 1e6


def memory_in_fresh_process(function: Callable, *arguments):
    """What the function returns in a process of its own, whose memory can be trusted.

    There glibc returns a tensor above 1 MiB as soon as it is freed. It otherwise keeps
    some of them, and the same step's peak varies by a fifth.
    """
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**20)  # read when a process starts
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()
