"""Ways out when a run does not fit: changes to its configuration, each with what it would take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from swift.planning.memory import Load, ModelShape, Training, plan_memory

_ADAPTER_SHARE = 0.02  # trained elements of an adapter of rank 8, as a share of the model; for an estimate only
_SHORTEST = 256


@dataclass(frozen=True, slots=True)
class Way:
    """A change, and the peak with it.

    Attributes:
        change: What to set.
        total: Bytes.
    """

    change: str
    total: int


def ways_out(
    shape: ModelShape,
    training: Training,
    load: Load,
    *,
    overhead: int,
    longest: int,
    holes: float = 0.0,
    accelerator: bool = False,
) -> list[Way]:
    """Changes that need less memory, those that change the result least first.

    Args:
        overhead, holes: As for `plan_memory`.
        accelerator: Whether the device has memory of its own, so that some can be moved out of it.
        longest: Tokens of the longest sequence; where more go through the model at once, they can be split at no
            loss.
    """

    def total(training: Training = training, load: Load = load) -> int:
        return plan_memory(shape, training, load, overhead=overhead, holes=holes).total

    before = total()
    return [way for way in _ways(training, load, total, longest, shape, accelerator) if way.total < before]


def _ways(
    training: Training,
    load: Load,
    total: Callable[..., int],
    longest: int,
    shape: ModelShape,
    accelerator: bool,
) -> Iterator[Way]:
    several = load.slots > longest
    at_once = max(longest, _SHORTEST)
    if several:
        slots = min(load.slots, at_once)
        one = replace(load, slots=slots, targets=min(load.targets, slots), accumulates=True)
        yield Way(f"--max_tokens_per_slice {at_once} (the same result)", total(load=one))
    if not training.gradient_checkpointing:
        less = replace(training, gradient_checkpointing=True)
        yield Way("--gradient_checkpointing true (the same result, about a third slower)", total(less))
        if several:
            both = f"both: --gradient_checkpointing true --max_tokens_per_slice {at_once}"
            yield Way(both, total(less, one))
    if accelerator and not training.offload_activations:
        flags = "--gradient_checkpointing true --activation_cpu_offload true"
        moved = replace(training, gradient_checkpointing=True, offload_activations=True)
        yield Way(f"{flags} (the same result, inputs of layers in main memory)", total(moved))
    if training.tuner != "lora":
        adapter = replace(
            training,
            tuner="lora",
            trained=int(_ADAPTER_SHARE * shape.parameters),
            trained_bytes=4,
            trained_layers=shape.layers,
            trains_head=False,
            adapter_rank=8,
        )
        yield Way("--tuner_type lora", total(adapter))
        if training.master_weights and training.trained_bytes < 4:
            yield Way("--master_weights false (small updates are lost)", total(replace(training, master_weights=False)))
    elif training.adapter_rank > 8:
        share = 8 / training.adapter_rank
        small = replace(training, adapter_rank=8, trained=int(training.trained * share))
        yield Way("--lora_rank 8", total(small))
    if longest > _SHORTEST:
        short = replace(load, slots=load.slots // 2, targets=load.targets // 2, longest=load.longest // 2)
        yield Way(f"--max_length {longest // 2} (longer rows are lost or cut)", total(load=short))
