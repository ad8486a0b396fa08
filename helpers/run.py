"""A training run: everything that changes while a model is trained."""

import torch
from torch import nn

from helpers import parallel
from helpers.checkpoint import load_weights, own_weights
from helpers.early_stopping import EarlyStopping
from helpers.optimize import TrainConfig, make_optimizers, pick_dtype


class Resumable:
    """Saves and restores everything that changes during a training run."""

    def state_dict(self) -> dict:
        return {
            "step": self.step,
            "seconds": self.seconds,
            "loss": float(self.loss),
            "dtype": torch.float16 if self.scaling else self.dtype,
            "history": self.history,
            "model": own_weights(self.model),
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


class TrainingRun(Resumable):
    """Everything that changes while a model is trained."""

    def __init__(self, model: nn.Module, config: TrainConfig):
        self.model, self.network = model, parallel.wrap(model)
        self.optimizers = make_optimizers(model, config)
        self.stopping = EarlyStopping(config.patience)
        self.step, self.seconds, self.loss, self.history = 0, 0.0, 0.0, []
        self.precision, self.scaling = config.precision, {}
        self.choose_dtype()

    def choose_dtype(self, begun_in: torch.dtype | None = None) -> None:
        self.dtype = pick_dtype(self.model, self.precision, begun_in)
        device = next(self.model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=self.dtype == torch.float16)
