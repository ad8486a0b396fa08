"""Runs a notebook in a kernel of the Python that runs this.

Ctrl-C, a cell that fails, and a kernel that dies or cannot start end the run at once
and leave no process behind.
"""

import asyncio
import sys
from contextlib import closing
from pathlib import Path

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm.auto import tqdm

from helpers.interrupt import delay_interrupt
from notebooks.notebook_files import read_notebook


async def run_cells(client: NotebookClient, path: Path) -> None:
    """Runs the cells of the client's notebook in its folder, and ends the kernel.

    A cell that fails raises CellExecutionError; a kernel that dies, RuntimeError.
    """
    kernel, quiet = client.km, ["--log-level=ERROR"]
    with tqdm(client.nb.cells, path.stem, unit="cell", file=sys.stdout) as bar:
        try:  # what nbclient's own async_execute() does on Ctrl-C can hang
            await kernel.start_kernel(cwd=str(path.parent), extra_arguments=quiet)
            await client.async_start_new_kernel_client()
            for index, cell in enumerate(bar):
                count = client.code_cells_executed + 1
                await client.async_execute_cell(cell, index, execution_count=count)
        finally:
            if client.kc:
                client.kc.stop_channels()
            await kernel.shutdown_kernel(now=True)
            if asyncio.current_task().cancelling():  # to nbclient a dead kernel
                raise asyncio.CancelledError


def execute_notebook(path: Path):
    """Returns a notebook with its outputs; a failure ends the program and says where.

    Timings, progress bars, the state of widgets and the version of Python, which
    differ from run to run, are left out.
    """
    # Without folders to look in, it finds the interpreter that runs this.
    own = KernelSpecManager(kernel_dirs=[])
    client = NotebookClient(
        read_notebook(path),
        AsyncKernelManager(kernel_name="python3", kernel_spec_manager=own),
        timeout=3_600,
        shutdown_kernel="immediate",
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    try:
        with closing(asyncio.Runner()) as runner:
            with delay_interrupt():  # half a loop could not be closed
                runner.get_loop()
            runner.run(run_cells(client, path))
    except CellExecutionError as error:
        sys.exit(f"{path.name} failed. {error}")
    except (RuntimeError, KeyError, OSError) as error:
        number = client.code_cells_executed
        place = f"cell [{number}]" if number else "before its first cell"
        why = str(error).partition("\n")[0]
        sys.exit(f"{path.name}, {place}: the kernel of {sys.executable} failed: {why}")
    client.nb.metadata["language_info"] = {"name": "python"}
    return client.nb
