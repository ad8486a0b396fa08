"""The machine: what it is, and how much of its memory a piece of work takes."""

import os
import platform
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


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
