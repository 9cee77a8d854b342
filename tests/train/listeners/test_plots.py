"""Curves are drawn, complete, and the same for the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swift.train.events import RunInfo
from swift.train.listeners.jsonl import JsonLines
from swift.train.listeners.plots import Plots, draw, read_curves, smooth


def test_files_are_made_at_the_end(run_info: RunInfo, player: Callable[..., None]) -> None:
    json_lines, plots = JsonLines(every=1), Plots()

    def both(event: object) -> None:
        json_lines(event)  # type: ignore[arg-type]
        plots(event)  # type: ignore[arg-type]

    player(both, run_info, range(1, 21), evaluate=10)
    folder = run_info.run_dir / "plots"
    names = {path.name for path in folder.iterdir()}
    assert names == {f"{name}.{kind}" for name in ("loss", "learning_rate", "grad_norm") for kind in ("svg", "png")}
    image = np.asarray(Image.open(folder / "loss.png").convert("RGB"))
    assert image.shape[0] > 600
    assert image.shape[1] > 1100
    assert (image != 255).any(axis=2).mean() > 0.01, "something is drawn"
    orange = np.abs(image.astype(int) - np.array([0xD9, 0x48, 0x0F])).sum(axis=2) < 30
    assert orange.sum() > 50, "the evaluations are drawn"


def test_same_numbers_same_file(run_info: RunInfo, player: Callable[..., None]) -> None:
    player(JsonLines(every=1), run_info, range(1, 4))
    first = [path.read_bytes() for path in draw(run_info.run_dir)]
    assert [path.read_bytes() for path in draw(run_info.run_dir)] == first


def test_nothing_logged_draws_nothing(tmp_path: Path) -> None:
    assert draw(tmp_path) == []


def test_values_that_are_not_numbers_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step":1,"loss":2.0}\n{"step":2,"loss":null}\n{"step":2,"eval_loss":1}\n')
    curves = read_curves(tmp_path / "metrics.jsonl")
    assert curves.loss[0].tolist() == [1.0]
    assert curves.eval_loss[1].tolist() == [1.0]
    assert {path.name for path in draw(tmp_path)} == {"loss.svg", "loss.png"}


@pytest.mark.parametrize("n", [1, 2, 8, 200])
def test_smoothing_keeps_a_constant_and_has_no_lag(n: int) -> None:
    assert smooth(np.full(n, 3.0)) == pytest.approx(np.full(n, 3.0))
    line = np.arange(float(n))
    middle = slice(n // 4, -(n // 4) or None)
    if n == 200:
        assert smooth(line)[middle] == pytest.approx(line[middle])
