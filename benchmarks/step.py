"""Our training step against peft and plain torch: the same LoRA, the same batches, in turns in one process.

    python -m benchmarks.step --rows ROWS.json [--model MODEL] [--count 64] [--dtype float32]

The plain loop is the one that everybody writes: model, `loss.backward()`, clipping, AdamW. It starts from the adapter
that ours has saved before its first step. Ours takes the steps of `swift sft` twice: on packed samples, as it does by
itself, and on the padded rows that the plain loop gets. All have the allocator and the threads of the process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median

import torch
from peft import PeftModel
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForCausalLM

from benchmarks.arguments import DEFAULT_MODEL, model_folder
from benchmarks.markdown import table
from benchmarks.recipe import RECIPE, Dtype, Job, made_up_examples, read_examples
from benchmarks.surroundings import machine
from benchmarks.systems import SYSTEMS
from swift.batch import Batch
from swift.config.parse import parse
from swift.config.sft import SftConfig
from swift.train.assemble import assembled
from swift.train.parallel.processes import Parallel
from swift.train.run import Run
from swift.train.step import train_step

PLAIN = "peft, plain torch"
PACKED = "ours, packed"
PADDED = "ours, padded"


@dataclass(slots=True)
class Way:
    """One way to take a step, and what was seen of it.

    Attributes:
        step: Takes the step with this number; returns its loss.
    """

    step: Callable[[int], float]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def take(self, number: int) -> None:
        """Take a step and note its time and its loss."""
        before = time.perf_counter()
        loss = self.step(number)
        self.seconds.append(time.perf_counter() - before)
        self.losses.append(loss)


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--rows", type=Path, help="JSON list with instruction, input, output; default: made-up rows")
    parser.add_argument("--count", type=int, default=64, help="rows, 4 of them a step; default: %(default)s")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--warmup-steps", type=int, default=2, help="first steps that do not count")
    given = parser.parse_args()
    examples = read_examples(given.rows, given.count) if given.rows else made_up_examples(given.count)
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        runs = {}
        for name, padding_free in ((PACKED, True), (PADDED, False)):
            folder = Path(temporary) / name
            folder.mkdir()
            job = Job(model_folder(given.model), examples, folder, "matched", dtype=given.dtype)
            runs[name] = stack.enter_context(assembled(our_config(job, padding_free=padding_free), Parallel()))
        batches = {name: micro_batches(run) for name, run in runs.items()}
        ways = {PLAIN: plain_way(runs[PACKED], job, batches[PACKED], Path(temporary) / "adapter")}
        ways |= {name: our_way(run, batches[name]) for name, run in runs.items()}
        contend(list(ways.values()), len(batches[PACKED]))
    tokens = [batch.tokens for batch in batches[PACKED]]
    padding = 1 - sum(tokens) / sum(batch.slots for batch in batches[PADDED])
    print(f"{machine()}; {os.environ.get('OMP_NUM_THREADS', torch.get_num_threads())} threads; {given.dtype}; ", end="")
    print(f"{len(tokens)} steps, {sum(tokens)} real tokens, {padding:.0%} padding in the padded batches\n")
    print(report(ways, tokens, given.warmup_steps))


def our_config(job: Job, *, padding_free: bool) -> SftConfig:
    """The configuration of the job's run of `swift sft`."""
    flags = SYSTEMS["ours"].prepare(job, Path("python")).argv[4:]
    return parse(SftConfig, [*flags, "--padding_free", str(padding_free).lower()]).config


def micro_batches(run: Run) -> list[Batch]:
    """The batches of all steps, each of one micro-batch."""
    return [batch for step, _ in run.feed.steps(run.state.position) for batch in step]


def our_way(run: Run, batches: Sequence[Batch]) -> Way:
    """Steps as `swift sft` takes them."""

    def step(number: int) -> float:
        metrics = train_step(run, [batches[number]])
        run.state = replace(run.state, step=number + 1)
        return metrics.loss

    return Way(step)


def plain_way(run: Run, job: Job, batches: Sequence[Batch], adapter: Path) -> Way:
    """Steps of a plain loop, beginning with the adapter of a run of ours."""
    run.write_weights(adapter)
    dtype = torch_type(job.dtype)
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=dtype)
    model = PeftModel.from_pretrained(base, adapter, is_trainable=True).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, RECIPE.learning_rate, betas=(0.9, RECIPE.beta2), weight_decay=0.0)
    inputs = [padded(batch) for batch in batches]

    def step(number: int) -> float:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = model(**inputs[number]).loss
        loss.backward()
        clip_grad_norm_(trained, RECIPE.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.item())

    return Way(step)


def torch_type(dtype: Dtype) -> torch.dtype:
    """The type of torch with this name."""
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[dtype]


def padded(batch: Batch) -> dict[str, Tensor]:
    """A packed batch as transformers takes it: samples padded at the right, labels for the model's own loss."""
    labels = torch.full_like(batch.input_ids[0], -100)
    labels[batch.target_index + 1] = batch.targets
    ids = batch.input_ids[0]

    def rows(values: Tensor, padding: int) -> Tensor:
        return pad_sequence(list(values.split(batch.lengths)), batch_first=True, padding_value=padding)

    return {"input_ids": rows(ids, 0), "attention_mask": rows(torch.ones_like(ids), 0), "labels": rows(labels, -100)}


def contend(ways: Sequence[Way], steps: int) -> None:
    """Every step in all ways, each time another one first."""
    for number in range(steps):
        first = number % len(ways)
        for way in (*ways[first:], *ways[:first]):
            way.take(number)


def report(ways: dict[str, Way], tokens: Sequence[int], warmup: int) -> str:
    """A row a way. Times are of the steps after the warm-up, losses of all."""
    plain = ways[PLAIN]
    rows = []
    for name, way in ways.items():
        seconds = way.seconds[warmup:]
        gap = max(abs(ours - theirs) for ours, theirs in zip(way.losses, plain.losses, strict=True))
        row = [name, f"{mean(seconds):.3f}", f"{median(seconds):.3f}", f"{sum(tokens[warmup:]) / sum(seconds):.1f}"]
        speed = sum(plain.seconds[warmup:]) / sum(seconds)
        rows.append([*row, f"{speed:.2f}", f"{mean(way.losses):.5f}", f"{gap:.4f}"])
    header = ("", "mean step, s", "median step, s", "real tokens/s", "speed against peft", "mean loss")
    return table((*header, "largest difference in a step"), rows)


if __name__ == "__main__":
    main()
