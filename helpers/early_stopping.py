"""Early stopping (Prechelt 1998)."""

from torch import nn

from helpers.checkpoint import checkpoint_weights, load_weights


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
