"""Whether the largest micro-batch fits into memory: estimated before the first step, and tried where it is close."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch

from swift.batch import Batch
from swift.config.sft import SftConfig
from swift.data.feed import MapFeed
from swift.data.slices import slice_limit
from swift.errors import ResourceError
from swift.models.compiled import compiling
from swift.models.quantize.size import weight_bytes
from swift.planning.available import available_memory, process_memory
from swift.planning.estimate import AMPLE, TIGHT, memory_plan
from swift.planning.memory import MemoryPlan
from swift.train.parallel.place import Place
from swift.train.prepare_model import Prepared, checkpoint_activations
from swift.train.rng import capture, restore
from swift.train.run import Run

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Fit:
    """What was decided.

    Attributes:
        plan: The estimate for the largest micro-batch; None when streaming, where no batch is known yet.
        memory: Bytes there are, what the process already has included.
        checkpointing: Whether activations are computed again in the backward pass.
        tight: The estimate takes most of the memory, whatever was decided.
        trial: Whether the largest micro-batch runs first, without an update.
    """

    plan: MemoryPlan | None
    memory: int
    checkpointing: bool
    tight: bool
    trial: bool

    def __str__(self) -> str:
        where = "" if not self.checkpointing else ", activations are computed again in the backward pass"
        if self.plan is None:
            return f"{self.memory / _GIB:,.1f} GiB there{where}"
        told = f"about {self.plan.total / _GIB:,.1f} GiB of {self.memory / _GIB:,.1f} GiB{where}"
        return f"{told}; it may not fit: `swift plan` shows ways out" if self.tight else told


def make_fit(config: SftConfig, prepared: Prepared, feed: object, device: torch.device, place: Place) -> Fit:
    """Estimate, and switch gradient checkpointing on where memory needs it and the user left it open."""
    wanted = config.loop.gradient_checkpointing
    loaded = weight_bytes(prepared.policy.model)
    # The plan counts the weights, which are loaded by now; what else the process holds comes on top.
    overhead = max(0, process_memory() - loaded) if device.type == "cpu" else 0
    free = available_memory(device)
    # What is left of main memory is for all processes of this machine, which have loaded their weights by now too.
    memory = (free // place.local_size if device.type == "cpu" else free) + loaded + overhead
    if not isinstance(feed, MapFeed):
        return Fit(None, memory, bool(wanted), False, bool(config.loop.dry_step))
    batch = feed.largest(slice_limit(config.batch.slice_tokens, device))
    plan = _estimate(config, prepared, batch, checkpointing=bool(wanted), overhead=overhead)
    model = prepared.base
    if wanted is None and plan.total > TIGHT * memory and model.supports_gradient_checkpointing:
        checkpoint_activations(model)
        wanted = True
        plan = _estimate(config, prepared, batch, checkpointing=True, overhead=overhead)
    # Activations that are moved out of the device's memory have to fit somewhere, too.
    moved = plan.moved is not None and plan.moved > TIGHT * available_memory(torch.device("cpu")) // place.local_size
    # Layers are compiled in it, so that it is known whether they can be before the first step.
    open_to = plan.total > AMPLE * memory or prepared.compiled > 0
    trial = open_to if config.loop.dry_step is None else config.loop.dry_step
    return Fit(plan, memory, bool(wanted), plan.total > TIGHT * memory or moved, trial)


def _estimate(config: SftConfig, prepared: Prepared, batch: Batch, *, checkpointing: bool, overhead: int) -> MemoryPlan:
    padding_free = prepared.layout.padding_free
    return memory_plan(
        config,
        prepared.policy.model,
        slots=batch.slots,
        targets=batch.count,
        longest=_longest(batch),
        padding_free=padding_free,
        gradient_checkpointing=checkpointing,
        overhead=overhead,
    )


def _longest(batch: Batch) -> int:
    if batch.boundaries is None:
        return int(batch.input_ids.shape[1])
    return max(b - a for a, b in zip(batch.boundaries[:-1], batch.boundaries[1:], strict=True))


def dry_step(run: Run) -> None:
    """Forward and backward of the largest slice of a micro-batch; weights and random numbers stay as they are.

    Raises:
        ResourceError: It does not fit.
        ModelError: Layers that were to be compiled were not.
    """
    assert isinstance(run.feed, MapFeed)
    own = None if run.parallel.size == 1 else run.device
    tensors, values = capture(own)
    batch = run.feed.largest(run.slice_tokens)
    run.policy.model.train()
    try:
        with run.saving(), compiling() if run.config.loop.compile_blocks else nullcontext():
            loss = run.objective(run.policy, batch.to(run.device))
        run.optimizer.backward(loss.total / batch.count, update=False)
    except torch.OutOfMemoryError as error:
        raise out_of_memory(batch) from error
    finally:
        run.optimizer.zero_grad()
        restore(tensors, values, own)


def out_of_memory(batch: Batch) -> ResourceError:
    """What to tell when the device had no memory left for `batch`."""
    return ResourceError(
        f"out of memory with {batch.slots:,} tokens in {len(batch.origins)} sequence(s), the longest of "
        f"{_longest(batch):,} tokens ({batch.origins[0]} and on)",
        hint="try a smaller --max_tokens_per_slice, --gradient_checkpointing true or a smaller --max_length; "
        "`swift plan` shows what each would take",
    )
