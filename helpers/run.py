"""A training run: what changes in it, what makes it this one, how it is kept.

A run that was interrupted goes on as if it had not been: all that changes is saved, and
a folder goes on only with the run that it holds. Left out: several runs in one folder.
"""

import json
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers import parallel, record
from helpers.checkpoint import (
    foreign_if_it_fails,
    load_state,
    load_weights,
    own_weights,
    require_fit,
    save_state,
)
from helpers.data import TrainingData
from helpers.optimize import TrainConfig, make_optimizers, pick_dtype


class EarlyStopping:
    """Keeps the weights of the lowest validation loss and says when to stop.

    That is after `patience` evaluations in a row without a lower loss (Prechelt 1998).
    """

    def __init__(self, patience: int):
        self.patience, self.waited = patience, 0
        self.loss, self.step, self.weights = float("inf"), 0, {}

    @property
    def done(self) -> bool:
        return self.waited >= self.patience

    def update(self, loss: float, step: int, model: nn.Module) -> None:
        """Takes note of an evaluation."""
        if loss < self.loss:
            self.loss, self.step, self.waited = loss, step, 0
            self.weights = {k: v.clone() for k, v in own_weights(model).items()}
        else:
            self.waited += 1

    def restore(self, model: nn.Module) -> None:
        """Puts the best weights back."""
        load_weights(model, self.weights)


class TrainingRun:
    """Everything that changes while a model is trained, hence all that is saved."""

    def __init__(self, model: nn.Module, config: TrainConfig, dtype: torch.dtype):
        self.model, self.network = model, parallel.together(model)
        self.step, self.seconds, self.history = 0, 0.0, []
        self.dtype, self.begun_in, self.scaling = dtype, dtype, {}
        self.optimizers = make_optimizers(model, config)
        device, scaled = next(model.parameters()).device, dtype == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.stopping = EarlyStopping(config.patience)

    def state_dict(self) -> dict:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "dtype": self.begun_in,
            "history": self.history,
            "model": own_weights(self.model),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "scaler": self.scaler.state_dict() or self.scaling,  # kept while it is off
            "stopping": vars(self.stopping),
        }

    def load_state_dict(self, state: dict) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        self.history, self.begun_in = state["history"], state["dtype"]
        load_weights(self.model, state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaling = state["scaler"]
        if self.scaling and self.scaler.is_enabled():
            self.scaler.load_state_dict(self.scaling)
        vars(self.stopping).update(state["stopping"])

    def take_note(self, epoch: float, found: dict) -> None:
        """Adds an evaluation to the history."""
        entry = {"step": self.step, "epoch": epoch, "seconds": self.seconds} | found
        self.history = [*self.history, entry]
        self.stopping.update(entry["validation_loss"], self.step, self.model)


def require_finite(run: TrainingRun, *numbers: Tensor) -> None:
    """Stops a run whose numbers or weights are not finite; the best weights return."""
    norm = nn.utils.get_total_norm(run.model.parameters())
    if all(number.isfinite() for number in (norm, *numbers)):
        return
    back = ""
    if run.stopping.weights:
        run.stopping.restore(run.model)
        back = f" The model has the weights of step {run.stopping.step} back."
    raise FloatingPointError(
        f"The loss or its gradient is no longer a number at step {run.step}.{back} Try "
        "half the learning_rate (and half the muon_rate), or a longer warmup."
    )


def identity(model, data: TrainingData, config: TrainConfig) -> dict:
    """What makes a run this run: its settings, its text, and what it is scored on."""
    scored = "validation_BT", "subset_BT", "sample_BT", "sample_subset_BT"
    digests = {name: record.digest(getattr(data, name)) for name in scored}
    settings = {"model": model.config, "training": config}
    return settings | {"text": record.digest(data.stream)} | digests


def start_or_resume(model, data, config, folder, known: dict) -> TrainingRun:
    """The run that the folder holds, else a new one.

    Raises ValueError if its identity is not the one that is `known`.
    """
    path = None if folder is None else folder / "state.pt"
    state = parallel.from_first(lambda: load_state(path)) if path else {}
    if state:
        with foreign_if_it_fails(path):
            found = state["identity"]
            json.dumps(found)  # raises if it is not what a record can hold
            for part in ("model", "training"):
                record.settings(type(known[part]), part, found)
            older = known.keys() - found.keys() - {"text"}  # had no other digest
            torch.finfo(state["dtype"])  # raises if it is no number format
        record.require_same(folder, found, known, older)
    # A run keeps its number format where that can be.
    pick = partial(pick_dtype, model, config.precision, state.get("dtype"))
    run = TrainingRun(model, config, parallel.from_first(pick))
    if state:
        with foreign_if_it_fails(path):
            require_fit(run, state)
            # Averages come from the file; rates and the like are the configuration's.
            for own, saved in zip(run.optimizers, state["optimizers"], strict=True):
                saved["param_groups"] = own.state_dict()["param_groups"]
            run.load_state_dict(state)
    return run


def save_run(run: TrainingRun, known: dict, folder: Path | None) -> None:
    """Writes a run that is sound, with its identity, in the first process only."""
    require_finite(run)
    if folder and parallel.part()[0] == 0:
        state = run.state_dict() | {"identity": record.plain(known)}
        save_state(folder / "state.pt", state)
