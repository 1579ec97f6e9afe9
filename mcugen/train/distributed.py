"""Training by several processes, as torchrun starts them: PyTorch's DistributedDataParallel.

All processes see the same batches in the same order, and each takes its share of every batch. Only
the leader writes and prints. Without torchrun there is one process, and nothing here does anything.
"""

import os

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from mcugen.errors import fail


def join() -> None:
    """Meets the other processes, if there are any.

    Raises McugenError where they cannot be reached.
    """
    if "RANK" not in os.environ or distributed.is_initialized():
        return
    try:
        distributed.init_process_group("gloo")
    except Exception as error:  # torch raises many kinds
        line = str(error).strip().splitlines()[:1]
        raise fail(
            "train",
            "cannot meet the other processes",
            got=f"{type(error).__name__}: {line[0] if line else ''}",
            help="start it with torchrun, or unset RANK",
        ) from error


def wait() -> None:
    """Until all processes are here."""
    if distributed.is_initialized():
        distributed.barrier()


def size() -> int:
    """The number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def share() -> slice:
    """The part of each batch that is this process's."""
    if not distributed.is_initialized():
        return slice(None)
    return slice(distributed.get_rank(), None, size())


def parallel(model: nn.Module) -> nn.Module:
    """The model as it is called in training: gradients become the mean of all processes'."""
    return DistributedDataParallel(model) if distributed.is_initialized() else model


@torch.no_grad()
def agree_(model: nn.Module) -> None:
    """Takes the leader's values of what no gradient changes, such as bases that follow data."""
    if distributed.is_initialized():
        for parameter in model.parameters():
            if not parameter.requires_grad:
                distributed.broadcast(parameter, 0)


def mean(total: float, count: float) -> float:
    """total / count, both summed over all processes."""
    both: Tensor = torch.tensor([total, count], dtype=torch.float64)
    if distributed.is_initialized():
        distributed.all_reduce(both)
    return float(both[0] / both[1])
