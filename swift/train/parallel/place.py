"""Which process of how many this is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """One process among those that train together.

    Attributes:
        rank: Number among all processes.
        size: All processes.
        local_rank: Number among those of this machine; on CUDA the number of its device too.
        local_size: Processes of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def main(self) -> bool:
        """Whether this is the process that prints, logs and saves."""
        return self.rank == 0

    @property
    def local_main(self) -> bool:
        """Whether this is the first process of its machine."""
        return self.local_rank == 0

    @property
    def machine(self) -> int:
        """The same number for all processes of a machine."""
        return self.rank - self.local_rank
