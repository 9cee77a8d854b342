"""How several processes end together: one tells what went wrong, the others keep silent and let it be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from swift.errors import SwiftError, TrainingError
from swift.train.parallel.place import Place

LINGER_SECONDS = 10.0
"""How long a process that has nothing to tell waits to be ended by whoever started it.

The first exit code that the launcher sees becomes the run's, and makes it end the other processes: so whoever has
something to say must be the first to leave, and must not be ended while saying it.
"""


class PeerLost(Exception):
    """Another process has gone. The reason is its own, and it tells it."""


@contextmanager
def told_once(place: Place, claim: Callable[[], bool], *, linger: float = LINGER_SECONDS) -> Iterator[None]:
    """An error that comes out of the block comes out of this in one process only; the others end in silence.

    Args:
        place: This process.
        claim: Whether this process is the first that wants to tell something.
        linger: Seconds that a process waits to be ended before it ends by itself.

    Raises:
        SystemExit: Another process tells it.
        TrainingError: Another process has gone, and nobody ended this one.
    """
    try:
        yield
    except PeerLost as lost:
        time.sleep(linger)
        if claim():
            raise TrainingError(
                f"process {place.rank} of {place.size} lost the connection to another one",
                hint="what went wrong there is told there, or it was killed (out of memory?)",
            ) from lost
        raise SystemExit(2) from lost
    except Exception as error:
        if claim():
            raise
        time.sleep(linger)
        raise SystemExit(2 if isinstance(error, SwiftError) else 1) from error
    except KeyboardInterrupt as stop:
        if place.main:
            raise
        time.sleep(linger)
        raise SystemExit(130) from stop
    except BaseException:  # a signal that all have agreed on: the first process tells where to go on
        if not place.main:
            time.sleep(linger)
        raise
