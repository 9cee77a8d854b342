"""What the training loop sees of the other processes. Alone, every method is the identity and costs nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import nn

from swift.train.parallel.ending import PeerLost
from swift.train.parallel.gradients import reduce_gradients
from swift.train.parallel.place import Place

if TYPE_CHECKING:
    from swift.train.parallel.group import Group

T = TypeVar("T")
_FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Parallel:
    """The processes that train together.

    All of them must call the methods in the same order: what a process does may depend on what all know, never on
    what only it knows.

    Attributes:
        place: This process.
        group: The connection to the others; None where there are none.
    """

    place: Place = field(default_factory=Place)
    group: Group | None = None

    @property
    def rank(self) -> int:
        """Number of this process."""
        return self.place.rank

    @property
    def size(self) -> int:
        """Number of processes."""
        return self.place.size

    @property
    def main(self) -> bool:
        """Whether this is the process that prints, logs and saves."""
        return self.place.main

    def sum(self, counts: Sequence[int]) -> list[int]:
        """Each count, summed over all processes."""
        if self.group is None:
            return list(counts)
        tensor = torch.tensor(counts, dtype=torch.int64)
        self.group.add(tensor)
        return cast(list[int], tensor.tolist())

    def total(self, values: Sequence[float]) -> list[float]:
        """Each value, summed over all processes in float64."""
        if self.group is None:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        self.group.add(tensor)
        return cast(list[float], tensor.tolist())

    def reduce(self, parameters: Sequence[nn.Parameter]) -> None:
        """Sum gradients over all processes; see `reduce_gradients`."""
        if self.group is not None:
            reduce_gradients(parameters, self.group.add)

    def barrier(self) -> None:
        """Wait until every process has come here."""
        self.sum([0])

    def broadcast(self, value: T) -> T:
        """The value of the first process, a plain one such as a path or a number."""
        return value if self.group is None else cast(T, self.group.broadcast(value))

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        return [value] if self.group is None else cast(list[T], self.group.gather(value))

    @contextmanager
    def local_main_first(self, what: str) -> Iterator[None]:
        """The first process of each machine runs the block alone; then the others of that machine do.

        Args:
            what: A name that is used once in a run.

        Raises:
            PeerLost: It failed in the first one.
        """
        if self.group is None:
            yield
            return
        name = f"{what}/{self.place.machine}"
        if not self.place.local_main:
            if self.group.wait_for(name) == _FAILED:
                raise PeerLost(f"{what} failed in process {self.place.machine}")
            yield
            return
        try:
            yield
        except BaseException:
            self.group.post(name, _FAILED)
            raise
        self.group.post(name, "done")

    def from_local_main(self, what: str, value: str) -> str:
        """The value of the first process of this machine.

        Args:
            what: A name that is used once in a run.
            value: This process' own; only the first one's counts.
        """
        if self.group is None:
            return value
        name = f"{what}/{self.place.machine}"
        if self.place.local_main:
            self.group.post(name, value)
        return self.group.wait_for(name)
