"""The kinds of positions that the study of the plateau compares, as arms.

Sinusoidal positions differ from learned ones in three ways: they are waves, they are
larger, by √D, and they are not trained. Two further kinds separate these: both are as
large and trained; `waves` start from the waves, `noise` from random numbers.

Shapes: T positions, D d_model.
"""

from dataclasses import dataclass, replace

import torch
from torch import nn

from helpers.model import Embedding, ModelConfig
from helpers.optimize import TrainConfig
from studies.lab.study import Arm

STEPS, WARM_UP, EVERY = 1_200, 100, 40  # of a run, of its start, between evaluations
RECIPE = TrainConfig(
    warmup=WARM_UP / STEPS,
    cooldown=0.0,
    evaluations=STEPS // EVERY,
    patience=10**6,
    precision="bfloat16",
)
RATES = 5e-4, 1e-3, 2e-3
POSITIONS = "rotary", "sinusoidal", "learned", "none"
TRAINED = {"waves": "trained, from the waves", "noise": "trained, from noise as large"}


@dataclass(frozen=True)
class PositionsArm(Arm):
    """A model with one kind of positions; `table` is a key of `TRAINED`, or empty."""

    table: str = ""

    @property
    def kind(self) -> str:
        """The kind of positions, with which the name of an arm begins."""
        return self.table or self.model.positions

    def settings(self, seed: int) -> dict:
        """What makes a run this run, beside its name and its text."""
        table = {"table": self.table} if self.table else {}
        return super().settings(seed) | table


ARMS = {
    f"{kind}_rate_{rate:g}": PositionsArm(
        ModelConfig(positions="sinusoidal" if kind in TRAINED else kind),
        replace(RECIPE, learning_rate=rate),
        kind if kind in TRAINED else "",
    )
    for kind in (*POSITIONS, *TRAINED)
    for rate in ([1e-3] if kind == "none" else RATES)
}


def train_positions(embedding: Embedding, table: str) -> None:
    """Makes the waves (T, D) a trained table, which starts from them or from noise."""
    waves_TD = embedding.waves_TD
    if table == "noise":
        waves_TD = torch.randn_like(waves_TD) * waves_TD.square().mean().sqrt()
    del embedding.waves_TD  # the buffer of that name
    embedding.waves_TD = nn.Parameter(waves_TD)
