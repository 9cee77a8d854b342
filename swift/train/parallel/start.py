"""Joining the other processes, and whether all begin with the same model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
import xxhash
from torch import nn

from swift.config.model import ModelConfig
from swift.errors import ConfigError, TrainingError
from swift.models.device import resolve_device
from swift.train.parallel.ending import told_once
from swift.train.parallel.place import Place
from swift.train.parallel.processes import Parallel


@contextmanager
def joined(place: Place, model: ModelConfig) -> Iterator[Parallel]:
    """All processes of the run, connected while the block runs.

    Raises:
        ConfigError: The device is not one that each process can have for itself.
        ResourceError: The other processes cannot be reached.
        SystemExit: Another process tells what went wrong.
    """
    if place.size == 1:
        yield Parallel()
        return
    from swift.train.parallel.group import claim, connect, meet

    store = meet(place)
    with told_once(place, partial(claim, store)):
        device = device_of(place, model)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        group = connect(place, store, device)
        yield Parallel(place, group)
        group.close()


def device_of(place: Place, model: ModelConfig) -> torch.device:
    """The device of one process: its own one of several alike.

    Raises:
        ConfigError: One device was named for several processes, or there are too few.
    """
    device = resolve_device(model.device)
    if place.size == 1 or device.type == "cpu":
        return device
    if model.device_map is not None:
        raise ConfigError(
            f"--device_map {model.device_map} spreads one model over devices, and there are {place.size} processes",
            hint="take out --device_map or NPROC_PER_NODE",
        )
    if model.device not in ("auto", device.type):
        raise ConfigError(
            f"--device {model.device} names one device for {place.size} processes",
            hint=f"--device {device.type}; choose which ones with CUDA_VISIBLE_DEVICES",
        )
    count = torch.get_device_module(device).device_count()
    if place.local_rank >= count:
        raise ConfigError(
            f"{place.local_size} processes on this machine, but {count} devices of type {device.type}",
            hint=f"NPROC_PER_NODE={count}",
        )
    return torch.device(device.type, place.local_rank)


def require_same_start(parallel: Parallel, model: nn.Module, facts: Mapping[str, str]) -> None:
    """Make sure that every process begins with the same trainable weights and has made the same plan.

    Args:
        parallel: The processes.
        model: With its adapter, where there is one.
        facts: What else must be equal, by name.

    Raises:
        TrainingError: Something differs.
    """
    if parallel.size == 1:
        return
    mine = {"trainable weights": weights_hash(model), **facts}
    for rank, theirs in enumerate(parallel.gather(mine)):
        different = [name for name, value in mine.items() if theirs.get(name) != value]
        if different:
            raise TrainingError(
                f"process {rank} begins with other {' and '.join(different)} than process {parallel.rank}",
                hint="every machine must have the same files, libraries and options",
            )


def weights_hash(model: nn.Module) -> str:
    """Equal for equal trainable weights, bit for bit."""
    digest = xxhash.xxh3_128()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
