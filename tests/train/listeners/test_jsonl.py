"""metrics.jsonl: the right keys, honest averages, and no step twice after resuming."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from swift.train.events import RunInfo, RunStarted, StepDone
from swift.train.listeners.jsonl import JsonLines, cut_lines, read_lines

KEYS = [
    "step",
    "epoch",
    "loss",
    "grad_norm",
    "learning_rate",
    "target_tokens",
    "tokens",
    "samples",
    "tokens_per_second",
    "target_tokens_per_second",
    "padding_fraction",
    "data_wait_fraction",
    "step_seconds",
    "memory_gib",
    "elapsed_seconds",
]


def lines_of(info: RunInfo) -> list[dict[str, float]]:
    return [json.loads(line) for line in (info.run_dir / "metrics.jsonl").read_text().splitlines()]


def test_keys_and_averages(run_info: RunInfo, player: Callable[..., None]) -> None:
    player(JsonLines(every=5), run_info, range(1, 13))
    lines = lines_of(run_info)
    assert [line["step"] for line in lines] == [1, 5, 10, 12], "the first, every fifth, and what is left at the end"
    assert all(list(line) == KEYS for line in lines)
    line = lines[1]
    assert line["loss"] == pytest.approx((1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4)
    assert line["learning_rate"] == 5e-4
    assert (line["tokens"], line["samples"], line["target_tokens"]) == (500, 20, 300)
    assert line["tokens_per_second"] == 50.0
    assert line["target_tokens_per_second"] == 30.0
    assert line["padding_fraction"] == pytest.approx(0.2)
    assert line["data_wait_fraction"] == 0.25
    assert (line["step_seconds"], line["memory_gib"], line["elapsed_seconds"]) == (2.0, 5.0, 10.0)
    assert [line["epoch"] for line in lines] == [0.1, 0.5, 1.0, 1.2]


def test_loss_is_weighted_by_targets(
    run_info: RunInfo, states: Callable[..., object], metrics_of: Callable[..., object]
) -> None:
    listener = JsonLines(every=3)
    listener(RunStarted(run_info))
    for step, (loss, targets) in enumerate([(1.0, 10), (2.0, 30), (4.0, 10)], 1):
        extra = {"token_accuracy": loss / 4}
        listener(StepDone(states(step), metrics_of(step, loss=loss, targets=targets, extra=extra)))  # type: ignore[arg-type]
    assert lines_of(run_info)[1]["loss"] == pytest.approx((2 * 30 + 4 * 10) / 40)
    assert lines_of(run_info)[1]["token_accuracy"] == pytest.approx((0.5 * 30 + 1 * 10) / 40)


def test_evaluations_have_lines(run_info: RunInfo, player: Callable[..., None]) -> None:
    player(JsonLines(every=5), run_info, range(1, 11), evaluate=10)
    assert lines_of(run_info)[-1] == {
        "step": 10, "epoch": 1.0, "eval_loss": 0.2, "eval_token_accuracy": 0.5, "elapsed_seconds": 20.0
    }  # fmt: skip


def test_resuming_cuts_steps_that_are_taken_again(run_info: RunInfo, player: Callable[..., None]) -> None:
    player(JsonLines(every=2), run_info, range(1, 10), evaluate=4, done=False)
    before = (run_info.run_dir / "metrics.jsonl").read_text()
    with (run_info.run_dir / "metrics.jsonl").open("a") as file:
        file.write('{"step": 10, "lo')
    player(JsonLines(every=2), replace(run_info, first_step=4), range(5, 13), evaluate=4)
    steps = [line["step"] for line in lines_of(run_info)]
    assert steps == [1, 2, 4, 4, 6, 8, 8, 10, 12, 12]
    assert (run_info.run_dir / "metrics.jsonl").read_text().startswith(before.split('{"step":6')[0])


def test_a_new_run_begins_empty(run_info: RunInfo, player: Callable[..., None]) -> None:
    for _ in range(2):
        player(JsonLines(every=1), run_info, range(1, 3))
    assert [line["step"] for line in lines_of(run_info)] == [1, 2]


def test_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert list(read_lines(path)) == []
    path.write_text('{"step":1}\n{"step":2}\n{"st')
    assert [line["step"] for line in read_lines(path)] == [1, 2]
    cut_lines(path, after_step=1)
    assert path.read_text() == '{"step":1}\n'


def test_lines_are_on_disk_while_the_run_goes_on(run_info: RunInfo, player: Callable[..., None]) -> None:
    listener = JsonLines(every=1)
    player(listener, run_info, range(1, 4), done=False)
    assert len(lines_of(run_info)) == 3
