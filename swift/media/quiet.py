"""Keeps Pillow's warnings about odd files to itself: what matters in them is raised as an error of the row."""

from __future__ import annotations

import threading
import warnings
from types import TracebackType


class _Quiet:
    """Ignores warnings of Pillow while any thread is inside.

    The list of warning filters belongs to the whole process. The first thread in saves it and the last one out
    puts it back, since two threads that each saved and restored it could leave the other's filters behind.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: warnings.catch_warnings[None] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._saved is not None:
                self._saved.__exit__(kind, error, at)
                self._saved = None


PILLOW_QUIET = _Quiet()
"""`with PILLOW_QUIET:` around anything that makes Pillow read a file."""
