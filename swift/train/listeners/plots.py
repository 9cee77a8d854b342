"""Curves of the run as pictures, drawn from `metrics.jsonl`: `plots/NAME.svg` and `plots/NAME.png`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swift.train.atomic import atomic_path
from swift.train.events import Evaluated, Event, RunDone, RunStarted, Saved
from swift.train.listeners.jsonl import FILE, read_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Series = NDArray[np.float64]

_INK, _MUTED, _GRID = "#1f2933", "#7b8794", "#e4e7eb"
_BLUE, _ORANGE, _GREEN, _VIOLET = "#2563eb", "#d9480f", "#0f766e", "#7048a8"
_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.9,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "svg.hashsalt": "swift",
}

_NOT_ASKED = ("eval_loss", "eval_token_accuracy", "eval_targets", "eval_seconds", "eval_questions_seconds")


@dataclass(frozen=True, slots=True)
class Curves:
    """What is drawn; each pair is steps and values of equal length.

    Attributes:
        loss: Training loss of each logged line.
        eval_loss: Loss on the validation rows.
        learning_rate: Of each logged line.
        grad_norm: Of each logged line.
        questions: What was measured by questions, in percent, by name.
    """

    loss: tuple[Series, Series]
    eval_loss: tuple[Series, Series]
    learning_rate: tuple[Series, Series]
    grad_norm: tuple[Series, Series]
    questions: Mapping[str, tuple[Series, Series]] = field(default_factory=dict)


class Plots:
    """Draws at evaluations, checkpoints and the end, taking at most a twentieth of the run's time.

    It must come after the listener that writes `metrics.jsonl`.
    """

    def __init__(self) -> None:
        self._run_dir: Path | None = None
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        """Draw if the event calls for it."""
        if isinstance(event, RunStarted):
            self._run_dir, self._next = event.info.run_dir, 0.0
        elif self._run_dir is None:
            return
        elif isinstance(event, RunDone) or (isinstance(event, (Evaluated, Saved)) and time.monotonic() >= self._next):
            started = time.monotonic()
            draw(self._run_dir)
            ended = time.monotonic()
            self._next = ended + 20 * (ended - started)


def draw(run_dir: Path) -> list[Path]:
    """Draw the curves of the run in `run_dir`, finished or not.

    Returns:
        The files that were written; none where nothing was logged yet.
    """
    curves = read_curves(run_dir / FILE)
    painters: dict[str, Callable[[Axes], None]] = {}
    if len(curves.loss[0]) or len(curves.eval_loss[0]):
        painters["loss"] = lambda axes: _paint_loss(axes, curves)
    if len(curves.learning_rate[0]):
        painters["learning_rate"] = lambda axes: _paint_rate(axes, curves)
        painters["grad_norm"] = lambda axes: _paint_norm(axes, curves)
    if curves.questions:
        painters["questions"] = lambda axes: _paint_questions(axes, curves)
    folder = run_dir / "plots"
    folder.mkdir(exist_ok=True)
    return [path for name, paint in painters.items() for path in _save(folder / name, paint)]


def read_curves(path: Path) -> Curves:
    """The curves in a metrics file; values that are not numbers are left out."""
    lines = list(read_lines(path))

    def series(key: str) -> tuple[Series, Series]:
        found = [(line["step"], line[key]) for line in lines if line.get(key) is not None]
        steps, values = zip(*found, strict=True) if found else ((), ())
        return np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)

    asked = sorted({key for line in lines for key in line if key.startswith("eval_") and key not in _NOT_ASKED})
    questions = {key.removeprefix("eval_"): series(key) for key in asked}
    return Curves(series("loss"), series("eval_loss"), series("learning_rate"), series("grad_norm"), questions)


def smooth(values: Series) -> Series:
    """A local mean with Gaussian weights whose width is a fortieth of the curve; it does not lag behind."""
    width = max(1.0, len(values) / 40)
    reach = int(3 * width)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)

    def spread(series: Series) -> Series:
        return np.convolve(series, kernel, mode="full")[reach : reach + len(series)]

    return spread(values) / spread(np.ones_like(values))


def _paint_loss(axes: Axes, curves: Curves) -> None:
    steps, loss = curves.loss
    if len(steps):
        _raw_and_smooth(axes, steps, loss, _BLUE, "training")
    steps, evaluated = curves.eval_loss
    if len(steps):
        best = int(np.argmin(evaluated))
        label = f"validation, best {evaluated[best]:.4g} at step {steps[best]:.0f}"
        (curve,) = axes.plot(steps, evaluated, color=_ORANGE, lw=1.4, ls=(0, (4, 2)), label=label, zorder=4)
        curve.set(marker="o", markersize=5.5, markeredgecolor="white", markeredgewidth=1.0)
        axes.plot(steps[best], evaluated[best], "o", ms=11, mfc="none", mec=_ORANGE, mew=1.6, zorder=5)
    axes.set_title("Loss per target token")
    axes.legend(frameon=False, loc="upper right", labelcolor=_INK)


def _paint_questions(axes: Axes, curves: Curves) -> None:
    for name, (steps, values) in curves.questions.items():
        axes.plot(steps, values, lw=1.8, marker="o", ms=4, label=name)
    axes.set_ylim(0, 100)
    axes.set_title("Answers to questions, in percent")
    axes.legend(frameon=False, loc="best", labelcolor=_INK)


def _paint_rate(axes: Axes, curves: Curves) -> None:
    axes.plot(*curves.learning_rate, color=_GREEN, lw=2.0)
    axes.set_ylim(bottom=0)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.set_title("Learning rate")


def _paint_norm(axes: Axes, curves: Curves) -> None:
    steps, norm = curves.grad_norm
    _raw_and_smooth(axes, steps, norm, _VIOLET, "gradient norm")
    if norm.min() > 0 and norm.max() > 50 * float(np.median(norm)):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_title("Gradient norm before clipping")


def _raw_and_smooth(axes: Axes, steps: Series, values: Series, color: str, label: str) -> None:
    if len(steps) < 8:
        axes.plot(steps, values, color=color, lw=1.8, marker="o", ms=4, label=label)
        return
    axes.plot(steps, values, color=color, lw=0.9, alpha=0.32)
    axes.plot(steps, smooth(values), color=color, lw=2.2, label=label, zorder=3)


def _save(stem: Path, paint: Callable[[Axes], None]) -> list[Path]:
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(8.0, 4.5), layout=ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.15))
        axes = figure.subplots()
        paint(axes)
        axes.set_title(axes.get_title(), loc="left", fontsize=13, fontweight="bold", color=_INK, pad=12)
        axes.set_title("", loc="center")
        axes.set_xlabel("optimizer step")
        axes.margins(x=0.02)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
        axes.tick_params(length=0)
        return [_write(figure, stem.with_suffix(suffix)) for suffix in (".svg", ".png")]


def _write(figure: Figure, path: Path) -> Path:
    # Without the date, the same numbers give the same file.
    metadata = {"Date": None} if path.suffix == ".svg" else None
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=150, facecolor="white", metadata=metadata)
    return path
