"""How fast the command line answers: `python -m benchmarks.startup [--python PYTHON] [--repeat N]`.

`swift --help` and `swift sft --help` against `python -c "import pydantic"` in the same environment, which every
typed configuration has to pay. All three take turns; the ratio is taken within each round, then the median.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.surroundings import machine

YARDSTICK = "import pydantic"
GOALS = {"swift --help": 2.0, "swift sft --help": 3.0}
"""Command to the largest ratio to the yardstick that we want."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of every run of one command, the median, and the median ratio to the yardstick."""

    seconds: tuple[float, ...]
    median: float
    ratio: float


def commands(python: Path) -> dict[str, list[str]]:
    """What is timed, in the environment of `python`; the yardstick first."""
    swift = str(python.parent / "swift")
    return {
        YARDSTICK: [str(python), "-c", YARDSTICK],
        "swift --help": [swift, "--help"],
        "swift sft --help": [swift, "sft", "--help"],
    }


def time_all(argvs: Mapping[str, Sequence[str]], repeat: int) -> dict[str, Timing]:
    """Time every command `repeat` times, in turns, after one round that is not counted.

    Raises:
        subprocess.CalledProcessError: A command failed.
    """
    rounds = [{name: _seconds(argv) for name, argv in argvs.items()} for _ in range(repeat + 1)][1:]
    return {
        name: Timing(
            seconds=tuple(times[name] for times in rounds),
            median=median(times[name] for times in rounds),
            ratio=median(times[name] / times[YARDSTICK] for times in rounds),
        )
        for name in argvs
    }


def _seconds(argv: Sequence[str]) -> float:
    start = time.perf_counter()
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True, cwd="/")
    return time.perf_counter() - start


def main() -> None:
    """Print a table; with --out also write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description="Time the help texts.")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="interpreter of the environment")
    parser.add_argument("--repeat", type=int, default=21)
    parser.add_argument("--out", type=Path, help="JSON file")
    given = parser.parse_args()
    timings = time_all(commands(given.python.absolute()), given.repeat)
    print(f"{machine()}; {given.repeat} rounds\n")
    print(f"| command | median, s | x `{YARDSTICK}` | wanted at most |\n| --- | ---: | ---: | ---: |")
    for name, timing in timings.items():
        goal = f"{GOALS[name]}" if name in GOALS else ""
        print(f"| `{name}` | {timing.median:.3f} | {timing.ratio:.2f} | {goal} |")
    if given.out is not None:
        record = {"machine": machine(), "timings": {name: asdict(timing) for name, timing in timings.items()}}
        given.out.write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
