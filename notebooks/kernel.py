"""Runs a notebook from top to bottom, as `python -m notebooks` does.

In a kernel of the Python that runs this. Ctrl-C, a cell that fails, and a kernel that
dies or cannot start end the run at once and leave no process behind.
"""

import asyncio
import sys
from contextlib import closing
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm.auto import tqdm

from helpers.interrupt import held_back


class Loop(asyncio.SelectorEventLoop):
    """Leaves Ctrl-C to asyncio, since after nbclient's own handler a run can hang."""

    def add_signal_handler(self, *arguments):
        raise RuntimeError("Signals are left to asyncio.Runner.")


async def run_cells(book, folder: Path, on_cell) -> None:
    """Runs the cells and ends the kernel. Leaves out when each ran, and widgets' state.

    A cell that fails raises CellExecutionError, a kernel RuntimeError.
    """
    # Without folders to look in, it finds the interpreter that runs this.
    own = KernelSpecManager(kernel_dirs=[])
    kernel = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own)
    client = NotebookClient(
        book,
        kernel,
        timeout=3_600,
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        shutdown_kernel="immediate",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=on_cell,
    )
    try:
        await client.async_execute(cleanup_kc=True)
    finally:
        if await kernel.is_alive():
            await kernel.shutdown_kernel(now=True)
        client.km = kernel  # whose end nbclient sees to once more at exit
        if asyncio.current_task().cancelling():  # which nbclient calls a dead kernel
            raise asyncio.CancelledError


def read(path: Path):
    """A notebook; ValueError if the file is none."""
    try:
        book = nbformat.read(path, as_version=4)
        nbformat.validate(book)
        return book
    except Exception as error:  # JSON may hold anything
        why = str(error).partition("\n")[0][:200]
        raise ValueError(f"{path} is no notebook ({why}); restore it.") from error


def executed(path: Path):
    """A notebook with its outputs; a failure ends the program and says where.

    Leaves out what differs from run to run: timings, progress bars, the state of
    widgets, the version of Python.
    """
    book = read(path)
    count = sum(cell.cell_type == "code" for cell in book.cells)
    bar = tqdm(total=count, desc=path.stem, unit="cell", file=sys.stdout)
    begun = []

    def on_cell(cell, cell_index):
        begun.append(cell)
        bar.update()

    try:
        with closing(asyncio.Runner(loop_factory=Loop)) as runner:
            with held_back():  # half a loop could not be closed
                runner.get_loop()
            runner.run(run_cells(book, path.parent, on_cell))
    except CellExecutionError as error:
        sys.exit(f"{path.name} failed. {error}")
    except (RuntimeError, KeyError, OSError) as error:
        place = f"cell [{len(begun)}]" if begun else "before its first cell"
        why = str(error).partition("\n")[0]
        sys.exit(f"{path.name}, {place}: the kernel of {sys.executable} failed: {why}")
    finally:
        bar.close()
    book.metadata["language_info"] = {"name": "python"}
    return book
