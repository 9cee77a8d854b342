"""`metrics.jsonl`: one JSON object for each logged step and each evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from swift.train.atomic import write_atomic
from swift.train.events import Evaluated, Event, RunDone, RunInfo, RunStarted, StepDone
from swift.train.listeners.window import Window, epoch_of, is_due

FILE = "metrics.jsonl"


class JsonLines:
    """Writes the file. A resumed run goes on in it: lines of steps that will be taken again are cut first.

    Args:
        every: Steps between lines; each averages the steps since the one before. The first step always has a line,
            and the last one too.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._file: FileIO | None = None
        self._window: Window | None = None

    def __call__(self, event: Event) -> None:
        """Write what the event calls for."""
        if isinstance(event, RunStarted):
            self._start(event.info)
            return
        if self._window is None:
            return
        if isinstance(event, StepDone):
            self._window.add(event.metrics)
            if is_due(event.state.step, self.every):
                self._write(self._window.take(event.state).to_json())
        elif isinstance(event, Evaluated):
            head = {"step": event.state.step, "epoch": epoch_of(event.state, self._window.info)}
            self._write({**head, **event.metrics, "elapsed_seconds": event.state.elapsed})
        elif isinstance(event, RunDone):
            if len(self._window):
                self._write(self._window.take(event.state).to_json())
            self._close()

    def _start(self, info: RunInfo) -> None:
        self._close()
        path = info.run_dir / FILE
        cut_lines(path, after_step=info.first_step)
        self._file = path.open("ab", buffering=0)
        self._window = Window(info)

    def _write(self, values: Mapping[str, Any]) -> None:
        assert self._file is not None
        # One write call a line: a kill leaves whole lines, or one torn at the very end, which the next start cuts.
        self._file.write(orjson.dumps(dict(values), option=orjson.OPT_APPEND_NEWLINE))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._window = None, None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a metrics file in order; a last line that a kill tore is left out."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield orjson.loads(line)


def cut_lines(path: Path, *, after_step: int) -> None:
    """Remove the lines of steps beyond `after_step`, and a torn last line. A new run (step 0) begins empty."""
    if not path.exists():
        return
    kept = [line for line in read_lines(path) if line["step"] <= after_step] if after_step else []
    write_atomic(path, b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in kept))
