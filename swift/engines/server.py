"""An engine's server as a child process: started on a free port, watched, and never left behind."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from swift.environments.guarded import end_guarded, start_guarded
from swift.environments.process import variables_with
from swift.errors import EngineError
from swift.hub.cache import cache_root
from swift.hub.located import say

_AGAIN = 3
"""How often a server is started again in the life of this process."""

_TAIL = 12
_LOOK_SECONDS = 0.25
_READ_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started.

    Attributes:
        engine: Its name.
        command: The program and its arguments.
        url: Its base address, as clients want it.
        health: A full address that answers 200 once it is ready.
        variables: Environment variables, besides ours.
        key: What requests must carry; None for none.
    """

    engine: str
    command: tuple[str, ...]
    url: str
    health: str
    variables: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a command line is made of, besides an engine's own options.

    Attributes:
        python: The environment's interpreter.
        model: A folder in Hugging Face's layout.
        adapters: LoRA folders by name.
        device: `cpu`, or another.
        dtype: As engines call number types; `auto` leaves it to the engine.
        length: Longest sequence; None leaves it to the engine.
        tokenizer: A folder with the one that training used; None for the model's.
        port: On the loopback address.
        key: What requests will carry.
    """

    python: Path
    model: Path
    adapters: Mapping[str, Path]
    device: str
    dtype: str
    length: int | None
    tokenizer: Path | None
    port: int = 0
    key: str = ""

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def health(self) -> str:
        """What answers once the server is ready."""
        return f"http://127.0.0.1:{self.port}/health"


class Server:
    """A running server. `stop` ends it; so does the end of this process, however it comes.

    Args:
        launch: How it is started.
        log: Where its output goes.
        again: How often it is started again where it has died after it was ready.
    """

    def __init__(self, launch: Launch, log: Path, *, again: int = 0) -> None:
        self.launch = launch
        self.log = log
        self._lock = threading.Lock()
        self._stopped = False
        self._failed = False
        self._ready = False
        self._again = again
        log.parent.mkdir(parents=True, exist_ok=True)
        self._process = self._spawned()

    def _spawned(self) -> subprocess.Popen[bytes]:
        # A server's log may hold what users ask.
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            variables = variables_with(self.launch.variables)
            return start_guarded(self.launch.command, stdout=descriptor, stderr=descriptor, variables=variables)
        finally:
            os.close(descriptor)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def failure(self) -> EngineError | None:
        """What to tell who cannot reach it; None where it runs. One that has died is started again, by and by."""
        with self._lock:
            if self._stopped:
                return None
            death = self._death()
            if death is None:
                name = self.launch.engine
                return None if self._ready else EngineError(f"{name} is being started again", hint="try again later")
            if self._ready and self._again:
                self._ready, self._again = False, self._again - 1
                end_guarded(self._process)
                self._process = self._spawned()
                threading.Thread(target=self._watch, name="swift-engine-start", daemon=True).start()
            return death

    def _watch(self) -> None:
        while not _answers(self.launch.health):
            if self._stopped or not self.alive:
                return
            time.sleep(_LOOK_SECONDS)
        self._ready = True

    def _death(self) -> EngineError | None:
        if self.alive:
            return None
        self._failed = True
        told = f"{self.launch.engine} has ended with exit code {self._process.returncode}"
        return EngineError(f"{told}; its last lines:\n{self.tail()}", hint=f"its log is {self.log}")

    def erred(self) -> str:
        """Called when it has failed at a request: its log is kept. Returns where that is, in words."""
        self._failed = True
        return f"its log is {self.log}"

    def tail(self) -> str:
        """The last lines of its log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - _READ_MOST))
            lines = file.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line[:300]}" for line in [line for line in lines if line.strip()][-_TAIL:])

    def wait_ready(self, seconds: float, *, tell: Callable[[float], None] = lambda elapsed: None) -> None:
        """Wait until it answers.

        Args:
            seconds: The longest time.
            tell: Called again and again with the seconds so far.

        Raises:
            EngineError: It died, or took too long, after which it is stopped.
        """
        begun = time.monotonic()
        while not _answers(self.launch.health):
            elapsed = time.monotonic() - begun
            error = self._death()
            if error is None and elapsed > seconds:
                self._failed = True
                error = EngineError(
                    f"{self.launch.engine} is not ready after {seconds:g} s; its last lines:\n{self.tail()}",
                    hint=f"raise --engine_start_seconds; its log is {self.log}",
                )
            if error is not None:
                self.stop()
                raise error
            tell(elapsed)
            time.sleep(_LOOK_SECONDS)
        self._ready = True

    def stop(self) -> None:
        """End it and all that it has started; its log is deleted unless something went wrong."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
        end_guarded(self._process)
        if not self._failed:
            self.log.unlink(missing_ok=True)


def start(make: Callable[[int, str], Launch], seconds: float) -> Server:
    """Start a server and wait until it answers, telling about it on standard error.

    Args:
        make: From a port and a key to how it is started.
        seconds: The longest time that it may take.

    Raises:
        EngineError: It does not start.
    """
    port = free_port()
    launch = make(port, secrets.token_urlsafe(24))
    log = cache_root() / "engines" / f"{launch.engine}-{os.getpid()}-{port}.log"
    say(f"starting {launch.engine}; its log is {log}")
    begun = time.monotonic()
    server = Server(launch, log, again=_AGAIN)
    try:
        server.wait_ready(seconds, tell=_progress(launch.engine))
    except BaseException:
        server.stop()
        raise
    _clear_line()
    say(f"{launch.engine} answers after {time.monotonic() - begun:.0f} s")
    return server


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


def _answers(url: str) -> bool:
    # No proxy, whatever the environment says: this is our own machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5.0):
            return True
    except (OSError, ValueError):  # HTTP errors are OSErrors
        return False


def _progress(name: str) -> Callable[[float], None]:
    """Shows seconds on a terminal; elsewhere nothing."""
    if not sys.stderr.isatty():
        return lambda elapsed: None

    def tell(elapsed: float) -> None:
        sys.stderr.write(f"\rstarting {name}: {elapsed:.0f} s ")
        sys.stderr.flush()

    return tell


def _clear_line() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")
