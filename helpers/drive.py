"""In Colab: training runs on the reader's own Drive, which outlives the session."""

import shutil
from itertools import count
from pathlib import Path

from helpers import ROOT
from helpers.checkpoint import load_model, load_state

DRIVE = Path("/content/drive")


def standing(folder: Path) -> tuple[bool, int, dict | None]:
    """How far a run is: whether its weights load, its step (-1: none); whose it is."""
    try:
        load_model(folder / f"{folder.name}.safetensors")
        complete = True
    except (ValueError, OSError):
        complete = False
    try:
        state = load_state(folder / "state.pt")
    except (ValueError, OSError):
        state = {}
    return complete, state.get("step", -1), state.get("identity")


def told(complete: bool, step: int) -> str:
    """A standing in words."""
    return "complete" if complete else f"at step {step}" if step >= 0 else "no state"


def copy_whole(source: Path, target: Path) -> None:
    """Copies a folder or file under another name first: none is ever there by half."""
    part, old = (target.with_name(f"{target.name}.{end}") for end in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, part)
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def put_on_drive(run: Path, target: Path) -> str:
    """Copies a run to the Drive unless it is as far there; says what was done.

    What has its name there and is another run, or may be one, stays beside it.
    """
    there, name = target / run.name, run.name
    if there.exists():
        *far, whose = standing(run)
        *far_there, other = standing(there)
        both = f"here {told(*far)}, on the Drive {told(*far_there)}"
        if whose is None or whose != other:
            names = (f"{name}-{n}" for n in count(2))
            there = next(p for p in map(target.joinpath, names) if not p.exists())
            name = f"{name} ({both}; another run) as {there.name}"
        elif far <= far_there:
            return f"{name}: {both}; the Drive's is kept."
        else:
            name = f"{name} ({both})"
    copy_whole(run, there)
    return f"{name}: copied to the Drive."


def keep_runs_on_drive() -> None:
    """Puts runs/ on the Drive, for which Colab asks permission; runs there go on.

    Prints a line for each run that is here already. Nothing is removed here before it
    is there as a whole, nor there before something further of the same run is.
    """
    here, target = ROOT / "runs", DRIVE / "MyDrive" / "mini-transformer" / "runs"
    try:
        from google.colab import drive  # exists in Colab only
    except ImportError:
        return print(f"Only Colab reaches your Drive; runs stay in {here}.")
    drive.mount(str(DRIVE))
    if here.is_symlink():
        if here.resolve() != target.resolve():
            print(f"{here} leads to {here.resolve()}, not to the Drive; it stays so.")
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
        for run in sorted(here.iterdir()) if here.exists() else ():
            print(put_on_drive(run, target))
            shutil.rmtree(run) if run.is_dir() else run.unlink()
    except OSError as error:
        raise OSError(f"{error} What is not on the Drive stays in {here}.") from error
    if here.exists():
        here.rmdir()
    here.symlink_to(target)
