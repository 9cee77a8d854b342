"""What the host loads by default. Only the host imports this: it brings torch."""

from __future__ import annotations

from swift.config.engine import TransformersConfig
from swift.engines.base import Live
from swift.engines.encoding.open import load_any_live
from swift.engines.encoding.remote import connect_encoder
from swift.engines.lanes import Limits
from swift.engines.open import open_remote
from swift.serving.link.wire import HostPlan


def load(plan: HostPlan) -> Live:
    """The engine that is configured, in this process or behind it.

    Raises:
        SwiftError: The model, an adapter or the engine cannot be used.
    """
    if not isinstance(plan.engine, TransformersConfig):
        if plan.encoding.task not in ("auto", "generate"):
            return connect_encoder(plan.engine, plan.plan, plan.encoding, longest=plan.prompt_tokens)
        return open_remote(plan.engine, plan.plan, merge_lora=plan.merge_lora, max_length=plan.max_length)
    return load_any_live(
        plan.plan,
        plan.encoding,
        limits=Limits(tokens=plan.max_batch_tokens, rows=plan.max_batch_size, length=plan.max_length),
        merge_lora=plan.merge_lora,
        longest=plan.prompt_tokens,
        strict=not plan.special_tokens,
        hot=plan.hot,
    )
