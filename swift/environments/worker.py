"""Programs of other environments that do a job: they tell how it goes in JSON lines, and are never left behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from typing import IO, Any

from swift.environments import guard
from swift.environments.process import variables_with

_TAIL = 4
_PATIENCE = 5.0
"""Seconds that a program has to end when it must."""

Event = Mapping[str, Any]
"""A line that a program writes on standard output: one JSON object."""


def run_worker(
    command: Sequence[str], on_event: Callable[[Event], None], variables: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run a program to its end.

    Args:
        command: The interpreter of an environment, and what it runs.
        on_event: Called with each line that it tells.
        variables: Environment variables, besides ours.

    Returns:
        Its exit code, and the last lines of its standard error.
    """
    lines: deque[str] = deque(maxlen=_TAIL)
    pipe = subprocess.PIPE
    guarded = [sys.executable, "-I", "-S", guard.__file__, str(_PATIENCE), *command]
    with subprocess.Popen(
        guarded,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
        errors="replace",
        env=variables_with(variables or {}),
        start_new_session=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        reader = Thread(target=_keep, args=(child.stderr, lines), daemon=True)
        reader.start()
        try:
            for line in child.stdout:
                on_event(json.loads(line))
            code = child.wait()
        finally:
            child.stdin.close()  # at which the guard ends what may still run, where this process is interrupted
            reader.join()
    return code, " / ".join(lines)


def _keep(stream: IO[str], lines: deque[str]) -> None:
    for line in stream:
        if line.strip():
            lines.append(line.strip()[-200:])
