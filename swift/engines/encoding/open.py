"""The engine for whatever a model does."""

from __future__ import annotations

from dataclasses import replace

from swift.config.encoding import EncodingConfig
from swift.engines.base import Live
from swift.engines.driver import Driver
from swift.engines.encoding.engine import no_later_adapters
from swift.engines.encoding.load import find, load_encoder
from swift.engines.folders import Plan
from swift.engines.lanes import Limits
from swift.engines.load import load_live


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
