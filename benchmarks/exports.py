"""What each way to export a model costs and keeps: `swift export` with its certificate, one way after the other.

    python -m benchmarks.exports --model MODEL --rows rows.json --out FOLDER [--only gptq hqq-4]

The first rows calibrate, or those of other files (--calibration), and the last are held out; every way is measured on
the same ones. A way whose folder has a certificate already is not run again. Groups of 64 suit models whose layers 128
does not divide, such as SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GROUPS = ("--group_size", "64")
WAYS: dict[str, tuple[str, ...]] = {
    "merged-float32": ("--merge_lora", "true", "--torch_dtype", "float32"),
    "bfloat16": (),
    "torchao-int8": ("--quant_method", "torchao"),
    "torchao-int8-dynamic": ("--quant_method", "torchao", "--torchao_scheme", "int8-dynamic"),
    "bnb-8": ("--quant_method", "bnb", "--quant_bits", "8"),
    "bnb-nf4": ("--quant_method", "bnb"),
    "hqq-4": ("--quant_method", "hqq"),
    "int8": ("--quant_method", "int8"),
    "fp8": ("--quant_method", "fp8"),
    "gptq": ("--quant_method", "gptq", *GROUPS),
    "gptq-symmetric": ("--quant_method", "gptq", *GROUPS, "--quant_symmetric", "true"),
    "gptq-minmax": ("--quant_method", "gptq", *GROUPS, "--quant_scales", "minmax"),
    "gptq-32": ("--quant_method", "gptq", "--group_size", "32"),
    "gptq-mixed": ("--quant_method", "gptq", *GROUPS, "--bits_rule", "down_proj=8"),
    "awq": ("--quant_method", "awq", *GROUPS),
    "nvfp4": ("--quant_method", "fp4"),
    "gguf-bf16": ("--to", "gguf"),
    "gguf-q8_0": ("--to", "gguf", "--gguf_quantize", "q8_0"),
    "gguf-q4_k_m": ("--to", "gguf", "--gguf_quantize", "q4_k_m"),
}
CALIBRATED = ("int8", "gptq", "gptq-symmetric", "gptq-minmax", "gptq-32", "gptq-mixed", "awq")
FEWER = {"awq": 24}
"""Rows of ways that go through each layer many times: AWQ tries 20 scales with all of them."""
TRAINING = ("--device", "cpu", "--torch_dtype", "float32", "--tuner_type", "lora", "--target_modules", "all-linear")
TRAINING += ("--max_length", "128", "--max_steps", "4", "--per_device_train_batch_size", "1", "--learning_rate", "1e-3")
TRAINING += ("--gradient_accumulation_steps", "1")
"""Of the adapter that is merged: few steps, and far enough for another model to come of them."""


def main() -> None:
    """Export in every way, and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--calibrate", type=int, default=32)
    parser.add_argument("--calibration", nargs="*", default=[], help="data sets instead, such as FILE#96")
    parser.add_argument("--measure", type=int, default=32)
    parser.add_argument("--only", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("further", nargs="*", help="further options of swift export, behind --")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    split(arguments)
    for name in arguments.only:
        place = arguments.out / name
        if not (place / "certificate.json").is_file():
            done = subprocess.run(command(name, place, arguments), check=False)
            print(f"{name}: {'done' if done.returncode == 0 else f'exit code {done.returncode}'}", file=sys.stderr)
    print(table(arguments.out))


def split(arguments: argparse.Namespace) -> None:
    """The rows in two files."""
    rows = json.loads(arguments.rows.read_text(encoding="utf-8"))
    kinds = {"calibrate": rows[: arguments.calibrate], "measure": rows[-arguments.measure :]}
    for name, some in kinds.items():
        (arguments.out / f"{name}.json").write_text(json.dumps(some), encoding="utf-8")


def command(name: str, place: Path, arguments: argparse.Namespace) -> list[str]:
    """The export of one way."""
    words = [sys.executable, "-m", "swift", "export", "--model", arguments.model, "--output_dir", str(place)]
    words += ["--val_dataset", str(arguments.out / "measure.json"), *WAYS[name], *arguments.further]
    if name in CALIBRATED:
        own = arguments.calibration or [str(arguments.out / "calibrate.json")]
        words += ["--dataset", *own, "--quant_n_samples", str(FEWER.get(name, arguments.calibrate))]
    if name == "merged-float32":
        words += ["--adapters", str(adapter(arguments))]
    return words


def adapter(arguments: argparse.Namespace) -> Path:
    """A LoRA adapter on all linear layers, trained for a few steps on the rows that calibrate."""
    folder: Path = arguments.out / "adapter"
    if not folder.is_dir():
        words = [sys.executable, "-m", "swift", "sft", "--model", arguments.model, "--output_dir", str(folder)]
        words += ["--dataset", str(arguments.out / "calibrate.json"), *TRAINING]
        subprocess.run(words, check=True)
    return folder


def table(out: Path) -> str:
    """A row for each certificate that is there."""
    titles = ("way", "MB", "KL, mean", "greedy match", "perplexity", "source", "stops", "tokens/s", "passed")
    lines = [f"| {' | '.join(titles)} |", "|---|" + "---:|" * (len(titles) - 1)]
    for name in WAYS:
        for ending in ("", "-failed"):
            path = out / f"{name}{ending}" / "certificate.json"
            if path.is_file():
                lines.append(f"| {' | '.join(row(name, json.loads(path.read_text(encoding='utf-8'))))} |")
    return "\n".join(lines)


def row(name: str, certificate: dict[str, Any]) -> Sequence[str]:
    """One line of the table."""
    after, before, apart = certificate["after"], certificate["before"], certificate["distance"]
    return (
        name,
        f"{after['size_bytes'] / 1e6:.1f}",
        f"{apart['mean_kl']:.2g}",
        f"{apart['greedy_match']:.1%}",
        f"{after['perplexity']:.3f}",
        f"{before['perplexity']:.3f}",
        f"{after['stop_probability']:.2g}",
        f"{after['tokens_per_second']:.1f}",
        "yes" if certificate["passed"] else "no",
    )


if __name__ == "__main__":
    main()
