"""Causal attention on the CPU, of samples that lie back to back.

The forward is torch's own flash kernel. Its backward kernel is slow on CPUs, so the backward is written
here as matrix products over tiles of query rows, recomputing the probabilities from the saved log-sum-exp
(FlashAttention-2, arXiv 2307.08691, section 3.1); tiles skip the keys that come after them. Samples of similar
length are computed together, filled up at their ends, which no token before sees.

Compiled graphs take it as one operation, since where samples begin is not known when they are compiled.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

_TILE = 128  # query rows per tile of the backward pass: large enough for matrix products, few keys after the diagonal
_SHORT = 64  # samples up to this length are computed together: for longer ones calls cost little
_STRETCH = 1.3  # such samples are at most so much longer than the shortest

_Spans = list[tuple[int, int]]


def causal_attention(query: Tensor, key: Tensor, value: Tensor, spans: list[tuple[int, int]], scale: float) -> Tensor:
    """Each token sees itself and those before it in its span.

    Args:
        query: [rows, heads, length, size]; keys and values may have fewer heads.
        spans: Beginnings and ends of the samples, which fill all rows alike.
        scale: Of the scores.

    Returns:
        [rows, length, heads, size].
    """
    output: Tensor = _CausalAttention.apply(query, key, value, spans, scale)
    return output


def causal_attention_op(query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor | None, scale: float) -> Tensor:
    """The same as an operation that graphs may hold; `boundaries` are as in `spans_of`, or None for whole rows."""
    output: Tensor = _op(query, key, value, boundaries, scale)[0]
    return output


def spans_of(boundaries: Tensor) -> list[tuple[int, int]]:
    """Sample starts and the total length, int [samples + 1], as pairs."""
    return list(pairwise(boundaries.tolist()))


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, spans: _Spans, scale: float) -> Tensor:
        output, lse = _attend(query, key, value, spans, scale)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.spans, ctx.scale = spans, scale
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, output, sums = ctx.saved_tensors
        return *_gradients(grads[0], query, key, value, output, sums, ctx.spans, ctx.scale), None, None


@torch.library.custom_op("swift::causal_attention", mutates_args=())
def _op(query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    return _attend(query, key, value, _spans(boundaries, query), scale)


@_op.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, boundaries: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    return _results(query)


@torch.library.custom_op("swift::causal_attention_backward", mutates_args=())
def _op_backward(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    boundaries: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return _gradients(grad, query, key, value, output, lse, _spans(boundaries, query), scale)


@_op_backward.register_fake
def _(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    lse: Tensor,
    boundaries: Tensor | None,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), key.new_empty(key.shape), value.new_empty(value.shape)


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, boundaries, scale = inputs
    ctx.save_for_backward(query, key, value, *output, boundaries)
    ctx.scale = scale


def _backward(ctx: Any, grad: Tensor, _: Tensor | None) -> tuple[Tensor, Tensor, Tensor, None, None]:
    return *_op_backward(grad, *ctx.saved_tensors, ctx.scale), None, None


_op.register_autograd(_backward, setup_context=_keep_for_backward)


def _spans(boundaries: Tensor | None, query: Tensor) -> _Spans:
    return [(0, query.shape[2])] if boundaries is None else spans_of(boundaries)


def _results(query: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output and the log-sum-exps of the scores, [rows, heads, length] in float32 or wider."""
    rows, heads, length, size = query.shape
    output = query.new_empty(rows, length, heads, size)
    wide = torch.promote_types(query.dtype, torch.float32)
    return output, query.new_empty((rows, heads, length), dtype=wide)


def _attend(query: Tensor, key: Tensor, value: Tensor, spans: _Spans, scale: float) -> tuple[Tensor, Tensor]:
    """Output and log-sum-exps, as `_results` has them."""
    output, sums = _results(query)
    for group in _grouped(spans, query):
        q, k, v = (group.take(t) for t in (query, key, value))
        part, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=scale)
        group.put(output.transpose(1, 2), part)
        group.put(sums, lse)
    return output, sums


def _gradients(
    grad: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    output: Tensor,
    sums: Tensor,
    spans: _Spans,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Of queries, keys and values."""
    delta = (grad * output).sum(-1, dtype=torch.float32).transpose(1, 2)
    grad = grad.transpose(1, 2)
    # Laid out as compilers are told: queries as they come, the others row by row.
    wholes = (torch.empty_like(query), key.new_empty(key.shape), value.new_empty(value.shape))
    for group in _grouped(spans, query):
        q, k, v, g, d, lse = (group.take(t) for t in (query, key, value, grad, delta, sums))
        parts = _causal_gradients(q, k, v, group.blank(g), group.blank(d), lse, scale)
        for whole, part in zip(wholes, parts, strict=True):
            group.put(whole, part)
    return wholes


def _grouped(spans: _Spans, query: Tensor) -> list[_Group]:
    return _groups(tuple(spans)) if len(query) == 1 else [_Group(begin, end, None) for begin, end in spans]


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
        """[samples, heads, longest, ...] with zeros where there is no token."""
        if self.filled is None:
            return part
        filled = self.filled[:, None]
        return part.masked_fill(filled if part.ndim == filled.ndim else filled[..., None], 0.0)


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
