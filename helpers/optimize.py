"""What drives a training step: the rate, the optimisers, the number format.

Warm-up and linear decay, AdamW (Loshchilov & Hutter 2019), Muon (Jordan et al. 2024),
mixed precision (Micikevicius et al. 2018). Left out: other optimisers and schedules.
"""

import itertools
import time

import torch
from torch import Tensor

from helpers.model import MaskedLanguageModel
from helpers.tokenizer import MASK


def rate_factor(step: int, total: int, warmup: float) -> float:
    """Share of the peak rate at a step: linear warm-up to 1, then linear decay to 0."""
    rising = max(1, round(warmup * total))
    return min((step + 1) / rising, (total - step) / max(1, total - rising))


def set_rates(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Sets every group's learning rate to `factor` times its peak."""
    for group in itertools.chain(*(o.param_groups for o in optimizers)):
        group["lr"] = group["peak"] * factor


def make_optimizers(model: MaskedLanguageModel, config) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the blocks' matrices and AdamW for the rest.

    Weight decay pulls on matrices only: a smaller bias or a smaller gain of a LayerNorm
    does not make a simpler function.
    """
    if config.optimizer not in ("adamw", "muon"):
        raise ValueError(
            f"optimizer is {config.optimizer!r}; choose 'adamw' or 'muon'."
        )
    muon = config.optimizer == "muon"
    inner = {id(p): p for p in model.blocks.parameters() if muon and p.ndim == 2}
    others = [p for p in model.parameters() if id(p) not in inner]
    groups = [
        {"params": [p for p in others if p.ndim == 2]},
        {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
    ]
    decay = config.weight_decay
    optimizers = [
        torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=decay,
            fused=True,
        )
    ]
    if muon:
        optimizers.append(
            torch.optim.Muon(inner.values(), lr=config.muon_rate, weight_decay=decay)
        )
    for group in itertools.chain(*(o.param_groups for o in optimizers)):
        group["peak"] = group["lr"]
    return optimizers


def pick_dtype(model: MaskedLanguageModel, ids_BT: Tensor) -> torch.dtype:
    """The number format in which matrices are multiplied.

    bfloat16 on GPUs of compute capability 8 and up, float16 on older ones (a T4 has no
    units for bfloat16); on a CPU, whichever is faster for this model on this batch.
    """
    device = next(model.parameters()).device
    if device.type == "cuda":
        modern = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if modern else torch.float16
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16) * 2:  # the first round warms up
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            logits_MV = model(ids_BT, ids_BT > MASK)
        logits_MV.float().logsumexp(-1).mean().backward()
        model.zero_grad()
        seconds[dtype] = time.perf_counter() - start
    return min(seconds, key=seconds.get)
