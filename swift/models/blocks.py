"""The model's own attention mask, cut into blocks of one sample each, for rows of samples that lie back to back.

For architectures whose mask is more than causal: those in which the tokens of a picture see each other both ways.
transformers tells samples apart by their positions, and then looks such tokens up at the wrong places (5.24). So the
mask is made as for one long sample, and what lies between samples is taken away from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

BLOCKS = "swift_blocks"
"""Name under which the attention and its mask are registered with transformers."""

_boundaries: ContextVar[tuple[int, ...] | None] = ContextVar("boundaries", default=None)


def register_block_attention() -> str:
    """Make `BLOCKS` known to transformers (idempotent) and return it."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    AttentionInterface.register(BLOCKS, sdpa_attention_forward)
    AttentionMaskInterface.register(BLOCKS, _block_mask)
    return BLOCKS


@contextmanager
def in_blocks(boundaries: tuple[int, ...] | None) -> Iterator[None]:
    """Masks that are made inside are cut at these boundaries: mask functions cannot be given more arguments."""
    token = _boundaries.set(boundaries)
    try:
        yield
    finally:
        _boundaries.reset(token)


def _block_mask(mask_function: Any = None, **kwargs: Any) -> Tensor | None:
    """As sdpa would get it, less what lies between samples."""
    from transformers.masking_utils import and_masks, causal_mask_function, sdpa_mask

    function = causal_mask_function if mask_function is None else mask_function
    edges = _boundaries.get()
    if edges is None:
        plain: Tensor | None = sdpa_mask(mask_function=function, **kwargs)
        return plain
    lengths = torch.tensor(edges).diff()
    number = torch.repeat_interleave(torch.arange(len(lengths)), lengths).to(kwargs.get("device") or "cpu")

    def same_sample(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return number[query] == number[key]

    kwargs["allow_is_causal_skip"] = False
    kwargs["attention_mask"] = None  # every token is real
    mask: Tensor | None = sdpa_mask(mask_function=and_masks(function, same_sample), **kwargs)
    return mask
