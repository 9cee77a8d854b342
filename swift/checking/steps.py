"""What an epoch costs in optimizer steps, and how much of it is padding."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from swift.checking.findings import Fact
from swift.config.sft import SftConfig
from swift.data.order import plan_epoch, slots
from swift.data.pack import best_fit


def step_facts(lengths: NDArray[np.int32], config: SftConfig, max_length: int) -> tuple[Fact, ...]:
    """Steps, micro-batches, padding and packing, for sequences of these lengths in the order of the selection.

    Whether a model can do without padding is proved when it is loaded; here it counts as able unless the
    configuration says otherwise.

    Raises:
        ConfigError: Packing, and padding-free batches are switched off.
    """
    padding_free = config.batch.padding_free is not False
    sizes = lengths.astype(np.int64)
    plan = plan_epoch(lengths, config.batch, config.data, max_length=max_length, epoch=0, padding_free=padding_free)
    taken = [slots(sizes[indices], padding_free=padding_free) for indices in plan.micro_batches]
    total = config.loop.max_steps or max(1, math.ceil(config.loop.epochs * plan.steps))
    facts = [
        ("steps per epoch", f"{plan.steps:,}"),
        (
            "steps of the run",
            f"{total:,}" + (" (max_steps)" if config.loop.max_steps else f" ({config.loop.epochs:g} epochs)"),
        ),
        (
            "micro-batches",
            f"{len(plan.micro_batches):,} an epoch, {plan.accumulation} to a step, the largest {max(taken):,} tokens",
        ),
    ]
    if not padding_free:
        facts.append(("padding", f"{1 - sizes.sum() / sum(taken):.1%} of all slots"))
    packs = len(best_fit(sizes, max_length))
    filled = f"{sizes.sum() / (packs * max_length):.1%} full ({packs:,} packs of {max_length:,})"
    facts.append(("packing", filled if config.batch.packing else f"off; with --packing, packs would be {filled}"))
    return tuple(facts)
