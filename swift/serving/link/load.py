"""What the host loads by default. Only the host imports this: it brings torch."""

from __future__ import annotations

from swift.engines.base import Live
from swift.engines.encoding.open import load_any_live
from swift.engines.lanes import Limits
from swift.serving.link.wire import HostPlan


def load(plan: HostPlan) -> Live:
    """The live engine over transformers.

    Raises:
        SwiftError: The model or an adapter cannot be used.
    """
    limits = Limits(tokens=plan.max_batch_tokens, rows=plan.max_batch_size)
    return load_any_live(
        plan.plan,
        plan.encoding,
        limits=limits,
        merge_lora=plan.merge_lora,
        longest=plan.prompt_tokens,
        strict=not plan.special_tokens,
    )
