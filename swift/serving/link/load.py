"""What the host loads by default. Only the host imports this: it brings torch."""

from __future__ import annotations

from swift.engines.base import Live
from swift.engines.lanes import Limits
from swift.engines.load import load_live
from swift.serving.link.wire import HostPlan


def load(plan: HostPlan) -> Live:
    """The live engine over transformers.

    Raises:
        SwiftError: The model or an adapter cannot be used.
    """
    limits = Limits(tokens=plan.max_batch_tokens, rows=plan.max_batch_size)
    return load_live(plan.plan, limits=limits, merge_lora=plan.merge_lora, hot=plan.hot)
