"""The largest micro-batch of a run, from the lengths of its sequences or from its limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swift.config.sft import SftConfig
from swift.data.order import plan_epoch, slots, slots_at_once


@dataclass(frozen=True, slots=True)
class LargestBatch:
    """What decides the peak.

    Attributes:
        slots: Its tokens, padding included.
        targets: Tokens trained on.
        longest: Its longest sequence.
        steps: Optimizer steps of the whole run; None where rows are not counted and no number is given.
        origin: Where the numbers come from, in words.
    """

    slots: int
    targets: int
    longest: int
    steps: int | None
    origin: str


def from_lengths(
    lengths: NDArray[np.int32],
    targets: NDArray[np.int32],
    config: SftConfig,
    *,
    max_length: int,
    padding_free: bool,
    slice_tokens: int | None = None,
) -> LargestBatch:
    """The micro-batch of the first epoch of which the most slots go through the model at once.

    Args:
        lengths: [n] tokens of each sequence, in the order of the selection.
        targets: [n] trained tokens of each.
        slice_tokens: Of a slice of a micro-batch; None where it goes through the model whole.
    """
    plan = plan_epoch(lengths, config.batch, config.data, max_length=max_length, epoch=0, padding_free=padding_free)
    sizes = lengths.astype(np.int64)
    taken = [slots_at_once(sizes[each], slice_tokens, padding_free=padding_free) for each in plan.micro_batches]
    number = int(np.argmax(taken))
    largest = plan.micro_batches[number]
    return LargestBatch(
        slots=slots(sizes[largest], padding_free=padding_free),
        targets=int(targets[largest].sum()),
        longest=int(sizes[largest].max()),
        steps=config.loop.max_steps or max(1, math.ceil(config.loop.epochs * plan.steps)),
        origin=f"the largest of {len(plan.micro_batches):,} micro-batches of your rows",
    )


def from_limits(config: SftConfig, max_length: int) -> LargestBatch:
    """As large as a micro-batch may get, every token trained on: for rows that are not counted."""
    tokens = config.batch.max_tokens or config.batch.size * max_length
    if config.batch.packing:
        tokens = config.batch.size * max_length
    return LargestBatch(
        slots=tokens,
        targets=tokens,
        longest=min(max_length, tokens),
        steps=config.loop.max_steps,
        origin="as large as the limits allow: rows are not counted",
    )
