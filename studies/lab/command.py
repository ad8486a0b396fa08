"""What the commands of the studies share."""

import argparse
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial

from helpers.settings import NumberSetting, SettingError


def read_option(kind: type, text: str):
    """Reads an option's text; what is not of this kind is left to the configuration."""
    try:
        return kind(text)
    except ValueError:
        return text


def read_number(values: NumberSetting, text: str):
    """Reads an option's text as one of these numbers."""
    if (value := read_option(values.kind, text)) not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is not {values}")
    return value


COUNT = partial(read_number, NumberSetting.whole(1))  # each the `type` of an option
SEED = partial(read_number, NumberSetting.whole(0))


class Parser(argparse.ArgumentParser):
    """A command's options; a wrong one ends it with status 2 and one sentence."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")

    def add_configurations(self, *kinds: type) -> None:
        """One option for each field of the configurations, with its default."""
        for field in (field for kind in kinds for field in fields(kind)):
            kind = float if field.default is None else type(field.default)
            switch = {"action": argparse.BooleanOptionalAction}
            how = switch if kind is bool else {"type": partial(read_option, kind)}
            name = "--" + field.name.replace("_", "-")
            self.add_argument(name, default=field.default, **how)

    def build(self, kind: type, given: argparse.Namespace):
        """A configuration from the options."""
        return kind(**{f.name: getattr(given, f.name) for f in fields(kind)})

    @contextmanager
    def one_sentence(self) -> Iterator[None]:
        """Work whose failure is told in one sentence: status 1, or 130 after Ctrl-C.

        A setting that is refused is named as it was typed: status 2.
        """
        try:
            with end_command_at_first_press():
                yield
        except SettingError as error:
            message = str(error)
            for action in self._actions:
                typed = action.option_strings[0]
                message = re.sub(rf"\b{action.dest}(?= is )", typed, message)
            self.error(message)
        except KeyboardInterrupt as error:
            self.exit(130, f"{self.prog}: {str(error) or 'interrupted.'}\n")
        except (ValueError, OSError, ArithmeticError, MemoryError) as error:
            self.exit(1, f"{self.prog}: {' '.join(str(error).split())}\n")


def command(name: str, about: str, form=argparse.ArgumentDefaultsHelpFormatter):
    """The parser of `python -m studies.NAME`."""
    return Parser(f"python -m studies.{name}", description=about, formatter_class=form)


@contextmanager
def end_command_at_first_press() -> Iterator[None]:
    """Within it Ctrl-C ends the work also where a library or Python swallows it."""

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
            hook(error)

    before, hook = signal.getsignal(signal.SIGINT), sys.unraisablehook
    if before not in (signal.SIG_DFL, signal.default_int_handler):
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = swallowed
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        sys.unraisablehook = hook
