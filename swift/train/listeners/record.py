"""What a run came to, in its `run.json`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from swift.train.events import Event, RunDone, RunStarted
from swift.train.run_folder import read_record, write_record


class Totals:
    """Writes them when the run ends, in whatever way; a run that is resumed writes them anew."""

    def __init__(self) -> None:
        self._run_dir: Path | None = None

    def __call__(self, event: Event) -> None:
        """Write what the event calls for."""
        if isinstance(event, RunStarted):
            self._run_dir = event.info.run_dir
        elif isinstance(event, RunDone) and self._run_dir is not None:
            state = event.state
            totals = {
                "ended": event.reason,
                "steps": state.step,
                "tokens": state.tokens,
                "target_tokens": state.targets,
                "samples": state.samples,
                "seconds": round(state.elapsed, 3),
                "best": state.best,
                "best_step": state.best_step,
            }
            write_record(self._run_dir, replace(read_record(self._run_dir), totals=totals))
