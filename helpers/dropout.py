"""Dropout as in `nn.Dropout`, several times as fast on a CPU.

It is the same for any number of processes: each draws for the whole batch and takes its
own rows, so that together they drop what one would.
"""

import math

import torch
from torch import Tensor, nn


class FastDropout(nn.Dropout):
    """Zeroes each number with probability p, scales the rest by 1 / (1 - p).

    Srivastava et al. 2014, in the form that leaves evaluation alone. On a CPU PyTorch
    draws one random number after the other; here one draw of 64 bits decides four, with
    p rounded to a multiple of 1/65,536. `rank` and `world_size` are those of DDP.
    """

    rank, world_size = 0, 1

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda or not self.training or not self.p:
            return super().forward(x)
        count = self.world_size * x.numel()
        draws = torch.empty(math.ceil(count / 4), dtype=torch.int64, device="cpu")
        bits = draws.random_(-(2**63), None).view(torch.int16)[:count]
        own_bits = bits.view(self.world_size, *x.shape)[self.rank]
        kept = own_bits >= round(self.p * 2**16) - 2**15
        return x * (kept.to(x.dtype) / (1 - self.p))
