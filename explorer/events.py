"""Answers a notebook's events one at a time, and lets long work give way to them."""

import asyncio
import contextvars
import threading
from collections.abc import Iterator

PAUSE = 0.01  # seconds in which another event can come first


def running_event_loop():
    """The event loop that runs in this thread; None if there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class EventServer:
    """Answers events one at a time, whichever thread they come in.

    JupyterLab sends some to threads of their own (subshells). All are answered in the
    event loop in which the object was made: while a cell runs there they wait for its
    end, as cells do. Where there was no loop each thread answers its own, under a lock.

    Answers go out in the context of the cell that made the object, too: ipykernel takes
    the next event of a widget to the thread of the request that its last message
    answered, so that quick clicks on two widgets would overtake each other.
    """

    def __init__(self):
        self.loop, self.lock = running_event_loop(), threading.RLock()
        self.context = contextvars.copy_context()

    @property
    def at_once(self) -> bool:
        """Whether there is no loop, so that nothing can come in between."""
        return self.loop is None or self.loop.is_closed()

    def serve(self, action) -> None:
        """Does what an event asks for."""
        if self.at_once or self.loop is running_event_loop():
            with self.lock:
                self.context.copy().run(action)
        else:
            self.loop.call_soon_threadsafe(self.serve, action)

    def work(self, steps: Iterator, failed):
        """Goes through long work, events served in between; returns the task, if any.

        `failed` is told of an error, which nobody else would see.
        """

        async def pace():
            try:
                for _ in steps:
                    await asyncio.sleep(PAUSE)
            except Exception as error:
                failed(error)

        if not self.at_once:
            return self.loop.create_task(pace())
        for _ in steps:
            pass
