"""Python in a process of its own, as a reader or a maintainer starts it."""

import os
import subprocess
import sys
from pathlib import Path

from helpers import ROOT


def python(*arguments, folder: Path = ROOT, **variables) -> subprocess.CompletedProcess:
    """Runs Python with these arguments in a folder, and keeps what it prints."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        encoding="utf-8",
    )
