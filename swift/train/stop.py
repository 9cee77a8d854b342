"""How a run is asked to stop, and how several processes agree on the step after which they do."""

from __future__ import annotations

import signal
from collections.abc import Sequence

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals that let the step finish and save."""


class Interrupted(BaseException):
    """The run was asked to stop by a signal, and has saved a checkpoint."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def votes(asked: int | None) -> list[float]:
    """For each of `SIGNALS`, whether this process has got it; summed over processes, for `elected`."""
    return [float(asked == signum) for signum in SIGNALS]


def elected(counts: Sequence[float]) -> int | None:
    """The signal that any process has got."""
    return next((int(signum) for signum, count in zip(SIGNALS, counts, strict=True) if count), None)
