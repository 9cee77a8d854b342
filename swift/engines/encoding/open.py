"""The engine for whatever a model does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from swift.config.encoding import EncodingConfig
from swift.config.engine import EngineConfig, TransformersConfig
from swift.engines.base import Live
from swift.engines.driver import Driver
from swift.engines.encoding.engine import EncoderEngine, no_later_adapters
from swift.engines.encoding.load import Found, find, load_encoder
from swift.engines.encoding.remote import RemoteEncoder, connect_encoder
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_live

Encoder = EncoderEngine | RemoteEncoder
"""What gives numbers: a model in this process, or a server."""


@contextmanager
def opened_encoder(
    engine: EngineConfig, plan: Plan, options: EncodingConfig, *, limits: Limits, merge_lora: bool, found: Found
) -> Iterator[Encoder]:
    """The engine that a configuration asks for, until the end of the block.

    Args:
        engine: Which one.
        plan: The model.
        options: What it is used for.
        limits: Batch limits, in this process.
        merge_lora: Merge the adapter into the weights, in this process.
        found: What its files say.

    Raises:
        SwiftError: It cannot be had.
    """
    if isinstance(engine, TransformersConfig):
        yield load_encoder(plan, options, limits=limits, merge_lora=merge_lora, found=found)
        return
    remote = connect_encoder(engine, plan, options)
    try:
        yield remote
    finally:
        remote.close()


def load_any_live(
    plan: Plan,
    options: EncodingConfig,
    *,
    limits: Limits,
    merge_lora: bool = False,
    longest: int | None = None,
    strict: bool = False,
    hot: bool = False,
) -> Live:
    """A live engine: one that answers, or one that gives vectors, labels or scores.

    Args:
        plan: What to load.
        options: What it is used for; `auto` is what the checkpoint says.
        limits: Batch limits.
        merge_lora: Merge the adapter into the weights.
        longest: Tokens that a prompt for numbers may have at most.
        strict: Refuse special tokens in pairs that are shown as a chat.
        hot: Adapters can be loaded and unloaded later; only of models that answer.

    Raises:
        SwiftError: The model or an adapter cannot be used.
    """
    found = None if options.task == "generate" else find(plan, options)
    if found is None or found.task == "generate":
        return load_live(plan, limits=limits, merge_lora=merge_lora, hot=hot)
    if hot:
        raise no_later_adapters()
    engine = load_encoder(
        plan,
        options,
        limits=replace(limits, live=True),
        merge_lora=merge_lora,
        found=found,
        longest=longest,
        strict=strict,
    )
    return Driver(engine)
