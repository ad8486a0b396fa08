"""Runs tests in several copies of the project, for test_mutations.py.

PyTorch and transformers are imported once; then each copy gets a fork of this process,
so that it costs a second rather than five. Nothing of helpers/ may be imported before
the fork.
"""

import json
import os
import sys
from pathlib import Path

import pytest
import torch  # noqa: F401
from transformers import BertConfig, BertForMaskedLM  # noqa: F401


def outcome(folder: str, nodes: list[str]) -> int:
    """What pytest returns for some tests of a copy, run in a process of its own."""
    if not (child := os.fork()):
        os.chdir(folder)
        sys.path[0] = folder
        quiet = ["-q", "-x", "-p", "no:cacheprovider", "-c", os.devnull]
        code = pytest.main([*quiet, "--rootdir", folder, *nodes])
        sys.stdout.flush()
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    codes = [outcome(folder, nodes) for folder, nodes in json.load(sys.stdin)]
    Path(sys.argv[1]).write_text(json.dumps(codes), "utf-8")
