"""Several processes, one training: `torchrun` and DistributedDataParallel.

Every process draws the same numbers for the whole batch and works on its own shard of
the rows, so 1, 2 and 4 processes give the same curve. Only on GPUs with dropout do the
curves differ, as those of two seeds do. Left out: models that do not fit one device.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from helpers.layers import FastDropout
from helpers.seeds import seeded


def rank() -> int:
    """The number of this process, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def broadcast(make: Callable[[], Any]) -> Any:
    """What `make` returns in process 0, or the error that it raises, in all of them."""
    if world_size() == 1:
        return make()
    made, error = None, None
    if rank() == 0:
        try:
            made = make()
        except Exception as caught:
            error = caught
    dist.broadcast_object_list(both := [made, error])
    made, error = both
    if error:
        dist.barrier()  # process 0 may end once all have received it
        raise error
    return made


def shard(batch: Tensor) -> Tensor:
    """This process's rows; ValueError if the batch does not divide evenly."""
    if len(batch) % world_size():
        raise ValueError(
            f"{len(batch)} rows do not divide among {world_size()} processes; choose a "
            f"batch_size that is a multiple of {world_size()}."
        )
    return batch.chunk(world_size())[rank()]


def distribute_model(model: nn.Module) -> nn.Module:
    """The model, its gradients averaged over the processes in each backward pass."""
    if world_size() == 1:
        return model
    for module in model.modules():
        if isinstance(module, FastDropout):
            module.rank, module.world_size = rank(), world_size()
    return DistributedDataParallel(model)


def mean_over_processes(number: Tensor) -> Tensor:
    """The mean of a number over the processes."""
    if world_size() > 1:
        dist.all_reduce(number := number / world_size())
    return number


def dropout_seed(seed: int, step: int, device: torch.device) -> int:
    """The seed of dropout's draws at a step.

    On a CPU it is the same in all processes, as each draws for the whole batch. On GPUs
    each draws for its own rows only, so it has draws of its own.
    """
    own = (rank(),) if rank() and device.type == "cuda" else ()
    return seeded(seed, "dropout", step, *own).initial_seed()
