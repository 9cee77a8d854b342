"""A server that a command of ours needs: `swift deploy` as a child that ends with this process, however it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import orjson

from swift.config.serve import ServeConfig
from swift.environments.guarded import end_guarded, start_guarded
from swift.errors import EngineError, SwiftError
from swift.hub.located import say

_LISTENS = re.compile(r"listening on (\S+); the model is being loaded")
_SERVES = re.compile(r"serving at \S+")
_TAIL = 5

DEPLOY = (sys.executable, "-m", "swift", "deploy")
"""The command; a configuration file follows."""


class Child:
    """A server of our own.

    Args:
        config: All of it. It should listen on a loopback address, with a key.
        folder: A private one, for the file with its configuration.
        on_end: Called when it has ended by itself.
        command: What is run, before the configuration file.

    Attributes:
        state: Whether it answers.
        url: Its address, once it listens.
    """

    def __init__(
        self, config: ServeConfig, folder: Path, *, on_end: Callable[[], None], command: Sequence[str] = DEPLOY
    ) -> None:
        self.state: Literal["loading", "ready", "ended"] = "loading"
        self.url = ""
        self._lines: list[str] = []
        self._listens = threading.Event()
        self._settled = threading.Event()
        self._stopping = False
        self._on_end = on_end
        file = folder / "server.json"
        values = config.model_dump(mode="json", exclude_defaults=True)
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(orjson.dumps(values))
        self._process = start_guarded([*command, str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, name="deployed", daemon=True)
        self._reader.start()

    def wait_listening(self) -> str:
        """The server's address, as soon as it has one.

        Raises:
            SwiftError: It has ended before.
        """
        self._listens.wait()
        if self.state == "ended":
            raise self.failure()
        return self.url

    def wait_ready(self) -> str:
        """The server's address, as soon as the model answers.

        Raises:
            SwiftError: It has ended before.
        """
        self._settled.wait()
        if self.state == "ended":
            raise self.failure()
        return self.url

    def failure(self) -> SwiftError:
        """Why it has ended, in one line."""
        self._reader.join(1.0)
        errors = [line.removeprefix("error: ") for line in self._lines if line.startswith("error: ")]
        hints = [line.removeprefix("hint: ") for line in self._lines if line.startswith("hint: ")]
        if errors:
            return SwiftError("; ".join(errors), hint=hints[0] if hints else "")
        last = " | ".join(line.strip()[:200] for line in self._lines[-_TAIL:] if line.strip())
        return EngineError(f"the server has ended with exit code {self._process.poll()}: {last or 'it said nothing'}")

    def stop(self) -> None:
        """End it, and all that it has started."""
        self._stopping = True
        end_guarded(self._process)
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as said:
            for raw in said:
                self._take(raw.decode(errors="replace").rstrip("\n"))
        self._process.wait()
        self.state = "ended"
        self._listens.set()
        self._settled.set()
        if not self._stopping:
            self._on_end()

    def _take(self, line: str) -> None:
        """A line that the server says: what concerns the user is passed on, but for where it is."""
        self._lines = [*self._lines[-50:], line]
        if found := _LISTENS.fullmatch(line):
            self.url = found[1]
            self._listens.set()
        elif _SERVES.fullmatch(line):
            self.state = "ready"
            self._settled.set()
        elif not line.startswith(("error: ", "hint: ")):
            say(line)
