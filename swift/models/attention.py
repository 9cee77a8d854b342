"""Attention over samples that lie back to back in one row, each seeing only itself.

Registered with transformers' attention interface under the name `PACKED`, so that every architecture that
goes through that interface can train without padding. Sample boundaries arrive as `cu_seq_lens_q`, the
keyword that transformers defines for this purpose. A forward pass without them treats each row as one sample.

Three kernels, chosen by what the call needs:

- CUDA, 16 bit, plain causal or windowed: `torch.nn.attention.varlen` (FlashAttention-2, arXiv 2307.08691);
- CPU, plain causal: torch's flash forward and a tiled backward of ours (`swift.models.causal_attention`);
- everything else (soft caps, attention sinks, dropout, unequal head sizes): written out, sample by sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swift.models.causal_attention import causal_attention, causal_attention_op, spans_of

PACKED = "swift_packed"
"""Name under which the attention is registered with transformers."""


def register_packed_attention() -> str:
    """Make `PACKED` known to transformers (idempotent) and return it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, packed_mask)
    return PACKED


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    cu_seq_lens_q: Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sample; the signature is transformers' attention interface.

    Args:
        query: [rows, heads, length, head size]; keys and values may have fewer heads.
        attention_mask: Only given for padded rows; then boundaries must be absent.
        sliding_window: How many positions back, itself included, a token sees.
        softcap: Scores become `softcap * tanh(score / softcap)`.
        s_aux: [heads], a learned score per head that takes part in the softmax only (attention sink).
        cu_seq_lens_q: int32 [samples + 1], sample starts and the total length, for a single row.

    Returns:
        [rows, length, heads, value head size], and no attention weights.
    """
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    plain = attention_mask is None and s_aux is None and softcap is None and dropout == 0.0
    if plain and query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and cu_seq_lens_q is not None:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scale, sliding_window), None
    if not torch.compiler.is_compiling():
        call = _by_sample
    elif plain and sliding_window is None and _is_ours(query, value):
        return causal_attention_op(query, key, value, cu_seq_lens_q, scale), None
    else:
        call = _outside_of_graphs
    return call(query, key, value, attention_mask, cu_seq_lens_q, scale, dropout, sliding_window, softcap, s_aux), None


def _by_sample(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    boundaries: Tensor | None,
    scale: float,
    dropout: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Each sample by itself, or with others like it."""
    if mask is not None or sinks is not None or softcap is not None or dropout > 0.0:
        spans = _spans(boundaries, query) if mask is None else [(0, query.shape[2])]
        parts = [_written_out(query, key, value, mask, span, scale, dropout, window, softcap, sinks) for span in spans]
        return torch.cat(parts, dim=2).transpose(1, 2).contiguous()
    spans = _spans(boundaries, query)
    windowed = window is not None and any(end - begin > window for begin, end in spans)
    trains = torch.is_grad_enabled() and query.requires_grad
    if _is_ours(query, value) and not windowed and (trains or boundaries is not None):
        return causal_attention(query, key, value, spans, scale)
    outputs = [
        _one_sample(query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], scale, window)
        for begin, end in spans
    ]
    return torch.cat(outputs, dim=2).transpose(1, 2).contiguous()  # architectures take it as one block of memory


_outside_of_graphs: Callable[..., Tensor] = torch.compiler.disable(_by_sample)
"""Where samples begin is another thing in every batch, and would make another graph of it."""


def _is_ours(query: Tensor, value: Tensor) -> bool:
    """Whether plain attention is that of `swift.models.causal_attention`."""
    return query.device.type == "cpu" and query.shape[-1] == value.shape[-1]


def _one_sample(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """Plain causal attention of one sample in each row."""
    if window is not None and q.shape[2] > window:
        mask = _window_mask(q.shape[2], window, q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True)


def packed_mask(attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """No mask for packed rows (boundaries say it all); for padded rows the one that sdpa would get."""
    from transformers.masking_utils import sdpa_mask

    if attention_mask is None:
        return None
    kwargs["allow_is_causal_skip"] = False
    mask: Tensor | None = sdpa_mask(attention_mask=attention_mask, **kwargs)
    return mask


def _spans(boundaries: Tensor | None, query: Tensor) -> list[tuple[int, int]]:
    if boundaries is None:
        return [(0, query.shape[2])]
    return spans_of(boundaries)


def _window_mask(length: int, window: int, device: torch.device) -> Tensor:
    """bool [length, length]: True where a query may look."""
    positions = torch.arange(length, device=device)
    distance = positions[:, None] - positions[None, :]
    return (distance >= 0) & (distance < window)


def _written_out(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    span: tuple[int, int],
    scale: float,
    dropout: float,
    window: int | None,
    softcap: float | None,
    sinks: Tensor | None,
) -> Tensor:
    """Attention by its definition, in float32 where it matters, for one sample of each row."""
    q, k, v = (t[:, :, span[0] : span[1]] for t in (query, key, value))
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
    scores = (q @ k.transpose(-1, -2)).float() * scale
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    length = q.shape[2]
    allowed = _window_mask(length, window or length, q.device) if attention_mask is None else attention_mask
    if allowed.dtype == torch.bool:
        scores = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min)
    else:
        scores = scores + allowed
    if sinks is not None:
        column = sinks.float().view(1, -1, 1, 1).expand(*scores.shape[:-1], 1)
        weights = torch.softmax(torch.cat((scores, column), dim=-1), dim=-1)[..., :-1]
    else:
        weights = torch.softmax(scores, dim=-1)
    weights = F.dropout(weights, dropout, training=dropout > 0.0)
    return weights.to(v.dtype) @ v


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor, longest: int | None, scale: float, window: int | None
) -> Tensor:
    """FlashAttention over all samples in one kernel; [1, heads, length, size] in, [1, length, heads, size] out."""
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (t[0].transpose(0, 1).contiguous() for t in (query, key, value))
    if longest is None:
        longest = int((boundaries[1:] - boundaries[:-1]).max())
    look_back = -1 if window is None else window - 1
    output = varlen_attn(
        q,
        k,
        v,
        boundaries,
        boundaries,
        longest,
        longest,
        scale=scale,
        window_size=(look_back, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(output, Tensor)
    return output[None]
