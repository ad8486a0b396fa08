"""A training run: everything that changes while a model is trained."""

import torch
from torch import nn

from helpers import parallel
from helpers.early_stopping import EarlyStopping
from helpers.optimize import TrainConfig, make_optimizers, pick_dtype
from helpers.resume import Resumable


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
