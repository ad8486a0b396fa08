"""`nn.Dropout`, several times as fast on a CPU, and for any number of processes."""

import math

import torch
from torch import Tensor, nn


class FastDropout(nn.Dropout):
    """Zeroes each number with probability p and scales the rest by 1 / (1 - p).

    Srivastava et al. 2014. In evaluation nothing changes. On a CPU PyTorch draws one
    random number at a time; here one draw of 64 bits decides about four numbers,
    with p rounded to a multiple of 1/65,536. `rank` and `world_size` are those of DDP:
    each process draws for the whole batch and uses its own rows, so that together the
    processes drop what a single one would.
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
