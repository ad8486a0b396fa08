"""The machine that a record was made on."""

import os
import platform
from pathlib import Path

import torch


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
