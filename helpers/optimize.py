"""How a model is trained: settings, rates, optimisers, number format.

Warm-up and linear decay, AdamW (Loshchilov & Hutter 2019), Muon (Jordan et al. 2024),
mixed precision (Micikevicius et al. 2018). Left out: other optimisers and schedules.

PyTorch's own Muon multiplies in bfloat16 everywhere. A processor without instructions
for this format emulates it, and then needs many times as long for a training step.
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from helpers.model import MaskedLanguageModel
from helpers.settings import (
    POSITIVE,
    SHARE,
    NumberSetting,
    SettingError,
    require_settings,
)

RATE = NumberSetting(0, 1_000, open=True)  # far beyond what any training can bear
TRAIN_VALUES = {
    "epochs": NumberSetting(0, 1_000_000, open=True),
    "batch_size": NumberSetting.whole(1),
    "optimizer": ("adamw", "muon"),
    "learning_rate": RATE,
    "muon_rate": RATE,
    "weight_decay": NumberSetting(0, 1_000),
    "warmup": SHARE,
    "cooldown": SHARE,
    "mask_rate": NumberSetting(0.01, 1),  # less is not a word a block
    "last_mask_rate": SHARE,
    "masks": ("fixed", "independent"),
    "clip": POSITIVE,
    "evaluations": NumberSetting.whole(1, 100_000),
    "patience": NumberSetting.whole(1),
    "precision": ("auto", "float32", "bfloat16", "float16"),
    "seed": NumberSetting.whole(0),
}


@dataclass(frozen=True)
class TrainConfig:
    """All choices of a training run. Learning rates are those at the peak."""

    epochs: float = 8.0
    batch_size: int = 64  # rows per step
    optimizer: str = "adamw"  # or "muon": Muon for the blocks' matrices
    learning_rate: float = 2e-3
    muon_rate: float = 0.02
    weight_decay: float = 0.1
    warmup: float = 0.05  # share of the run in which the rate rises
    cooldown: float = 0.95  # share of the run in which it falls to 0; 0: never
    mask_rate: float = 0.15  # share of words masked at the first step
    last_mask_rate: float = 0.15  # and at the last one
    masks: str = "fixed"  # the same number in each row; or "independent"
    clip: float = 1.0
    evaluations: int = 12  # spread evenly; a few early ones are added
    patience: int = 3  # evaluations without a lower loss before stopping
    precision: str = "auto"  # or "float32", "bfloat16", "float16"
    seed: int = 0

    def __post_init__(self):
        require_settings(self, **TRAIN_VALUES)


def rate_factor(step: int, total: int, warmup: float, cooldown: float) -> float:
    """Share of the peak rate at a step: a linear rise to 1, then a linear fall to 0.

    `warmup` and `cooldown` are the shares of the run that the rise and the fall take.
    """
    rising = max(1, round(warmup * total))
    return min(1.0, (step + 1) / rising, (total - step) / max(1, cooldown * total))


def fast_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16; a T4 and most laptops do not."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.cpu._is_avx512_bf16_supported()


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices with the directions of these, and all singular values about 1.

    Input and result are (count, rows, columns), the latter in bfloat16 where a device
    is fast with it, else in float32. Each Newton-Schulz step X ← a X + b (X Xᵀ) X +
    c (X Xᵀ)² X takes a singular value s to a s + b s³ + c s⁵. Jordan's coefficients
    raise small values fast and let them end between about 0.7 and 1.2.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    tall = matrices.shape[-2] > matrices.shape[-1]  # X Xᵀ is smaller for the transpose
    x = matrices.to(torch.bfloat16 if fast_bfloat16(matrices.device) else torch.float32)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # no value is above 1
    for _ in range(steps):
        square = x @ x.mT
        change = torch.baddbmm(square, square, square, beta=b, alpha=c)
        x = torch.baddbmm(x, change, x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Moves matrices along the running mean of their gradients, made orthogonal.

    The rate is multiplied by √(rows / columns) where a matrix has more rows, as Jordan
    does. Weight decay pulls the matrix itself towards 0, as in AdamW.
    """

    def __init__(self, matrices, lr: float, weight_decay: float, momentum=0.95):
        choices = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(matrices, choices)

    def direction(self, matrix: Tensor, momentum: float) -> Tensor:
        """The mean of past gradients, this one counted once more, as Nesterov does."""
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(matrix)
        mean = state["momentum_buffer"].lerp_(matrix.grad, 1 - momentum)
        return matrix.grad.lerp(mean, momentum)

    @torch.no_grad()
    def step(self) -> None:
        """Moves each matrix by the gradient that it has."""
        for group in self.param_groups:
            rate, alike = group["lr"], defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.shape].append(matrix)
            for (rows, columns), matrices in alike.items():
                # One shape, one product: on a GPU, each start takes time.
                found = [self.direction(m, group["momentum"]) for m in matrices]
                steps = orthogonalise(torch.stack(found))
                for matrix, step in zip(matrices, steps, strict=True):
                    matrix.mul_(1 - rate * group["weight_decay"])
                    matrix.add_(step, alpha=-rate * max(1, rows / columns) ** 0.5)


def make_optimizers(
    model: MaskedLanguageModel, config: TrainConfig
) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for the blocks' matrices and AdamW for the rest.

    Weight decay acts on matrices only, because a smaller bias or a smaller gain of a
    LayerNorm does not make the function simpler.
    """
    muon, decay = config.optimizer == "muon", {"weight_decay": config.weight_decay}
    inner = {id(p): p for p in model.blocks.parameters() if muon and p.ndim == 2}
    others = [p for p in model.parameters() if id(p) not in inner]
    groups = [
        {"params": [p for p in others if p.ndim == 2], **decay},
        {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
    ]
    choices = {"lr": config.learning_rate, "betas": (0.9, 0.98), "fused": True}
    optimizers = [torch.optim.AdamW(groups, **choices)]
    if muon:
        matrices = inner.values()
        optimizers.append(Muon(matrices, lr=config.muon_rate, **decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def pick_dtype(
    model: MaskedLanguageModel, precision: str = "auto", begun_in=None
) -> torch.dtype:
    """The number format in which matrices are multiplied: as named, or "auto".

    On a GPU, "auto" is bfloat16 from compute capability 8 on, and float16 below (a T4
    has no hardware for bfloat16). On a CPU, it is bfloat16 if there are instructions
    for it, else float32. A run keeps the format in which it was begun, except that
    float16 would be many times slower on a CPU and is replaced there. Muon has a format
    of its own (`orthogonalise`).
    """
    device = next(model.parameters()).device
    other = torch.float16 if device.type == "cuda" else torch.float32
    usual = torch.bfloat16 if fast_bfloat16(device) else other
    named = usual if precision == "auto" else getattr(torch, precision)
    chosen = begun_in or named
    if chosen == torch.bfloat16 and not fast_bfloat16(device):
        print(
            "This device only emulates bfloat16, so a step takes many times as long; "
            "choose precision='auto'."
        )
    if chosen != torch.float16 or device.type == "cuda":
        return chosen
    if not begun_in:
        raise SettingError("precision", precision, "'auto', as float16 needs a GPU")
    print(f"The run was begun in float16, on a GPU; here it goes on in {usual}.")
    return usual
