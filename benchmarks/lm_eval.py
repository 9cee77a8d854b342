"""lm-eval over our engine against lm-eval's own `hf`: the same tasks, seconds and every single answer.

    python -m benchmarks.lm_eval --rows ALPACA.json --texts TEXTS.txt [--model MODEL] [--sizes 1 4 16] [--rounds 1]

`hf` gets, for each task, the batch size of `--sizes` that was the fastest over a few rows. Then both sides take turns,
each in a process of its own. Printed are seconds of the clock and of the processor, their ratios, scores, and the
largest difference of an answer. lm-eval must be installed (`pip install 'swift-finetune[eval]'`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.lm_eval_tasks import ANSWER, CHOICE, ENDING, LETTER, SHORT, SHOWN, TEXT, write_tasks
from benchmarks.markdown import table
from benchmarks.surroundings import machine

Runs = list[dict[str, Any]]
TASKS = [SHORT, LETTER, ENDING, CHOICE, ANSWER, SHOWN, TEXT]


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rows", type=Path, required=True, help="JSON of instruction, input, output")
    parser.add_argument("--texts", type=Path, required=True, help="a document a line")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--choices", type=int, default=300)
    parser.add_argument("--answers", type=int, default=32)
    parser.add_argument("--characters", type=int, default=2000)
    parser.add_argument("--limit", type=int, help="the first so many rows of each task")
    parser.add_argument("--trial", type=int, default=16, help="rows over which batch sizes are tried")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_tasks(
            folder / "tasks",
            given.rows,
            given.texts,
            choices=given.choices,
            answers=given.answers,
            characters=given.characters,
        )
        job = {
            "model": str(model_folder(given.model)),
            "dtype": given.dtype,
            "threads": given.threads,
            "tasks": str(folder / "tasks"),
            "names": given.tasks,
        }
        tried = run(
            folder, {**job, "system": "hf", "limit": given.trial, "sizes": dict.fromkeys(given.tasks, given.sizes)}
        )
        best = {name: min(_of(tried, name), key=lambda one: one["processor_seconds"])["size"] for name in given.tasks}
        for one in tried:
            print(
                f"hf, {given.trial} rows of {one['task']}, batch size {one['size']}: {one['seconds']:.1f} s",
                file=sys.stderr,
            )
        sides: dict[str, Runs] = {"hf": [], "ours": []}
        for _ in range(given.rounds):
            for name, runs in sides.items():
                sizes = {task: [best[task]] for task in given.tasks}
                runs += run(folder, {**job, "system": name, "limit": given.limit, "sizes": sizes})
    print(f"{machine()}, {given.threads} threads, {given.dtype}\n")
    print(report(sides, given.tasks, best))


def run(folder: Path, job: Mapping[str, Any]) -> Runs:
    """What a side says of a job."""
    file = folder / "job.json"
    file.write_text(json.dumps(job))
    words = [sys.executable, "-m", "benchmarks.lm_eval_side", str(file)]
    variables = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(job["threads"])}
    done = subprocess.run(words, env=variables, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def report(sides: Mapping[str, Runs], tasks: Sequence[str], best: Mapping[str, int]) -> str:
    """The table."""
    rows = []
    totals = [[0.0, 0.0], [0.0, 0.0]]
    for task in tasks:
        theirs, ours = (_of(sides[name], task) for name in ("hf", "ours"))
        seconds = [median(one["seconds"] for one in some) for some in (theirs, ours)]
        spent = [median(one["processor_seconds"] for one in some) for some in (theirs, ours)]
        totals = [
            [total + one for total, one in zip(*pair, strict=True)]
            for pair in zip(totals, (seconds, spent), strict=True)
        ]
        scores = [_scores(some[0]["results"]) for some in (theirs, ours)]
        same, largest = compared(theirs[0]["samples"], ours[0]["samples"])
        rows.append(
            [
                task,
                f"{seconds[0]:.1f} / {spent[0]:.1f} (batch {best[task]})",
                f"{seconds[1]:.1f} / {spent[1]:.1f}",
                f"{seconds[0] / seconds[1]:.2f} / {spent[0] / spent[1]:.2f}",
                scores[0],
                scores[1],
                f"{same} of {len(ours[0]['samples'])}, {largest:.1e}",
            ]
        )
    (clock, clock_ours), (processor, processor_ours) = totals
    ratios = f"{clock / clock_ours:.2f} / {processor / processor_ours:.2f}"
    rows.append(
        ["all", f"{clock:.1f} / {processor:.1f}", f"{clock_ours:.1f} / {processor_ours:.1f}", ratios, "", "", ""]
    )
    heads = [
        "task",
        "hf: clock / processor, s",
        "ours",
        "times as fast",
        "hf",
        "ours",
        "same answers, largest relative difference",
    ]
    return str(table(heads, rows))


def compared(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]]) -> tuple[int, float]:
    """How many documents have the same texts, choices and greedy flags; the largest relative difference of
    likelihoods."""
    same, largest = 0, 0.0
    for one, other in zip(theirs, ours, strict=True):
        assert one["doc_id"] == other["doc_id"]
        pairs = list(zip(_flat(one["resps"]), _flat(other["resps"]), strict=True))
        numbers = [(a, b) for a, b in pairs if isinstance(a, float)]
        largest = max([largest, *(abs(a - b) / max(1.0, abs(a)) for a, b in numbers)])
        same += all(a == b for a, b in pairs if not isinstance(a, float)) and _best(one) == _best(other)
    return same, largest


def _best(sample: Mapping[str, Any]) -> int:
    numbers = [value for value in _flat(sample["resps"]) if isinstance(value, float)]
    return max(range(len(numbers)), key=numbers.__getitem__) if numbers else 0


def _flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, list) else [value]


def _of(runs: Runs, task: str) -> Runs:
    return [one for one in runs if one["task"] == task]


def _scores(results: Mapping[str, Any]) -> str:
    names = [name for name, value in results.items() if name.endswith(",none") and isinstance(value, float)]
    return ", ".join(f"{name.removesuffix(',none')} {results[name]:.4f}" for name in names if "stderr" not in name)


if __name__ == "__main__":
    main()
