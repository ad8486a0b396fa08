"""In Colab: training runs on the reader's own Drive, which outlives the session."""

import shutil
from itertools import count
from pathlib import Path

from helpers import ROOT, record
from helpers.checkpoint import foreign_if_it_fails, load_model, load_state
from helpers.model import ModelConfig
from helpers.optimize import TrainConfig

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


def same_run(folder: Path, found: dict, wanted: dict) -> bool:
    """Whether identities are of one run, of which either may be the older state.

    As when training goes on: what is newer than a state has its default there.
    """
    kinds = {"model": ModelConfig, "training": TrainConfig}
    try:
        with foreign_if_it_fails(folder / "state.pt"):
            found, wanted = (
                whose | {k: record.settings(kinds[k], k, whose) for k in kinds}
                for whose in (found, wanted)
            )
            older = found.keys() ^ wanted.keys()  # digests that one has not yet
        record.require_same(folder, found, wanted, older - {"text"})
        return True
    except ValueError:
        return False


def bare(folder: Path) -> bool:
    """Whether a folder holds nothing of a run yet: only its lock, or what was begun."""
    return folder.is_dir() and all(
        p.name == "lock" or p.suffix == ".part" for p in folder.iterdir()
    )


def scratch(target: Path) -> list[Path]:
    """What a copy and what it replaces are called meanwhile; no run has such a name."""
    return [target.with_name(f".{target.name}.{end}") for end in ("part", "old")]


def copy_whole(source: Path, target: Path) -> None:
    """Copies a folder or file under another name first: none is ever there by half."""
    part, old = scratch(target)
    shutil.rmtree(part, ignore_errors=True)
    (shutil.copytree if source.is_dir() else shutil.copy2)(source, part)
    if target.exists():
        target.rename(old)
    part.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def put_back(folder: Path) -> None:
    """Ends the replacing of runs that was interrupted: each has its name again."""
    for replaced in folder.glob(".*.old"):
        target = folder / replaced.name[1 : -len(".old")]
        part, old = scratch(target)
        if not target.exists():  # the copy was whole before the old one was moved
            (part if part.exists() else old).rename(target)
        shutil.rmtree(old, ignore_errors=True)


def put_on_drive(run: Path, target: Path) -> str:
    """Copies a run to the Drive unless it is as far there; says what was done.

    What has its name there and is another run, or may be one, stays beside it.
    """
    there, name = target / run.name, run.name
    if bare(run):
        return f"{name}: nothing was in it yet."
    if there.exists() and not bare(there):
        *far, whose = standing(run)
        *far_there, other = standing(there)
        both = f"here {told(*far)}, on the Drive {told(*far_there)}"
        if whose is None or other is None or not same_run(there, other, whose):
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
    if here.is_symlink() and here.resolve() != target.resolve():
        print(f"{here} leads to {here.resolve()}, not to the Drive; it stays so.")
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
        put_back(target)
        if here.is_symlink():
            return
        for run in sorted(here.iterdir()) if here.exists() else ():
            print(put_on_drive(run, target))
            a_folder = run.is_dir() and not run.is_symlink()
            shutil.rmtree(run) if a_folder else run.unlink()
    except OSError as error:
        raise OSError(f"{error} What is not on the Drive stays in {here}.") from error
    if here.exists():
        here.rmdir()
    here.symlink_to(target)
