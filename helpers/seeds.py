"""Random draws that depend on a key alone, so that every run can be repeated."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seeded(*key) -> torch.Generator:
    """A generator on the CPU whose draws depend on `key` alone, on every machine."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:4], "big"))


@contextmanager
def seeding_defaults() -> Iterator[None]:
    """PyTorch's own defaults, the CPU and float32, whatever a reader's are."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)
