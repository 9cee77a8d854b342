"""Attention of some rows over keys and values: how it is computed, whatever asks for it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Rules:
    """What an architecture's attention is, besides a softmax of products.

    Attributes:
        scale: Multiplies the products.
        softcap: Scores become `softcap * tanh(score / softcap)`.
        sinks: [heads], a learned score per head that takes part in the softmax only.
    """

    scale: float
    softcap: float | None
    sinks: Tensor | None

    @property
    def plain(self) -> bool:
        """Whether torch's own attention does it."""
        return self.softcap is None and self.sinks is None


def causal_mask(query: Tensor, key: Tensor, mask: Tensor | None) -> Tensor:
    """The mask as it is; where there is none, each token sees those before it."""
    if mask is not None:
        return mask
    new, width = query.shape[2], key.shape[2]
    return torch.ones((new, width), dtype=torch.bool, device=query.device).tril_(width - new)[None, None]


def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, rules: Rules) -> Tensor:
    """[rows, heads, tokens, size] over [rows, heads or fewer, width, size]."""
    if rules.plain:
        return _grouped(query, key, value, allowed, rules.scale)
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    scores = (query @ key.transpose(-1, -2)).float() * rules.scale
    if rules.softcap is not None:
        scores = rules.softcap * torch.tanh(scores / rules.softcap)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    if rules.sinks is not None:
        sinks = rules.sinks.float().view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        scores = torch.cat((scores, sinks), dim=-1)
    weights = scores.softmax(-1)[..., : key.shape[2]]
    return weights.to(value.dtype) @ value


def _grouped(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scale: float) -> Tensor:
    """The same, where heads that share keys stand as more tokens of one head: each key is then read once, not for each.

    On a CPU this makes a step of many rows several times as fast as kernels that repeat keys, or read them so.
    """
    rows, heads, tokens, size = query.shape
    shared = key.shape[1]
    groups = heads // shared
    query = query.reshape(rows, shared, groups * tokens, size)
    if allowed is not None and tokens > 1:
        allowed = allowed.expand(rows, groups, tokens, -1).reshape(rows, 1, groups * tokens, -1)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, scale=scale)
    return output.reshape(rows, heads, tokens, value.shape[-1])
