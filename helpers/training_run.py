"""A training run and its early stopping: all that changes while a model is trained."""

import torch
from torch import nn

from helpers import parallel
from helpers.checkpoint import checkpoint_weights, load_weights
from helpers.optimize import TrainConfig, make_optimizers, pick_dtype
from helpers.resume import Resumable


class EarlyStopping:
    """Keeps the weights of the lowest validation loss and says when to stop.

    It says so after `patience` evaluations without a lower loss (Prechelt 1998).
    """

    def __init__(self, patience: int):
        self.patience, self.waited = patience, 0
        self.loss, self.step, self.weights = float("inf"), 0, {}

    @property
    def done(self) -> bool:
        return self.waited >= self.patience

    def update(self, loss: float, step: int, model: nn.Module) -> None:
        """Records the loss of an evaluation, and the weights if it is the lowest."""
        if loss < self.loss:
            self.loss, self.step, self.waited = loss, step, 0
            self.weights = {k: v.clone() for k, v in checkpoint_weights(model).items()}
        else:
            self.waited += 1

    def restore(self, model: nn.Module) -> None:
        """Puts the best weights back."""
        load_weights(model, self.weights)


class TrainingRun(Resumable):
    """Everything that changes while a model is trained."""

    def __init__(self, model: nn.Module, config: TrainConfig):
        self.model, self.network = model, parallel.distribute_model(model)
        self.optimizers = make_optimizers(model, config)
        self.stopping = EarlyStopping(config.patience)
        self.step, self.seconds, self.loss, self.history = 0, 0.0, 0.0, []
        self.precision, self.scaling = config.precision, {}
        self.choose_dtype()

    def choose_dtype(self, begun_in: torch.dtype | None = None) -> None:
        self.dtype = pick_dtype(self.model, self.precision, begun_in)
        device = next(self.model.parameters()).device.type
        self.scaler = torch.amp.GradScaler(device, enabled=self.dtype == torch.float16)
