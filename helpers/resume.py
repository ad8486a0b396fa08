"""A run on disk: kept in a folder, recognised there, and resumed.

A run that was interrupted goes on as if it had not been: all that changes is saved, and
a folder goes on only with the run that it holds. The state is in PyTorch's own format,
read with `weights_only=True`. Left out: several runs in one folder.
"""

import hashlib
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from filelock import FileLock, Timeout
from torch import nn

from helpers import parallel
from helpers.checkpoint import checkpoint_weights, load_weights
from helpers.data import TrainingData
from helpers.files import reading_file, write_file
from helpers.optimize import TrainConfig
from helpers.record import record_identity, require_same_record, tensor_digest

OTHER_NAME = "Choose another name for this run."


def state_content(path: Path) -> bytes | None:
    """What a state file holds; None if it does not fit the digest at its beginning."""
    content = path.read_bytes()
    digest, content = content[:32], content[32:]
    return content if hashlib.sha256(content).digest() == digest else None


def save_state(path: str | Path, state: dict) -> None:
    """Writes a training state so that a crash at any moment leaves a whole one.

    The file begins with the SHA-256 of the rest. The one before, if it is whole, is
    kept beside it. OSError if there is no room for another.
    """
    path, buffer = Path(path), io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).digest()
    whole = path.exists() and state_content(path) is not None
    write_file(path, digest + content, path.with_suffix(".old") if whole else None)


def load_state(path: str | Path) -> dict:
    """Reads a training state onto the CPU; {} if there is none yet.

    Passes over a damaged file with one line, to the one before. Raises ValueError if
    nothing whole is left, or if it is something else.
    """
    path = Path(path)
    candidates = [p for p in (path, path.with_suffix(".old")) if p.exists()]
    for candidate in candidates:
        if (content := state_content(candidate)) is None:
            print(f"{candidate} is damaged; it is passed over.")
            continue
        with reading_file(candidate, OTHER_NAME):
            buffer = io.BytesIO(content)
            return torch.load(buffer, map_location="cpu", weights_only=True)
    if candidates:
        raise ValueError(f"No state in {path.parent} is whole. {OTHER_NAME}")
    return {}


class Resumable:
    """Saves and restores everything that changes during a training run."""

    def state_dict(self) -> dict:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "loss": float(self.loss),
            "dtype": torch.float16 if self.scaling else self.dtype,
            "history": self.history,
            "model": checkpoint_weights(self.model),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.scaler.state_dict() or self.scaling,  # kept while it is off
            "stopping": vars(self.stopping),
        }

    def load_state_dict(self, state: dict) -> None:
        for name in ("step", "seconds", "loss", "history"):
            setattr(self, name, state[name])
        self.choose_dtype(state["dtype"])
        self.scaling = state["scaler"]
        if self.scaling and self.scaler.is_enabled():
            self.scaler.load_state_dict(self.scaling)
        load_weights(self.model, state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        vars(self.stopping).update(state["stopping"])


def resume_identity(model, data: TrainingData, config: TrainConfig) -> dict:
    """What makes a run this run: its settings, its text, and what it is scored on."""
    scored = "validation_BT", "subset_BT", "sample_BT", "sample_subset_BT"
    digests = {name: tensor_digest(getattr(data, name)) for name in scored}
    settings = {"model": model.config, "training": config}
    return settings | {"text": tensor_digest(data.stream)} | digests


def require_finite_run(run) -> None:
    """Raises FloatingPointError for a run that diverged, whose best weights return."""
    norm = nn.utils.get_total_norm(run.model.parameters())
    if norm.isfinite() and run.scaler.get_scale() > 0:
        return
    back = ""
    if run.stopping.weights:
        run.stopping.restore(run.model)
        back = f" The model has the weights of step {run.stopping.step} back."
    raise FloatingPointError(
        f"The loss or its gradient is no longer a number at step {run.step}.{back} Try "
        "half the learning_rate (and half the muon_rate), or a longer warmup."
    )


def resume_run(run, path: Path, known: dict) -> None:
    """Has a run go on from its state, if there is one.

    Raises ValueError if the file holds another run, or none.
    """
    state = parallel.broadcast(lambda: load_state(path))
    if not state:
        return
    with reading_file(path, OTHER_NAME):
        saved = state["identity"]
        older = known.keys() - saved.keys() - {"text"}  # had no other digest
    require_same_record(path.parent, saved, known, older)
    with reading_file(path, OTHER_NAME):
        run.load_state_dict({"loss": 0.0} | state)  # older ones have none


@contextmanager
def lock_run_folder(folder: Path) -> Iterator[None]:
    """Keeps other trainings out of a folder; ValueError if there is one in it.

    The operating system takes the lock back however a program ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise ValueError(
            f"Another training is at work in {folder}; wait for its end, or choose "
            "another name."
        ) from None


@contextmanager
def resumable_run(run, folder, known: dict, save_seconds: float) -> Iterator[Callable]:
    """Resumes a run in its folder, which it has for itself meanwhile, and keeps it.

    Gives a function that saves the run if it must, or if so many seconds have passed
    since the last time. Ctrl-C saves it as well, and says how to go on. Where `folder`
    is None nothing is written.
    """
    if folder == "":
        raise ValueError("folder is ''; name one, or give None to save nothing.")
    path, saved = folder and Path(folder) / "state.pt", time.monotonic()
    writes = path and parallel.rank() == 0

    def save(must: bool = True) -> None:
        nonlocal saved
        if must or time.monotonic() - saved > save_seconds:
            require_finite_run(run)
            if writes:
                state = run.state_dict() | {"identity": record_identity(known)}
                save_state(path, state)
            saved = time.monotonic()

    with lock_run_folder(path.parent) if writes else nullcontext():
        if path:
            resume_run(run, path, known)
        try:
            yield save
        except KeyboardInterrupt:
            save()
            place = f"run the same again to go on from {folder}"
            place = place if path else "it had no folder to be saved in"
            said = f"Interrupted at step {run.step:,}: {place}."
            raise KeyboardInterrupt(said) from None
