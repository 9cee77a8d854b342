"""What the host loads by default. Only the host imports this: it brings torch."""

from __future__ import annotations

from swift.engines.base import Live
from swift.engines.open import open_live
from swift.serving.link.wire import HostPlan


def load(plan: HostPlan) -> Live:
    """The engine that is configured, in this process or behind it.

    Raises:
        SwiftError: The model, an adapter or the engine cannot be used.
    """
    return open_live(
        plan.engine,
        plan.plan,
        max_tokens=plan.max_batch_tokens,
        max_rows=plan.max_batch_size,
        max_length=plan.max_length,
        merge_lora=plan.merge_lora,
        hot=plan.hot,
    )
