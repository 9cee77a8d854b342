"""What packing is worth: the same short rows one by one, padded into batches, and packed. Our own command line.

    python -m benchmarks.packing --model MODEL --rows rows.jsonl [--steps 6] [-- further options of swift sft]

Ways take turns, several rounds of them; each number is the median over steps, first one left out. Losses are those of
the same rows in the same order, so that they must be equal.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PER_STEP = 32
WAYS: dict[str, tuple[str, ...]] = {
    "one by one": ("--per_device_train_batch_size", "1", "--padding_free", "false", "--max_tokens_per_slice", "0"),
    "padded": ("--per_device_train_batch_size", str(PER_STEP), "--padding_free", "false", "--group_by_length", "false"),
    "packed": ("--per_device_train_batch_size", str(PER_STEP), "--padding_free", "true"),
}


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("further", nargs="*")
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    losses: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for way, options in WAYS.items():
                lines = _run(Path(folder) / f"{way}-{number}", arguments, options)
                seconds[way] += [line["step_seconds"] for line in lines[1:]]
                losses[way] = [line["loss"] for line in lines]
                tokens = statistics.mean(line["tokens"] for line in lines)
    print(f"{PER_STEP} rows and {tokens:.0f} tokens a step\n")
    print("| way | seconds a step | rows a second | against packed | loss of the last step |\n|---|---|---|---|---|")
    best = statistics.median(seconds["packed"])
    for way, found in seconds.items():
        middle = statistics.median(found)
        print(f"| {way} | {middle:.2f} | {PER_STEP / middle:.1f} | {middle / best:.2f}x | {losses[way][-1]:.6f} |")


def _run(folder: Path, arguments: argparse.Namespace, options: tuple[str, ...]) -> list[dict[str, float]]:
    size = int(options[1])
    command = [sys.executable, "-m", "swift", "sft", "--model", arguments.model, "--dataset", arguments.rows]
    command += ["--output_dir", str(folder), "--max_steps", str(arguments.steps), "--logging_steps", "1", *options]
    command += ["--gradient_accumulation_steps", str(PER_STEP // size), "--dataset_shuffle", "false"]
    command += ["--dry_step", "false", "--learning_rate", "1e-4", "--lr_scheduler_type", "constant"]
    subprocess.run([*command, *arguments.further], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if "loss" in line]


if __name__ == "__main__":
    main()
