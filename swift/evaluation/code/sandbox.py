"""Runs a program of Python in a process that is shut in, and says how it went.

The process is a fresh `python -I` with an empty environment, in an empty folder that is deleted afterwards, in a
session of its own, with limits of time, memory, size of files, and no further processes. On Linux it also has a network
with nothing in it, sees no files but Python's own, and cannot make processes, send signals or open sockets
(`boot.py`). What of that a machine cannot do is told, in `Ended.shut`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal

from swift.errors import ResourceError

Outcome = Literal["passed", "failed", "time", "memory", "disk", "ended early"]

_BOOT = Path(__file__).with_name("boot.py")
_SHOWN = 2000
"""Bytes of output that are kept."""
_GRACE = 20.0
"""Seconds for the interpreter to start, beside the program's own."""
_TICK, _LOOK, _FILES = 0.05, 0.2, 2000
"""Seconds between looks at the streams and at the folder; the most files in it."""
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime")


@dataclass(frozen=True, slots=True)
class CodeLimits:
    """What a program may use.

    Attributes:
        seconds: Of the clock, and of the processor.
        memory: Bytes.
        file: Bytes of a file that it writes.
        disk: Bytes of all its files.
    """

    seconds: float = 10.0
    memory: int = 1 << 30
    file: int = 1 << 20
    disk: int = 1 << 24


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        outcome: passed: it ran to its end. ended early: it stopped the interpreter before its end.
        said: The end of what it wrote on standard error, or standard output.
        shut: What the process could give up: `network`, `files`, `calls`.
    """

    outcome: Outcome
    said: str = ""
    shut: dict[str, bool] = field(default_factory=dict)


def run(code: str, limits: CodeLimits) -> Ended:
    """Run a program.

    Raises:
        ResourceError: No process can be started.
    """
    token = secrets.token_hex(16)
    job = {"code": code, "token": token, "memory": limits.memory, "file": limits.file, "seconds": limits.seconds}
    with tempfile.TemporaryDirectory(prefix="swift-code-", ignore_cleanup_errors=True) as folder:
        told, here = os.pipe()
        try:
            with _started(folder, here, job) as process:
                os.close(here)
                here = -1
                written, stopped = _watched(process, told, limits.seconds, _Disk(Path(folder), limits.disk))
        finally:
            os.close(told)
            if here >= 0:
                os.close(here)
    return _ended(process.returncode, written, token, stopped)


@cache
def shut_in() -> dict[str, bool]:
    """What processes can give up on this machine.

    Raises:
        ResourceError: Not even an empty program runs.
    """
    ended = run("pass", CodeLimits())
    if ended.outcome != "passed":
        raise ResourceError(
            f"an empty program does not run: {ended.outcome} {ended.said}", hint="no code can be judged"
        )
    return ended.shut


@contextlib.contextmanager
def _started(folder: str, tell: int, job: dict[str, object]) -> Iterator[subprocess.Popen[bytes]]:
    """The process, killed at the end, whatever it does."""
    job = {**job, "read": _readable()}
    command = [sys.executable, "-I", "-c", _PLUMB, str(tell), str(_BOOT)]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}, pass_fds=(tell,),
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ResourceError(f"no process can be started: {error.strerror}", hint="end other programs") from error
    try:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job).encode())
            process.stdin.close()
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


_PLUMB = (
    "import os, runpy, sys; number = int(sys.argv[1]); path = sys.argv[2]; os.dup2(number, 3);"
    "number == 3 or os.close(number); runpy.run_path(path, run_name='__main__')"
)
"""Puts the pipe where `boot.py` expects it."""


def _readable() -> list[str]:
    """Folders and files that Python itself needs."""
    return [path for path in dict.fromkeys((*_SYSTEM, sys.base_prefix, sys.prefix)) if os.path.exists(path)]


@dataclass(frozen=True, slots=True)
class _Disk:
    """A folder, and how much may lie in it."""

    folder: Path
    most: int

    def is_full(self) -> bool:
        """Whether there is more, or so many files that they cannot be counted quickly."""
        total = 0
        for number, path in enumerate(self.folder.rglob("*")):
            with contextlib.suppress(OSError):
                total += path.lstat().st_size
            if total > self.most or number > _FILES:
                return True
        return False


def _watched(
    process: subprocess.Popen[bytes], told: int, seconds: float, disk: _Disk
) -> tuple[list[bytes], Outcome | None]:
    """Read what the process writes until it ends; returns (told, stdout, stderr), cut, and why it has to be stopped."""
    assert process.stdout is not None
    assert process.stderr is not None
    streams = [told, process.stdout.fileno(), process.stderr.fileno()]
    written = dict.fromkeys(streams, b"")
    open_, end, look = set(streams), time.monotonic() + seconds + _GRACE, time.monotonic() + _LOOK
    stopped: Outcome | None = None
    while (open_ or process.poll() is None) and stopped is None:
        for stream in select.select(list(open_), [], [], _TICK if open_ else 0)[0]:
            piece = os.read(stream, 1 << 16)
            if not piece:
                open_.discard(stream)
            # Of output only the end is kept, however much there is; what the box tells is short.
            if stream == told and not written[told]:
                end = time.monotonic() + seconds  # the interpreter has started: now the program's own time begins
            written[stream] = (written[stream] + piece)[-_SHOWN:]
        if not open_:
            time.sleep(_TICK)
        if time.monotonic() > end:
            stopped = "time"
        elif time.monotonic() > look:
            look = time.monotonic() + _LOOK
            stopped = "disk" if disk.is_full() else None
    return [written[stream] for stream in streams], stopped


def _ended(code: int, written: list[bytes], token: str, stopped: Outcome | None) -> Ended:
    told, out, err = written
    first, _, rest = told.partition(b"\n")
    said = (err or out).decode(errors="replace").strip()
    try:
        shut: dict[str, bool] = json.loads(first)
    except ValueError:
        return Ended(stopped or "failed", said)
    if stopped is not None or code in (-signal.SIGXCPU, -signal.SIGKILL):
        return Ended(stopped or "time", said, shut)
    if rest == token.encode() and code == 0:
        return Ended("passed", said, shut)
    if b"MemoryError" in err[-200:]:
        return Ended("memory", said, shut)
    return Ended("ended early" if code == 0 else "failed", said, shut)
