"""Attention over samples that lie back to back in one row, each seeing only itself.

Registered with transformers' attention interface under the name `PACKED`, so that every architecture that
goes through that interface can train without padding. Sample boundaries arrive as `cu_seq_lens_q`, the
keyword that transformers defines for this purpose. A forward pass without them treats each row as one sample.

Three kernels, chosen by what the call needs:

- CUDA, 16 bit, plain causal or windowed: `torch.nn.attention.varlen` (FlashAttention-2, arXiv 2307.08691);
- CPU, plain causal: torch's flash forward and a tiled backward of ours, `_CausalAttention`, short samples together;
- everything else (soft caps, attention sinks, dropout, unequal head sizes): written out, sample by sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED = "swift_packed"
"""Name under which the attention is registered with transformers."""

_TILE = 128  # query rows per tile of the backward pass: large enough for matrix products, few keys after the diagonal
_SHORT = 64  # samples up to this length are computed together: for longer ones calls cost little
_STRETCH = 1.3  # such samples are at most so much longer than the shortest


def register_packed_attention() -> str:
    """Make `PACKED` known to transformers (idempotent) and return it."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, _packed_mask)
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
    if attention_mask is not None or s_aux is not None or softcap is not None or dropout > 0.0:
        spans = _spans(cu_seq_lens_q, query) if attention_mask is None else [(0, query.shape[2])]
        parts = [
            _written_out(query, key, value, attention_mask, span, scale, dropout, sliding_window, softcap, s_aux)
            for span in spans
        ]
        return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None
    if query.is_cuda and query.dtype in (torch.float16, torch.bfloat16) and cu_seq_lens_q is not None:
        return _varlen(query, key, value, cu_seq_lens_q, max_length_q, scale, sliding_window), None
    spans = _spans(cu_seq_lens_q, query)
    windowed = sliding_window is not None and any(end - begin > sliding_window for begin, end in spans)
    together = cu_seq_lens_q is not None or (torch.is_grad_enabled() and query.requires_grad)
    if query.device.type == "cpu" and query.shape[-1] == value.shape[-1] and together and not windowed:
        output: Tensor = _CausalAttention.apply(query, key, value, spans, scale)
        return output, None
    outputs = [
        _one_sample(query[:, :, begin:end], key[:, :, begin:end], value[:, :, begin:end], scale, sliding_window)
        for begin, end in spans
    ]
    whole = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=2)
    return whole.transpose(1, 2).contiguous(), None  # architectures take it as one block of memory


def _one_sample(q: Tensor, k: Tensor, v: Tensor, scale: float, window: int | None) -> Tensor:
    """Plain causal attention of one sample in each row."""
    if window is not None and q.shape[2] > window:
        mask = _window_mask(q.shape[2], window, q.device)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale, enable_gqa=True)
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale, enable_gqa=True)


def _packed_mask(attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
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
    edges = boundaries.tolist()
    return list(pairwise(edges))


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


class _CausalAttention(torch.autograd.Function):
    """Causal attention on the CPU, of samples that lie back to back.

    The forward is torch's own flash kernel. Its backward kernel is slow on CPUs, so the backward is written
    here as matrix products over tiles of query rows, recomputing the probabilities from the saved log-sum-exp
    (FlashAttention-2, arXiv 2307.08691, section 3.1); tiles skip the keys that come after them. Samples of similar
    length are computed together, filled up at their ends, which no token before sees.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, spans: list[tuple[int, int]], scale: float
    ) -> Tensor:
        rows, heads, length, size = query.shape
        output = query.new_empty(rows, length, heads, size)
        sums = []
        groups = _groups(tuple(spans)) if rows == 1 else [_Group(begin, end, None) for begin, end in spans]
        for group in groups:
            q, k, v = (group.take(t) for t in (query, key, value))
            part, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=scale)
            group.put(output.transpose(1, 2), part)
            sums.append(lse)
        ctx.save_for_backward(query, key, value, output, *sums)
        ctx.groups, ctx.scale = groups, scale
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, output, *sums = ctx.saved_tensors
        grad = grads[0]
        delta = (grad * output).sum(-1, dtype=torch.float32).transpose(1, 2)
        grad = grad.transpose(1, 2)
        grad_query, grad_key, grad_value = (torch.empty_like(t) for t in (query, key, value))
        for group, lse in zip(ctx.groups, sums, strict=True):
            q, k, v, g, d = (group.take(t) for t in (query, key, value, grad, delta))
            parts = _causal_gradients(q, k, v, group.blank(g), d, lse, ctx.scale)
            for whole, part in zip((grad_query, grad_key, grad_value), parts, strict=True):
                group.put(whole, part)
        return grad_query, grad_key, grad_value, None, None


@dataclass(frozen=True, slots=True)
class _Group:
    """Samples that are computed together.

    Attributes:
        begin: Where the first begins.
        end: Where it ends.
        places: Where the tokens of several samples are, int64 [samples, longest]; None for one sample.
        filled: Which of these stand for no token, bool [samples, longest].
    """

    begin: int
    end: int
    places: Tensor | None
    filled: Tensor | None = None

    def take(self, whole: Tensor) -> Tensor:
        """[rows, heads, length, ...] -> [rows or samples, heads, longest, ...]."""
        if self.places is None:
            return whole[:, :, self.begin : self.end]
        return whole[0][:, self.places].transpose(0, 1)

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Back again, into `whole`."""
        if self.places is None or self.filled is None:
            whole[:, :, self.begin : self.end] = part
        else:
            kept = ~self.filled
            whole[0].transpose(0, 1)[self.places[kept]] = part.transpose(1, 2)[kept]

    def blank(self, part: Tensor) -> Tensor:
        """Zeros where there is no token."""
        return part if self.filled is None else part.masked_fill(self.filled[:, None, :, None], 0.0)


@lru_cache(maxsize=8)
def _groups(spans: tuple[tuple[int, int], ...]) -> list[_Group]:
    """Short samples by length, so that few places are filled up; long ones alone."""
    alone = [_Group(begin, end, None) for begin, end in spans if end - begin > _SHORT]
    short = sorted((span for span in spans if span[1] - span[0] <= _SHORT), key=lambda span: span[1] - span[0])
    together: list[list[tuple[int, int]]] = []
    for begin, end in short:
        if together and end - begin <= _STRETCH * (together[-1][0][1] - together[-1][0][0]):
            together[-1].append((begin, end))
        else:
            together.append([(begin, end)])
    return alone + [_Group(*members[0], None) if len(members) == 1 else _side_by_side(members) for members in together]


def _side_by_side(spans: list[tuple[int, int]]) -> _Group:
    first = torch.tensor([begin for begin, _ in spans])[:, None]
    lengths = torch.tensor([end - begin for begin, end in spans])[:, None]
    steps = torch.arange(int(lengths.max()))[None]
    return _Group(*spans[0], first + torch.minimum(steps, lengths - 1), steps >= lengths)


def _causal_gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    grad: Tensor,
    delta: Tensor,
    lse: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the queries, keys and values of one sample in each row.

    Args:
        query: [rows, heads, length, size]; keys and values may have fewer heads.
        grad: Of the output, laid out like the queries.
        delta: float32 [rows, heads, length], the sum of `grad * output` over the last dimension.
        lse: [rows, heads, length], the log of the sum of the exponentials of the scores.
    """
    rows, heads, length, size = query.shape
    kv_heads = key.shape[1]
    groups = heads // kv_heads
    k = key.reshape(rows * kv_heads, length, size)
    v = value.reshape(rows * kv_heads, length, size)
    grad_query = torch.empty_like(query)
    grad_key, grad_value = torch.zeros_like(k), torch.zeros_like(v)

    def tile_of(t: Tensor, begin: int, end: int) -> Tensor:
        """[rows, heads, length, ...] -> the tile as [rows * kv heads, groups * tile, ...]."""
        return t[:, :, begin:end].reshape(rows * kv_heads, groups * (end - begin), *t.shape[3:])

    for begin in range(0, length, _TILE):
        end = min(begin + _TILE, length)
        q, g = tile_of(query, begin, end), tile_of(grad, begin, end)
        seen_k, seen_v = k[:, :end], v[:, :end]
        scores = torch.bmm(q, seen_k.transpose(1, 2))
        # Adding a float32 tensor promotes in the same pass over the scores.
        probs = torch.add(-tile_of(lse, begin, end)[..., None], scores, alpha=scale).exp_()
        probs.view(rows * kv_heads, groups, end - begin, end)[..., begin:].masked_fill_(_later(end - begin), 0.0)
        grad_scores = torch.sub(torch.bmm(g, seen_v.transpose(1, 2)), tile_of(delta, begin, end)[..., None])
        grad_scores = grad_scores.mul_(probs).to(q.dtype)
        grad_value[:, :end] += torch.bmm(probs.to(q.dtype).transpose(1, 2), g)
        grad_key[:, :end] += torch.bmm(grad_scores.transpose(1, 2), q)
        grad_query[:, :, begin:end] = torch.bmm(grad_scores, seen_k).view(rows, heads, end - begin, size)
    return grad_query.mul_(scale), grad_key.mul_(scale).view_as(key), grad_value.view_as(value)


@lru_cache(maxsize=2 * _TILE)
def _later(length: int) -> Tensor:
    """bool [length, length]: True where a key comes after the query."""
    return torch.ones(length, length, dtype=torch.bool).triu_(1)
