"""What the user sees: the start banner, progress, evaluations, and where everything is at the end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping

from rich.console import Console as RichConsole
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from swift.train.events import Asking, Evaluated, Event, RunDone, RunInfo, RunStarted, Saved, StepDone
from swift.train.listeners.window import Line, Window, epoch_of, is_due


class Console:
    """Shows the run on a terminal with a progress bar, and elsewhere as plain lines, one a logged step.

    Args:
        every: Steps between plain lines.
        console: Where to; default: standard error, so that standard output stays free for results.
    """

    def __init__(self, every: int, console: RichConsole | None = None) -> None:
        self.every = every
        self.out = console or RichConsole(stderr=True, highlight=False)
        self._info: RunInfo | None = None
        self._window: Window | None = None
        self._bar: _Bar | None = None
        self._started: float | None = None

    def __call__(self, event: Event) -> None:
        """Show what the event carries."""
        if isinstance(event, RunStarted):
            self._start(event.info)
            return
        if self._window is None or self._info is None:
            return
        if isinstance(event, StepDone):
            self._step(event, self._window, self._info)
        elif isinstance(event, Asking):
            if self._bar is not None:
                self._bar.tell(f"{event.name} {event.done}/{event.total}")
        elif isinstance(event, Evaluated):
            epoch = epoch_of(event.state, self._info)
            self._print(f"evaluation at step {event.state.step} (epoch {epoch:.2f})  {_values(event.metrics)}")
        elif isinstance(event, Saved):
            self._print(f"saved {event.path}")
        elif isinstance(event, RunDone):
            self._finish(event, self._info)

    def _start(self, info: RunInfo) -> None:
        self._info, self._window, self._started = info, Window(info), None
        banner = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        banner.add_column(style="bold cyan", no_wrap=True)
        banner.add_column(overflow="fold")
        for name, value in info.lines:
            banner.add_row(name, value)
        self.out.print(banner)
        if self.out.is_terminal:
            self._bar = _Bar(self.out, info)

    def _step(self, event: StepDone, window: Window, info: RunInfo) -> None:
        state = event.state
        if self._started is None:  # Not counting what came before the first step, such as an evaluation.
            self._started = time.perf_counter() - event.metrics.seconds
        window.add(event.metrics)
        # The bar moves with every step; its numbers, like the plain lines, are averages.
        due = is_due(state.step, self.every)
        line = window.take(state) if due else None
        if self._bar is not None:
            self._bar.move(state.step, line, self._remaining(state.step, info))
        elif line is not None:
            total = f"/{info.total_steps}" if info.total_steps else ""
            left = self._remaining(state.step, info)
            self._print(f"step {state.step}{total}  epoch {line.epoch:.2f}  {_numbers(line)}  {left} left")

    def _remaining(self, step: int, info: RunInfo) -> str:
        done = step - info.first_step
        if info.total_steps is None or done <= 0 or self._started is None:
            return "?"
        each = (time.perf_counter() - self._started) / done
        return duration(each * (info.total_steps - step))

    def _finish(self, event: RunDone, info: RunInfo) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        state = event.state
        best = "" if state.best is None else f", best evaluation {state.best:.4f} at step {state.best_step}"
        self._print(
            f"{event.reason} after {state.step} steps, {state.tokens:,} tokens ({state.targets:,} trained on), "
            f"{duration(state.elapsed)}{best}"
        )
        self._print(f"run folder  {info.run_dir}")
        links = [name for name in ("last", "best") if (info.run_dir / name).exists()]
        for name in links:
            self._print(f"{name:<10}  {info.run_dir / name}")
        if links:
            self._print(f"talk to it  {next_command(info)}")
        self._window = None

    def _print(self, text: str) -> None:
        self.out.print(text, markup=False, soft_wrap=True)


class _Bar:
    """The progress bar."""

    def __init__(self, out: RichConsole, info: RunInfo) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TextColumn("[cyan]{task.fields[left]} left"),
            console=out,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(
            "", total=info.total_steps, completed=info.first_step, numbers="", left="?"
        )
        self._progress.start()

    def move(self, step: int, line: Line | None, left: str) -> None:
        """Show that `step` steps are taken."""
        if line is None:
            self._progress.update(self._task, completed=step, left=left)
        else:
            self._progress.update(self._task, completed=step, left=left, numbers=_short(line))

    def tell(self, what: str) -> None:
        """Show what is done between two steps."""
        self._progress.update(self._task, numbers=what)

    def stop(self) -> None:
        """Take the bar off the screen."""
        self._progress.stop()


def next_command(info: RunInfo) -> str:
    """The command that talks to what was trained."""
    if info.adapter:
        return f"swift infer --adapters {shlex.quote(str(info.run_dir))}"
    return f"swift infer --model {shlex.quote(str(info.run_dir / 'last'))}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds, such as 1:02:03 or 4:05."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _numbers(line: Line) -> str:
    return (
        f"loss {line.loss:.4f}  grad {line.grad_norm:.3g}  lr {line.learning_rate:.3g}  "
        f"{line.tokens_per_second:,.0f} tok/s  {line.memory_gib:.1f} GiB"
    )


def _short(line: Line) -> str:
    """What fits beside the bar on a terminal of 80 columns."""
    return f"loss {line.loss:.4f}  lr {line.learning_rate:.3g}  {line.tokens_per_second:,.0f} tok/s"


def _values(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{name.removeprefix('eval_')} {value:.4g}" for name, value in metrics.items())
