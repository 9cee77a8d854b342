"""Programs of other environments that do a job: they tell how it goes in JSON lines, and are never left behind."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Thread
from typing import IO, Any

from swift.environments.guarded import end_guarded, start_guarded
from swift.environments.process import variables_with

_TAIL = 4
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
    own = variables_with(variables or {})
    child = start_guarded(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, variables=own)
    assert child.stdout is not None
    assert child.stderr is not None
    with child.stdout as told, child.stderr as said:
        reader = Thread(target=_keep, args=(said, lines), daemon=True)
        reader.start()
        try:
            for line in told:
                on_event(json.loads(line))
            code = child.wait()
        finally:
            end_guarded(child)  # what may still run, where this process is interrupted
            reader.join()
    return code, " / ".join(lines)


def _keep(stream: IO[bytes], lines: deque[str]) -> None:
    for raw in stream:
        line = raw.decode(errors="replace").strip()
        if line:
            lines.append(line[-200:])
