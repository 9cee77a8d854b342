"""What weights in 4 bits save and cost: the same LoRA over 16-bit and over quantized weights. Our own command line.

    python -m benchmarks.qlora --model MODEL --rows rows.json [--dtype float32] [--qera] [-- options of swift sft]

Each way is one run of `swift sft` on the same rows in the same order, in a process of its own, one after the other.
Weights are measured in bytes as they are loaded in bfloat16, scales counted. On a CPU that emulates bfloat16, train
all of them in float32: rounding of the computation moves losses by a thousandth, and a step takes a 25th of the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

BASELINE = "LoRA, bfloat16"
WAYS: dict[str, tuple[str, ...]] = {
    BASELINE: (),
    "QLoRA, bitsandbytes nf4, double quantization": ("--quant_method", "bnb"),
    "QLoRA, HQQ 4 bits, groups of 64": ("--quant_method", "hqq"),
}
MADE_UP = ("--init_weights", "qera")
"""Added to every way but the first by `--qera`."""
_WEIGHTS = """
import sys, torch
from pathlib import Path
from swift.config.parse import parse
from swift.config.runs import InferConfig
from swift.models.load import load_model
from swift.models.locate import locate_model
from swift.models.quantize.size import weight_bytes
config = parse(InferConfig, sys.argv[1:]).config.model
model = load_model(locate_model(config), config, device=torch.device("cpu"), dtype=torch.bfloat16)
print(weight_bytes(model), model.get_input_embeddings().weight.numel() * 2)
"""


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True, type=Path)
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="of training")
    parser.add_argument("--train", type=int, default=384)
    parser.add_argument("--validation", type=int, default=48)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--keep", nargs="*", default=[], help="layers that bitsandbytes leaves in 16 bits")
    parser.add_argument("--qera", action="store_true", help="adapters make up for the rounding from the start")
    parser.add_argument("--out", type=Path, default=None, help="keep the run folders here")
    parser.add_argument("further", nargs="*")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = json.loads(arguments.rows.read_text(encoding="utf-8"))
        ends = (arguments.train, arguments.train + arguments.validation)
        (folder / "train.json").write_text(json.dumps(rows[: ends[0]]), encoding="utf-8")
        (folder / "validation.json").write_text(json.dumps(rows[ends[0] : ends[1]]), encoding="utf-8")
        found = {}
        for number, (way, options) in enumerate(WAYS.items()):
            kept = ("--modules_to_not_convert", *arguments.keep) if arguments.keep and "bnb" in options else ()
            label = f"{way}, 16 bits: {' '.join(arguments.keep)}" if kept else way
            if arguments.qera and options:
                label, options = f"{label}, QERA", (*options, *MADE_UP)
            found[label] = _measure(folder / f"run-{number}", arguments, (*options, *kept))
            print(f"{label}: {found[label]}", file=sys.stderr, flush=True)
        _report(found)


def _measure(run: Path, arguments: argparse.Namespace, options: tuple[str, ...]) -> dict[str, float]:
    quantization = [word for word in options if word not in MADE_UP]
    command = [sys.executable, "-c", _WEIGHTS, "--model", arguments.model, *quantization]
    weights = subprocess.run(command, check=True, capture_output=True, text=True)
    total, embeddings = map(int, weights.stdout.split())
    losses, seconds = _sft(run, arguments, options)
    adapter = (run / "last" / "adapter_model.safetensors").stat().st_size
    sizes = {"weights": total / 1e6, "adapter": adapter / 1e6, "embeddings": embeddings / 1e6}
    return {**sizes, "before": losses[0], "after": losses[-1], "seconds": statistics.median(seconds[1:] or seconds)}


def _sft(run: Path, arguments: argparse.Namespace, options: tuple[str, ...]) -> tuple[list[float], list[float]]:
    """Losses of the evaluations, the one before the first step included, and seconds of the steps."""
    steps = str(arguments.steps)
    command = [sys.executable, "-m", "swift", "sft", "--model", arguments.model, "--output_dir", str(run)]
    command += ["--dataset", str(run.parent / "train.json"), "--val_dataset", str(run.parent / "validation.json")]
    command += f"--overwrite_output_dir --max_steps {steps} --eval_steps {steps} --save_steps {steps}".split()
    command += f"--device cpu --torch_dtype {arguments.dtype} --dataset_shuffle false --logging_steps 1".split()
    subprocess.run([*command, *arguments.further, *options], check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["eval_loss"] for line in lines if "eval_loss" in line]
    return losses, [line["step_seconds"] for line in lines if "step_seconds" in line]


def _report(found: dict[str, dict[str, float]]) -> None:
    base = found[BASELINE]
    print(f"embeddings in 16 bits: {base['embeddings']:.1f} MB of the weights; adapter: {base['adapter']:.1f} MB\n")
    names = ("way", "weights, MB", "ratio", "with adapter", "loss before", "after", "ratio", "s a step")
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for way, row in found.items():
        whole = (row["weights"] + row["adapter"]) / (base["weights"] + base["adapter"])
        memory = f"{row['weights']:.1f} | {row['weights'] / base['weights']:.3f}x | {whole:.3f}x"
        loss = f"{row['before']:.4f} | {row['after']:.4f} | {row['after'] / base['after'] - 1:+.1%}"
        print(f"| {way} | {memory} | {loss} | {row['seconds']:.1f} |")


if __name__ == "__main__":
    main()
