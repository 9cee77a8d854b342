"""JSON lines about requests: an access log, and, where it is asked for, requests with their answers.

Texts of clients are only ever written as JSON strings, in which control characters are escaped.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from swift.errors import ConfigError

_LONGEST = 512


class AccessLog:
    """Writes a line for each request.

    Args:
        file: Where to; None writes nothing.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    @classmethod
    def on_stderr(cls, *, wanted: bool) -> AccessLog:
        """A log on standard error, or none."""
        return cls(sys.stderr if wanted else None)

    def write(self, values: Mapping[str, Any]) -> None:
        """Write one line, with the time in front."""
        if self._file is None:
            return
        now = time.time()
        stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"
        cut = {name: value[:_LONGEST] if isinstance(value, str) else value for name, value in values.items()}
        self._file.write(json.dumps({"time": stamp, **cut}) + "\n")
        self._file.flush()


class RequestLog:
    """Appends requests and answers to a file.

    Args:
        path: The file; None keeps nothing.

    Raises:
        ConfigError: It cannot be written.
    """

    def __init__(self, path: str | None) -> None:
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        if path is not None:
            try:
                # Only the user may read what others have said.
                found = Path(path).expanduser()
                found.touch(mode=0o600)
                self._file = found.open("a", encoding="utf-8")
            except OSError as error:
                raise ConfigError(f"--request_log {path} cannot be written: {error.strerror}") from error

    @property
    def wanted(self) -> bool:
        """Whether anything is kept."""
        return self._file is not None

    def write(self, values: Mapping[str, Any]) -> None:
        """Append one request."""
        if self._file is None:
            return
        line = json.dumps({"time": round(time.time(), 3), **values}) + "\n"
        with self._lock:
            self._file.write(line)
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
