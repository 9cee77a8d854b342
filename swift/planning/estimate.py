"""The memory plan of a run: what the trainer decides gradient checkpointing and the dry step by."""

from __future__ import annotations

from torch import nn

from swift.config.sft import SftConfig
from swift.data.order import accumulation_of
from swift.data.slices import slice_limit
from swift.losses.linear_cross_entropy import chunk_rows
from swift.models.device import resolve_device
from swift.planning.memory import Load, MemoryPlan, ModelShape, plan_memory
from swift.planning.shape import shape_of, training_of

_HOLES = {"cpu": 0.75}
"""What the allocator wastes, as a share of the activations, by device. On the CPU this was measured: activations lie
between buffers that are freed at once, and glibc's heap cannot give such holes back, nor always fill them again."""

_OTHER_HOLES = 0.1  # torch's caching allocators, which keep blocks by size

AMPLE = 0.6
"""A plan that takes less than this share of the memory needs no trial."""

TIGHT = 0.9
"""A plan that takes more than this share of the memory may fail: the estimate is good to about a fifth."""


def memory_plan(
    config: SftConfig,
    model: nn.Module,
    *,
    slots: int,
    targets: int,
    longest: int,
    padding_free: bool,
    gradient_checkpointing: bool | None = None,
    overhead: int = 0,
    stored: int | None = None,
) -> MemoryPlan:
    """The memory that training takes at its peak.

    Args:
        config: The run.
        model: With its tuner in place; real, or on the meta device.
        slots: Tokens of the largest micro-batch, padding included; of its largest slice only where it is cut.
        targets: Trained tokens in it.
        longest: Length of its longest sequence.
        padding_free: Whether samples lie back to back; scores that are kept then span the whole row.
        gradient_checkpointing: Default: what the configuration says; off where it says nothing.
        overhead: Bytes that are there before the model is.
        stored: As for `shape_of`.
    """
    if gradient_checkpointing is None:
        gradient_checkpointing = bool(config.loop.gradient_checkpointing)
    shape = shape_of(model, stored)
    load = load_of(config, shape, slots=slots, targets=targets, longest=longest, padding_free=padding_free)
    training = training_of(model, config, gradient_checkpointing=gradient_checkpointing)
    return plan_memory(shape, training, load, overhead=overhead, holes=holes_of(config))


def holes_of(config: SftConfig) -> float:
    """What the allocator of the run's device wastes, as a share of the activations."""
    return _HOLES.get(resolve_device(config.model.device).type, _OTHER_HOLES)


def load_of(
    config: SftConfig, shape: ModelShape, *, slots: int, targets: int, longest: int, padding_free: bool
) -> Load:
    """The largest slice of a micro-batch as the formulas want it; see `memory_plan`."""
    device = resolve_device(config.model.device)
    limit = slice_limit(config.batch.slice_tokens, device)
    at_once = slots if limit is None else min(slots, max(limit, longest))
    return Load(
        slots=at_once,
        targets=min(targets, at_once),
        longest=at_once if padding_free else longest,
        logits_chunk=chunk_rows(shape.vocab, device, trained=config.tuner.type != "lora"),
        score_matrix=config.model.attention == "eager",
        accumulates=at_once < slots or _accumulates(config),
    )


def _accumulates(config: SftConfig) -> bool:
    batch = config.batch
    if batch.packing or batch.max_tokens is not None:
        return batch.accumulation != 1
    return accumulation_of(batch, 0, 0) > 1
