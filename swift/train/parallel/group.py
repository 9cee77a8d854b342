"""The connection between the processes of a run, over `torch.distributed`. Only imported where there are several.

Numbers that live on the CPU travel over gloo, also where the gradients travel over NCCL: then they do not wait for
the device.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from swift.errors import ResourceError
from swift.train.parallel.ending import PeerLost
from swift.train.parallel.place import Place

_START = timedelta(minutes=15)
_PATIENCE = timedelta(days=2)
"""A process may save, evaluate or tokenize for hours while others wait; one that died is noticed without this."""

_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of a run, connected. All must call the collective methods in the same order.

    Attributes:
        place: This process.
        store: Small values, by name, that every process can read and write at any time.
    """

    place: Place
    store: Store

    def add(self, tensor: Tensor) -> None:
        """Replace `tensor` by its sum over all processes."""
        with _peers():
            dist.all_reduce(tensor)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        values: list[Any] = [None] * self.place.size
        with _peers():
            dist.all_gather_object(values, value)
        return values

    def broadcast(self, value: Any) -> Any:
        """The value of the first process."""
        values = [value]
        with _peers():
            dist.broadcast_object_list(values, src=0)
        return values[0]

    def post(self, name: str, value: str) -> None:
        """Leave a value for others; not collective."""
        with _peers():
            self.store.set(name, value)

    def wait_for(self, name: str) -> str:
        """Wait, for as long as it takes, until another process posts a value, and return it."""
        with _peers():
            # Asked again and again rather than waited for in the library, where a signal would have to wait as well.
            while not self.store.check([name]):
                time.sleep(_POLL_SECONDS)
            return bytes(self.store.get(name)).decode()

    def close(self) -> None:
        """Leave the group."""
        dist.destroy_process_group()


def meet(place: Place) -> Store:
    """Find the other processes at the address that the launcher has put into the environment.

    Raises:
        ResourceError: They cannot be reached.
    """
    with _reached(place):
        store, _, _ = next(rendezvous("env://", place.rank, place.size, timeout=_START))
    return PrefixStore("swift", store)


def claim(store: Store) -> bool:
    """Whether this process is the first to call this; also where nobody can tell any more."""
    try:
        return bool(store.add("claimed", 1) == 1)
    except RuntimeError:  # whoever kept the store has gone
        return True


def connect(place: Place, store: Store, device: torch.device) -> Group:
    """Open the ways over which tensors travel.

    Raises:
        ResourceError: They cannot be opened.
    """
    alone = device.type == "cpu"
    with _reached(place):
        dist.init_process_group(
            "gloo" if alone else f"cpu:gloo,{device.type}:{dist.get_default_backend_for_device(device)}",
            store=PrefixStore("group", store),
            rank=place.rank,
            world_size=place.size,
            timeout=_PATIENCE,
            device_id=None if alone else device,
        )
    return Group(place, store)


@contextmanager
def _reached(place: Place) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, ValueError) as error:
        raise ResourceError(
            f"process {place.rank} of {place.size} does not reach the others: {_first_line(error)}",
            hint="on several machines, MASTER_ADDR and MASTER_PORT must name a port that all of them reach",
        ) from error


@contextmanager
def _peers() -> Iterator[None]:
    """What a collective raises, it raises because another process has gone."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(_first_line(error)) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
