"""A command of ours in a process of its own, with what it says in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_SECONDS = 0.3
_GRACE_SECONDS = 20.0


def run_command(command: str, config: Path, log: Path, on_wait: Callable[[], None]) -> str:
    """Run `swift COMMAND CONFIG`.

    Args:
        command: Such as sft.
        config: Its configuration file.
        log: Gets everything that it says.
        on_wait: Called again and again while it runs.

    Returns:
        Why it failed, in one line; empty if it did not.
    """
    words = [sys.executable, "-m", "swift", command, str(config)]
    with log.open("ab") as file:
        begin = file.tell()
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        try:
            while process.poll() is None:
                on_wait()
                time.sleep(_LOOK_SECONDS)
        finally:
            _end(process)
    return "" if process.returncode == 0 else _reason(log.read_bytes()[begin:], process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started, if it still runs: we were interrupted."""
    if process.poll() is not None:
        return
    for sign, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def _reason(said: bytes, code: int) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if errors:
        return errors[-1]
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" + (": out of memory?" if code == -signal.SIGKILL else "")
    return f"exit code {code}: {lines[-1]}" if lines else f"exit code {code}"
