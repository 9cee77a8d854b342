"""`swift plan`: from a configuration to what it needs, and whether that is there."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from rich.console import Console

from swift.chat.codec import Codec
from swift.config.looks import PlanConfig
from swift.data.ledger import Ledger
from swift.data.plugins import load_plugins
from swift.data.prepare import prepare_rows
from swift.data.slices import slice_limit
from swift.hub import Located
from swift.models.load import load_config, load_tokenizer, resolve_device
from swift.models.locate import locate_model
from swift.planning.advice import Way, ways_out
from swift.planning.available import available_memory, process_memory
from swift.planning.codec import run_codec
from swift.planning.estimate import holes_of, load_of, memory_plan
from swift.planning.largest import LargestBatch, from_lengths, from_limits
from swift.planning.memory import ModelShape, Training
from swift.planning.shape import shape_of, training_of
from swift.planning.skeleton import require_trainable, skeleton, stored_bytes
from swift.planning.storage import checkpoint_bytes, checkpoints_at_once, free_space
from swift.planning.terminal import GIB, Estimate, show

_CONTEXT = 600 * 1024**2
"""What a CUDA context and the libraries' workspaces take on the device."""


def plan(config: PlanConfig) -> int:
    """Print what the run needs. Only configuration and tokenizer are downloaded.

    Returns:
        0 where it fits; 2 where it does not, after a line `error:`.

    Raises:
        SwiftError: A file, model or option that cannot be used at all.
    """
    load_plugins(config.loop.plugins)
    device = resolve_device(config.model.device)
    located = locate_model(config.model, weights=False)
    found = estimate(config, located, device)
    show(found, Console(highlight=False, soft_wrap=True))
    for message, hint in found.problems:
        print(f"error: {message}", file=sys.stderr)
        print(f"hint: {hint}", file=sys.stderr)
    return 2 if found.problems else 0


def estimate(config: PlanConfig, located: Located, device: torch.device) -> Estimate:
    """All that is planned."""
    hf_config = load_config(located, trust_remote_code=config.model.trust_remote_code)
    require_trainable(config, located.id, hf_config, device)
    model = skeleton(config, located, device)
    stored = stored_bytes(config, located, device)
    largest = largest_batch(config, _codec(config, located))
    padding_free = config.batch.padding_free is not False
    overhead = process_memory() if device.type == "cpu" else _CONTEXT
    plain, checkpointed = (
        memory_plan(
            config,
            model,
            slots=largest.slots,
            targets=largest.targets,
            longest=largest.longest,
            padding_free=padding_free,
            gradient_checkpointing=on,
            overhead=overhead,
            stored=stored,
        )
        for on in (False, True)
    )
    shape = shape_of(model, stored)
    training = training_of(model, config, gradient_checkpointing=bool(config.loop.gradient_checkpointing))
    return Estimate(
        config=config,
        model=located.id,
        device=str(device),
        parameters=shape.parameters,
        training=training,
        largest=largest,
        plain=plain,
        checkpointed=checkpointed,
        memory=_memory(config, device),
        ways=tuple(_ways(config, shape, training, largest, overhead)),
        checkpoint=checkpoint_bytes(shape, training, config.checkpoint),
        checkpoints=checkpoints_at_once(config.checkpoint, largest.steps),
        free=free_space(Path(config.output_dir)),
    )


def _ways(config: PlanConfig, shape: ModelShape, training: Training, largest: LargestBatch, overhead: int) -> list[Way]:
    load = load_of(
        config,
        shape,
        slots=largest.slots,
        targets=largest.targets,
        longest=largest.longest,
        padding_free=config.batch.padding_free is not False,
    )
    return ways_out(
        shape,
        training,
        load,
        overhead=overhead,
        longest=largest.longest,
        holes=holes_of(config),
        accelerator=resolve_device(config.model.device).type != "cpu",
    )


def largest_batch(config: PlanConfig, codec: Codec) -> LargestBatch:
    """From the rows, or, where they are streamed, from the limits.

    Raises:
        DataError: No row is left to train on.
    """
    if config.data.streaming or not config.data.train:
        return from_limits(config, codec.max_length)
    data = config.data.model_copy(update={"on_error": "drop"})
    rows = prepare_rows(config.model_copy(update={"data": data}), codec, Ledger())
    sequences = rows.store.sequences_in_order(rows.selection.train)
    return from_lengths(
        rows.store.lengths[sequences],
        rows.store.targets[sequences],
        config,
        max_length=codec.max_length,
        padding_free=config.batch.padding_free is not False,
        slice_tokens=slice_limit(config.batch.slice_tokens, resolve_device(config.model.device)),
    )


def _codec(config: PlanConfig, located: Located) -> Codec:
    trust = config.model.trust_remote_code
    tokenizer = load_tokenizer(located, trust_remote_code=trust)
    model_config = load_config(located, trust_remote_code=trust)
    return run_codec(config, located, tokenizer, model_config)


def _memory(config: PlanConfig, device: torch.device) -> int:
    """Bytes that the run may take in all."""
    if config.device_memory is not None:
        return int(config.device_memory * GIB)
    # What this process has now would be the run's.
    return available_memory(device) + (process_memory() if device.type == "cpu" else 0)
