"""In Colab: training runs on the reader's own Drive, which outlives the session."""

import shutil
from itertools import count
from pathlib import Path

from helpers import ROOT

DRIVE = Path("/content/drive")


def move_runs_to_drive(source: Path, target: Path) -> None:
    """Moves all runs from one folder to another, and prints a line for each.

    Nothing is replaced: a run whose name is taken gets the next one that is free. A run
    has its name only once all are whole there, and only then is the source removed.
    """
    copies = target / ".part"  # no run has such a name
    shutil.rmtree(copies, ignore_errors=True)
    shutil.copytree(source, copies)
    for run in sorted(copies.iterdir()):
        name, numbers = run.name, count(2)
        while (target / name).exists():
            name = f"{run.name}-{next(numbers)}"
        run.rename(target / name)
        taken = "" if name == run.name else f" as {name}; its name is taken there"
        print(f"{run.name}: moved to the Drive{taken}.")
    shutil.rmtree(source)


def keep_runs_on_drive() -> None:
    """Makes runs/ a folder on the Drive, for which Colab asks permission.

    Runs that are there go on; those that are still here are moved there first. Raises
    OSError if the Drive cannot take them, which leaves them here.
    """
    here, target = ROOT / "runs", DRIVE / "MyDrive" / "mini-transformer" / "runs"
    try:
        from google.colab import drive  # exists in Colab only
    except ImportError:
        print(f"Only Colab reaches your Drive; runs stay in {here}.")
        return
    drive.mount(str(DRIVE))
    if here.is_symlink() and here.resolve() != target.resolve():
        print(f"{here} leads to {here.resolve()}, not to the Drive; it stays so.")
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
        if here.is_symlink():
            return
        if here.exists():
            move_runs_to_drive(here, target)
        here.symlink_to(target)
    except OSError as error:
        raise OSError(f"{error} What is not on the Drive stays in {here}.") from error
