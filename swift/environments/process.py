"""What programs of other environments inherit of this process: variables, and how many cores they may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP")
"""Variables that would lead another environment's interpreter to our libraries."""


def variables_with(more: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process for a program of another environment, and some more."""
    kept = {name: value for name, value in os.environ.items() if name not in _OURS}
    return {**kept, **more}


def variable(name: str) -> str | None:
    """The value of an environment variable that the user has named; None where it is not set."""
    return os.environ.get(name)


@contextmanager
def variable_set(name: str, value: str) -> Iterator[None]:
    """An environment variable of this process, until the end of the block, for a library that has no other way."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def cores() -> int:
    """Processor cores that a program may use here."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    if told.isdecimal() and int(told):
        return int(told)
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
