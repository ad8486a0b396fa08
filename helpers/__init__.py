"""What the notebooks of mini-transformer share. See the README for the floors."""

import io
import sys
from pathlib import Path

__version__ = "0.1.0"
ROOT = Path(__file__).resolve().parent.parent

for stream in (sys.stdout, sys.stderr):  # a console without ✓ shows ? in its place
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="replace")
if sys.argv[:1] == ["-m"]:  # a command of this project is being started
    from helpers.interrupt import end_at_first_press

    end_at_first_press()
