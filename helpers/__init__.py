"""What the notebooks of mini-transformer share. CONTRIBUTING.md names the floors."""

import io
import signal
import sys
from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent

for stream in (sys.stdout, sys.stderr):  # a console without ✓ shows ? in its place
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if sys.argv[:1] == ["-m"] and usual:  # Ctrl-C ends a command also while it starts
    signal.signal(signal.SIGINT, signal.SIG_DFL)
