"""Python in a process of its own, as a reader or a maintainer starts it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from helpers import ROOT


def python(
    *arguments, folder: Path = ROOT, encoding: str = "utf-8", **variables: str
) -> subprocess.CompletedProcess:
    """Runs Python with these arguments in a folder, and keeps what it prints.

    Beside those of the tests, it gets these environment variables.
    """
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        encoding=encoding,
        timeout=600,
    )


@contextmanager
def started(
    *arguments, folder: Path = ROOT, **variables: str
) -> Iterator[subprocess.Popen]:
    """Python that goes on beside a test; what of it still runs at the end is killed.

    It leads a group of processes, as in a terminal, and Ctrl-C ends it, also where the
    tests are a job that ignores the signal.
    """
    with subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
