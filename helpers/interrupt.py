"""Ctrl-C: it ends a program at the first press, and leaves nothing half done."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def end_at_first_press() -> None:
    """Has Ctrl-C end a command even where a library or Python itself passes over it."""

    def interrupt(number, frame):
        while frame:
            if frame.f_code.co_filename.startswith("<frozen importlib"):
                os.write(2, b"Interrupted.\n")
                os._exit(130)  # there are libraries whose import would go on
            frame = frame.f_back
        raise KeyboardInterrupt

    def ignored(error):
        if issubclass(error.exc_type, KeyboardInterrupt):  # in a destructor, say
            threading.Timer(0.01, os.kill, [os.getpid(), signal.SIGINT]).start()
        else:
            sys.__unraisablehook__(error)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = ignored


@contextmanager
def held_back() -> Iterator[None]:
    """Has Ctrl-C wait for the end of the block, which should be a short one."""
    before, pressed = signal.getsignal(signal.SIGINT), []
    # Only the main thread may say what a signal does; some programs ignore this one.
    if threading.current_thread() is not threading.main_thread() or not callable(
        before
    ):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        before(signal.SIGINT, sys._getframe())


@contextmanager
def whole_or_undone(*objects) -> Iterator[None]:
    """Gives objects the attributes back that they had, unless the block ends."""
    before = [vars(thing).copy() for thing in objects]
    try:
        yield
    except BaseException:
        for thing, attributes in zip(objects, before, strict=True):
            vars(thing).update(attributes)
        raise
