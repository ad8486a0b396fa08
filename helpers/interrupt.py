"""Ctrl-C can wait, so that nothing is left half done."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def delay_interrupt() -> Iterator[None]:
    """Has Ctrl-C wait for the end of the block, which should be a short one."""
    before, pressed = signal.getsignal(signal.SIGINT), []
    main = threading.current_thread() is threading.main_thread()
    held = main and callable(before)  # only that thread may, and some ignore Ctrl-C
    if held:
        signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        if held:
            signal.signal(signal.SIGINT, before)
    if pressed:
        before(signal.SIGINT, sys._getframe())
