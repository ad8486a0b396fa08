"""Several processes, one training: `torchrun` and DistributedDataParallel.

Every process draws the same numbers for the whole batch and works on its own rows, so
1, 2 and 4 processes give the same curve; on GPUs with dropout, one as good. Left out:
models that do not fit one device.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from helpers.dropout import FastDropout


def start() -> torch.device:
    """Joins the processes that `torchrun` started, if it did; returns the device."""
    cuda = torch.cuda.is_available()
    if "RANK" in os.environ and not dist.is_initialized():
        store, rank, parts = next(dist.rendezvous("env://"))
        # After a restart torchrun's store still knows where the dead ones listened.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = dist.PrefixStore(f"attempt {attempt}", store)
        backend = "nccl" if cuda else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=parts)
    if not cuda:
        return torch.device("cpu")
    torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    return torch.device("cuda", torch.cuda.current_device())


def part() -> tuple[int, int]:
    """The number of this process, counted from 0, and how many there are."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def own_rows(batch: Tensor) -> Tensor:
    """This process's rows; ValueError if the batch does not divide evenly."""
    rank, parts = part()
    if len(batch) % parts:
        raise ValueError(
            f"{len(batch)} rows do not divide among {parts} processes; choose a "
            f"batch_size that is a multiple of {parts}."
        )
    return batch.chunk(parts)[rank]


def from_first(make: Callable[[], Any]) -> Any:
    """What the first process makes, or the error that it meets, in all of them."""
    rank, parts = part()
    if parts == 1:
        return make()
    box = [None, None]
    if rank == 0:
        try:
            box[0] = make()
        except Exception as error:
            box[1] = error
    dist.broadcast_object_list(box)
    if box[1]:
        raise box[1]
    return box[0]


@contextmanager
def one_of_many() -> Iterator[None]:
    """A process's whole part in a training, which it leaves in order.

    The end of another process becomes a ConnectionError here. One that ended without
    leaving could be aborted by its own threads.
    """
    try:
        yield
    except RuntimeError as error:
        if part()[1] == 1 or "peer" not in str(error):
            raise
        raise ConnectionError("Another process has ended; see what it says.") from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def summed(number: Tensor) -> Tensor:
    """The sum of a number over all processes."""
    if part()[1] > 1:
        dist.all_reduce(number)
    return number


def together(model: nn.Module) -> nn.Module:
    """The model, its gradients averaged over the processes after each backward pass."""
    if part()[1] == 1:
        return model
    for module in model.modules():
        if isinstance(module, FastDropout):
            module.rank, module.world_size = part()
    return DistributedDataParallel(model)
