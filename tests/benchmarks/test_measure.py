"""Measuring a process from outside."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measure import CommandError, Measurement, Tail, measure

STEPS = """
import time
from pathlib import Path
block = bytearray(b"x") * (96 << 20)
progress = Path("progress")
progress.write_text("")
for step in range(3):
    time.sleep(0.05)
    with progress.open("a") as file:
        file.write(f"step {step}\\nnoise\\n")
time.sleep(0.1)
"""


def run(code: str, folder: Path, timeout: float = 30.0) -> Measurement:
    return measure(
        [sys.executable, "-S", "-c", code],
        env=dict(os.environ),
        folder=folder,
        progress=folder / "progress",
        is_step=lambda line: line.startswith("step"),
        timeout=timeout,
    )


def test_steps_and_memory(tmp_path: Path) -> None:
    seen = run(STEPS, tmp_path)
    assert len(seen.step_ends) == 3
    assert sorted(seen.step_ends) == list(seen.step_ends)
    assert 0.15 <= seen.step_ends[-1] < seen.wall
    assert seen.peak_process_mib > 96
    assert seen.peak_tree_mib >= seen.peak_process_mib
    assert 0 < seen.cpu < 2 * seen.wall
    assert 0 <= seen.other_cpu <= 1.1


@pytest.mark.slow
def test_memory_of_children_counts(tmp_path: Path) -> None:
    child = "b = bytearray(b'x') * (64 << 20); import time; time.sleep(1.3)"
    code = f"import subprocess, sys; p = [subprocess.Popen([sys.executable, '-S', '-c', {child!r}]) for _ in '12']\n"
    seen = run(code + "for child in p: child.wait()", tmp_path)
    assert seen.peak_tree_mib > 128
    assert 64 < seen.peak_process_mib < 128


def test_failure_shows_the_last_lines(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"exit code 3(.|\n)*stderr: no such weights"):
        run("import sys; print('no such weights', file=sys.stderr); sys.exit(3)", tmp_path)


def test_time_out_ends_the_process(tmp_path: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(CommandError, match="not done after"):
        run("import time; time.sleep(60)", tmp_path, timeout=0.2)
    assert time.perf_counter() - start < 10


def test_tail_gives_whole_lines_once(tmp_path: Path) -> None:
    file = tmp_path / "log"
    tail = Tail(file)
    assert tail.lines() == []
    file.write_bytes(b"one\ntw")
    assert tail.lines() == ["one"]
    with file.open("ab") as stream:
        stream.write(b"o\nthree\n")
    assert tail.lines() == ["two", "three"]
    assert tail.lines() == []
