"""What an experiment costs against what it brings, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swift.comparing.result import Result
from swift.train.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _DOT = "#1f2933", "#2563eb"
_COSTS: dict[str, tuple[str, Callable[[Result], float | None]]] = {
    "memory": ("peak memory of training, GiB", lambda row: row.memory_gib),
    "time": ("time of training, s", lambda row: row.seconds),
}


def draw(results: Sequence[Result], tasks: Sequence[str], folder: Path) -> list[Path]:
    """Scatter plots of each task's accuracy, or of the loss where there is no task, against memory and time.

    Returns:
        The SVG files; beside each lies a PNG.
    """
    gains: dict[str, tuple[str, Callable[[Result], float | None]]] = {
        task: (f"{task}, %", lambda row, task=task: row.tasks.get(task))  # type: ignore[misc]
        for task in tasks
    }
    gains = gains or {"eval_loss": ("eval loss", lambda row: row.eval_loss)}
    files = []
    for cost, (x_label, x_of) in _COSTS.items():
        for gain, (y_label, y_of) in gains.items():
            points = [(row.name, x_of(row), y_of(row)) for row in results if not row.error]
            known = [(name, x, y) for name, x, y in points if x is not None and y is not None]
            if known:
                files.append(_scatter(known, x_label, y_label, folder / f"{gain}-{cost}.svg"))
    return files


def _scatter(points: Sequence[tuple[str, float, float]], x_label: str, y_label: str, path: Path) -> Path:
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(8.5, 5.0), layout="constrained")
    axes = figure.subplots()
    axes.scatter([x for _, x, _ in points], [y for *_, y in points], s=34, color=_DOT, zorder=3)
    axes.margins(0.12)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(color="#e4e7eb")
    axes.spines[["top", "right"]].set_visible(False)
    figure.draw_without_rendering()  # only then is it known where points are
    _label(axes, points)
    for suffix in (".png", ".svg"):
        target = path.with_suffix(suffix)
        with atomic_path(target) as temporary:
            figure.savefig(temporary, format=suffix[1:], dpi=130)
    return path


_OFFSETS = tuple((0, sign * distance - (7 if sign < 0 else 0)) for distance in (7, 18, 29, 40) for sign in (1, -1))
"""Where a name may stand, in points from its dot: above or below it, the nearest first."""


def _label(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write each name beside its point, where no other name is if there is such a place."""
    taken: list[Any] = []
    for name, x, y in sorted(points, key=lambda point: (point[1], point[2])):
        for offset in _OFFSETS:
            label = axes.annotate(
                name, (x, y), offset, textcoords="offset points", ha="center", fontsize=8.5, color=_INK
            )
            box = label.get_window_extent()
            if offset == _OFFSETS[-1] or not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            label.remove()
