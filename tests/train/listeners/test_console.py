"""What the user sees on a terminal and in a log file."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console as RichConsole

from swift.train.events import RunInfo
from swift.train.listeners.console import Console, duration, next_command


def shown(info: RunInfo, player: Callable[..., None], *, terminal: bool, steps: range = range(1, 11)) -> str:
    out = io.StringIO()
    console = RichConsole(file=out, force_terminal=terminal, width=80, highlight=False)
    player(Console(every=5, console=console), info, steps, evaluate=10)
    return out.getvalue()


def test_plain_lines(run_info: RunInfo, player: Callable[..., None]) -> None:
    (run_info.run_dir / "last").mkdir()
    lines = [line.rstrip() for line in shown(run_info, player, terminal=False).splitlines()]
    assert lines[:2] == ["model    tiny", "trained  0.1 M of 1 M parameters"]
    steps = [line for line in lines if line.startswith("step ")]
    assert [line.split("  ")[0] for line in steps] == ["step 1/30", "step 5/30", "step 10/30"]
    pattern = r"step 5/30  epoch 0\.50  loss 0\.3208  grad 0\.5  lr 0\.0005  50 tok/s  5\.0 GiB  \d+:\d\d left"
    assert re.fullmatch(pattern, steps[1])
    assert "evaluation at step 10 (epoch 1.00)  loss 0.2  token_accuracy 0.5" in lines
    assert f"saved {run_info.run_dir / 'checkpoint-10'}" in lines
    assert "finished after 10 steps, 1,000 tokens (600 trained on), 0:20" in lines
    assert lines[-1] == f"talk to it  swift infer --adapters {run_info.run_dir}"
    assert all("\x1b" not in line for line in lines)


def test_progress_bar(run_info: RunInfo, player: Callable[..., None]) -> None:
    text = shown(run_info, player, terminal=True)
    assert "10/30" in text
    assert "loss 0.1291  lr 0.001  50 tok/s" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h"), "the cursor is shown again"


def test_resumed_run_counts_from_its_first_step(run_info: RunInfo, player: Callable[..., None]) -> None:
    text = shown(replace(run_info, first_step=20), player, terminal=False, steps=range(21, 26))
    assert "step 25/30" in text
    assert "step 21/30" not in text


def test_next_command_is_quoted_and_fits_the_tuner(run_info: RunInfo) -> None:
    info = replace(run_info, run_dir=Path("my run"))
    assert next_command(info) == "swift infer --adapters 'my run'"
    assert next_command(replace(info, adapter=False)) == "swift infer --model 'my run/last'"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (65.4, "1:05"), (3723, "1:02:03"), (-3, "0:00")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
