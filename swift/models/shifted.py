"""Shifted sparse attention of LongLoRA (arXiv 2309.12307, section 3.2), over samples that lie back to back.

While training, half of the heads attend within groups of a sample; the other half within groups that are shifted by
half a group, so that what groups know spreads. The paper turns the row round to make the last shifted group, which
lets its tokens see the row's end; here the ends are groups of their own. In evaluation it is plain attention.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from swift.models.attention import packed_attention

SHIFTED = "swift_shifted"
"""Name under which the attention is registered with transformers."""


def register_shifted_attention(ratio: float) -> str:
    """Make `SHIFTED` known to transformers, with groups of this share of a sample, and return it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    from swift.models.attention import packed_mask

    AttentionInterface.register(SHIFTED, partial(shifted_attention, ratio=ratio))
    AttentionMaskInterface.register(SHIFTED, packed_mask)
    return SHIFTED


def shifted_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    ratio: float,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """As `packed_attention`, in groups where the module is in training.

    Args:
        ratio: Length of a group as a share of its sample.
    """
    if not module.training or cu_seq_lens_q is None:
        return packed_attention(
            module, query, key, value, attention_mask, cu_seq_lens_q=cu_seq_lens_q, max_length_q=max_length_q, **options
        )
    repeated = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(repeated, dim=1), value.repeat_interleave(repeated, dim=1)
    half = query.shape[1] // 2
    parts = []
    for heads, shift in ((slice(0, half), False), (slice(half, None), True)):
        edges = group_edges(cu_seq_lens_q.tolist(), ratio, shift=shift)
        boundaries = torch.tensor(edges, dtype=torch.int32, device=query.device)
        longest = max(b - a for a, b in pairwise(edges))
        part, _ = packed_attention(
            module,
            query[:, heads],
            key[:, heads],
            value[:, heads],
            attention_mask,
            cu_seq_lens_q=boundaries,
            max_length_q=longest,
            **options,
        )
        parts.append(part)
    return torch.cat(parts, dim=2), None


def group_edges(edges: list[int], ratio: float, *, shift: bool) -> list[int]:
    """Where groups begin and end: multiples of the group's length in each sample, or half a group further."""
    found = []
    for begin, end in pairwise(edges):
        group = max(1, round((end - begin) * ratio))
        first = begin + group // 2 if shift and group > 1 else begin + group
        found += [begin, *range(first, end, group)]
    return [*found, edges[-1]]
