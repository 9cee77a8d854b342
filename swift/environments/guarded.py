"""Child processes that are never left behind: each runs below a guard, which ends it when this process is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from swift.environments import guard

_PATIENCE = 10.0
"""Seconds that a program has to end when it must."""


def start_guarded(
    command: Sequence[str], *, stdout: int, stderr: int, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that ends with this process, however it ends; its standard input is closed.

    Args:
        command: The program and its arguments.
        stdout: A descriptor, or one of subprocess's constants.
        stderr: As `stdout`.
        variables: Environment variables; None for those of this process.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, str(_PATIENCE), *command],
        stdin=subprocess.PIPE,  # the guard's: the program goes on for as long as it is open
        stdout=stdout,
        stderr=stderr,
        env=variables,
        start_new_session=True,
    )


def end_guarded(process: subprocess.Popen[bytes]) -> None:
    """End a program of `start_guarded`, or what is left of its children, and wait for it."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()  # at which the guard ends everything
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE + 5.0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what is left
    process.wait()


def run_guarded(command: Sequence[str], variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a program to its end; returns its exit code and what it said on standard output and error."""
    process = start_guarded(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, variables=variables)
    assert process.stdout is not None
    try:
        with process.stdout as said:
            text = said.read().decode(errors="replace")
        return process.wait(), text
    finally:
        end_guarded(process)
