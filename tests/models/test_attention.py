"""Packed attention against torch's own, sample by sample, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swift.models.attention import packed_attention
from swift.models.causal_attention import causal_attention, causal_attention_op, spans_of

LENGTHS = (5, 300, 1, 64, 20, 30, 90, 7, 7, 8, 9, 25)
"""Short ones of similar length share a call, in which the shorter ones are filled up: 7 to 9, and 20 with 25."""


def _inputs(heads: int, kv_heads: int, size: int, value_size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    total = sum(LENGTHS)

    def make(count: int, width: int) -> Tensor:
        # The layout of transformers: heads are a transposed view.
        flat = torch.randn(1, total, count, width, generator=generator).to(dtype)
        return flat.transpose(1, 2).requires_grad_()

    return make(heads, size), make(kv_heads, size), make(kv_heads, value_size)


def _boundaries() -> Tensor:
    return torch.tensor([0, *torch.tensor(LENGTHS).cumsum(0).tolist()], dtype=torch.int32)


def _reference(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    window: int | None = None,
    softcap: float | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """By the definition, in float64, over one block-diagonal score matrix."""
    q, k, v = q.double(), k.double(), v.double()
    k, v = (t.repeat_interleave(q.shape[1] // t.shape[1], dim=1) for t in (k, v))
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    sample = torch.repeat_interleave(torch.arange(len(LENGTHS)), torch.tensor(LENGTHS))
    position = torch.arange(q.shape[2])
    distance = position[:, None] - position[None, :]
    allowed = (sample[:, None] == sample[None, :]) & (distance >= 0)
    if window is not None:
        allowed &= distance < window
    scores = scores.masked_fill(~allowed, float("-inf"))
    if sinks is not None:
        column = sinks.double().view(1, -1, 1, 1).expand(1, -1, q.shape[2], 1)
        return (torch.softmax(torch.cat((scores, column), -1), -1)[..., :-1] @ v).transpose(1, 2)
    return (torch.softmax(scores, -1) @ v).transpose(1, 2)


def _check(dtype: torch.dtype, tolerance: float, *, kv_heads: int = 2, value_size: int = 16, **options: object) -> None:
    tensors = _inputs(4, kv_heads, 16, value_size, dtype)
    output, weights = packed_attention(nn.Identity(), *tensors, None, cu_seq_lens_q=_boundaries(), **options)  # type: ignore[arg-type]
    names = {"window": "sliding_window", "softcap": "softcap", "sinks": "s_aux"}
    renamed = {mine: options.get(theirs) for mine, theirs in names.items()}
    expected = _reference(*tensors, **renamed)  # type: ignore[arg-type]
    assert weights is None
    assert output.dtype == dtype
    torch.testing.assert_close(output.double(), expected, atol=tolerance, rtol=tolerance)
    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    got = torch.autograd.grad(output, tensors, grad.to(dtype))
    wanted = torch.autograd.grad(expected, tensors, grad.double())
    for mine, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(mine, theirs.to(dtype), atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_plain_float32(kv_heads: int) -> None:
    _check(torch.float32, 2e-5, kv_heads=kv_heads)


def test_plain_bfloat16() -> None:
    _check(torch.bfloat16, 6e-2)


@pytest.mark.parametrize("window", [1, 7, 100, 1000])
def test_sliding_window(window: int) -> None:
    _check(torch.float32, 2e-5, sliding_window=window)


def test_softcap() -> None:
    _check(torch.float32, 2e-5, softcap=5.0)


def test_sinks_and_window() -> None:
    _check(torch.float32, 2e-5, s_aux=torch.randn(4, generator=torch.Generator().manual_seed(2)), sliding_window=9)


def test_other_value_size() -> None:
    _check(torch.float32, 2e-5, value_size=8)


def test_no_boundaries_is_one_sample_a_row() -> None:
    q, k, v = (torch.randn(2, 3, 11, 8) for _ in range(3))
    output, _ = packed_attention(nn.Identity(), q, k, v, None)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
    torch.testing.assert_close(output, expected)


def test_padding_mask_is_respected() -> None:
    q, k, v = (torch.randn(2, 3, 6, 8) for _ in range(3))
    real = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], dtype=torch.bool)
    mask = torch.ones(6, 6, dtype=torch.bool).tril() & real[:, None, None, :]
    output, _ = packed_attention(nn.Identity(), q, k, v, mask)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    torch.testing.assert_close(output[real], expected[real], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_the_operation_for_compiled_graphs(whole: bool) -> None:
    """The same to the bit as outside of graphs, and as compilers want operations to be."""
    tensors = _inputs(4, 2, 16, 16, torch.float32)
    boundaries = None if whole else _boundaries()
    spans = [(0, sum(LENGTHS))] if boundaries is None else spans_of(boundaries)
    expected = causal_attention(*tensors, spans, 0.25)
    found = causal_attention_op(*tensors, boundaries, 0.25)
    assert torch.equal(found, expected)
    grad = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, tensors, grad)
    for mine, theirs in zip(torch.autograd.grad(found, tensors, grad), wanted, strict=True):
        assert torch.equal(mine, theirs)
    checks = ("test_schema", "test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic")
    found_checks = torch.library.opcheck(
        torch.ops.swift.causal_attention.default, (*tensors, boundaries, 0.25), test_utils=checks
    )
    assert set(found_checks.values()) == {"SUCCESS"}
