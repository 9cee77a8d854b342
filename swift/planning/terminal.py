"""A plan on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from swift.config.sft import SftConfig
from swift.planning.advice import Way
from swift.planning.estimate import TIGHT
from swift.planning.largest import LargestBatch
from swift.planning.memory import MemoryPlan, Training

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Estimate:
    """Everything that is planned.

    Attributes:
        model, device: By name.
        parameters: Of the base model.
        training: What is trained; with checkpointing only if the configuration asks for it.
        plain, checkpointed: Memory without and with gradient checkpointing.
        memory: Bytes that the run may take.
        ways: Changes that take less.
        checkpoint: Bytes of one.
        checkpoints: How many lie on the disk at once; None for no limit.
        free: Bytes on the disk.
    """

    config: SftConfig
    model: str
    device: str
    parameters: int
    training: Training
    largest: LargestBatch
    plain: MemoryPlan
    checkpointed: MemoryPlan
    memory: int
    ways: tuple[Way, ...]
    checkpoint: int
    checkpoints: int | None
    free: int

    @property
    def chosen(self) -> MemoryPlan:
        """The plan that the run would follow: where it may choose, checkpointing only if memory needs it."""
        wanted = self.config.loop.gradient_checkpointing
        if wanted is None:
            wanted = self.plain.total > TIGHT * self.memory
        return self.checkpointed if wanted else self.plain

    @property
    def disk(self) -> int:
        """Bytes of the checkpoints, two where their number has no limit."""
        return self.checkpoint * (2 if self.checkpoints is None else self.checkpoints)

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """Why the run would fail: a line, and the way out."""
        found = []
        need = self.chosen.total
        if need > self.memory:
            fitting = [way for way in self.ways if way.total <= TIGHT * self.memory]
            hint = fitting[0].change if fitting else "a smaller model, a shorter --max_length, or a larger device"
            found.append((f"the run needs about {gib(need)}, and {self.device} has {gib(self.memory)}", hint))
        if self.disk > self.free:
            where = self.config.output_dir
            found.append(
                (
                    f"checkpoints need {gib(self.disk)}, and the disk of {where} has {gib(self.free)}",
                    "another --output_dir, a smaller --save_total_limit, or --save_only_model true",
                )
            )
        return tuple(found)


def gib(size: int) -> str:
    """Bytes in GiB."""
    return f"{size / GIB:,.2f} GiB"


def show(estimate: Estimate, console: Console) -> None:
    """Print everything."""
    for name, value in _facts(estimate):
        console.print(Text.assemble((f"{name:<14}", "cyan"), value))
    console.print()
    console.print(_table(estimate))
    console.print()
    need, memory = estimate.chosen.total, estimate.memory
    if need > memory:
        verdict = ("does not fit", "bold red")
    elif need > TIGHT * memory:
        verdict = ("is tight", "bold yellow")
    else:
        verdict = ("fits", "bold green")
    console.print(
        Text.assemble(
            verdict, f": about {gib(need)} of {gib(memory)} on {estimate.device} (an estimate, good to about a fifth)"
        )
    )
    if need > TIGHT * memory:
        for way in estimate.ways:
            mark = "fits" if way.total <= TIGHT * memory else "still too much"
            console.print(Text(f"  {gib(way.total):>12}  {mark:<15} {way.change}"))


def _facts(estimate: Estimate) -> Iterator[tuple[str, str]]:
    training, largest = estimate.training, estimate.largest
    yield (
        "model",
        (f"{estimate.model}: {estimate.parameters / 1e6:,.1f} M parameters, {training.weight_bytes} bytes each"),
    )
    trained = training.trained
    whole = estimate.parameters + (trained if training.tuner == "lora" else 0)
    yield "trained", f"{trained:,} parameters ({trained / whole:.2%}), {training.tuner}"
    yield (
        "micro-batch",
        (
            f"{largest.slots:,} tokens, {largest.targets:,} of them targets, longest sequence "
            f"{largest.longest:,}: {largest.origin}"
        ),
    )
    yield "steps", "not known: streamed, without max_steps" if largest.steps is None else f"{largest.steps:,}"
    count = "each, without limit" if estimate.checkpoints is None else f"x {estimate.checkpoints}"
    yield "disk", f"checkpoints of {gib(estimate.checkpoint)} {count}; free {gib(estimate.free)}"


def _table(estimate: Estimate) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("memory")
    table.add_column("plain", justify="right")
    table.add_column("gradient checkpointing", justify="right")
    rows = zip(estimate.plain.table(), estimate.checkpointed.table(), strict=True)
    for (name, plain), (_, checkpointed) in rows:
        style = "bold" if name == "peak" else None
        table.add_row(name, gib(plain), gib(checkpointed), style=style)
    return table
