"""Ctrl-C: it ends a command at the first press, and leaves nothing half done."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def end_at_first_press() -> None:
    """Has Ctrl-C end a command also where a library or Python itself swallows it."""

    def interrupt(number, frame):
        while frame:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                os.write(2, b"Interrupted.\n")
                os._exit(130)  # some libraries go on when their import is interrupted
            frame = frame.f_back
        raise KeyboardInterrupt

    def swallowed(error):
        if issubclass(error.exc_type, KeyboardInterrupt):  # in a destructor, say
            threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGINT]).start()
        else:
            sys.__unraisablehook__(error)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = swallowed


@contextmanager
def held_back() -> Iterator[None]:
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
