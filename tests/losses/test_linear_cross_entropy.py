"""The fused loss against torch's, with every option, and in many chunks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from swift.losses import linear_cross_entropy as module
from swift.losses.linear_cross_entropy import chunk_rows, linear_cross_entropy
from swift.losses.token import chunked_loss, cross_entropy, focal

N, D, V = 23, 8, 31


def _inputs() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(N, D, generator=g, requires_grad=True)
    weight = torch.randn(V, D, generator=g, requires_grad=True)
    bias = torch.randn(V, generator=g, requires_grad=True)
    return hidden, weight, bias, torch.randint(0, V, (N,), generator=g), torch.rand(N, generator=g) + 0.5


@pytest.fixture(params=[1, 7, 1000])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Rows of a chunk."""
    monkeypatch.setattr(module, "chunk_rows", lambda *_, **__: request.param)
    return int(request.param)


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("with_bias", [False, True])
def test_equals_torch(rows: int, scale: float, softcap: float | None, smoothing: float, with_bias: bool) -> None:
    hidden, weight, bias, targets, weights = _inputs()
    used = [hidden, weight, *([bias] if with_bias else [])]
    total, correct = linear_cross_entropy(
        hidden,
        weight,
        targets,
        weights,
        bias=bias if with_bias else None,
        scale=scale,
        softcap=softcap,
        smoothing=smoothing,
        with_correct=True,
    )
    logits = F.linear(hidden, weight, bias if with_bias else None) * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    expected = (F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing) * weights).sum()
    torch.testing.assert_close(total, expected)
    assert correct is not None
    assert correct.item() == (logits.argmax(-1) == targets).sum().item()
    got = torch.autograd.grad(total / 7, used)
    wanted = torch.autograd.grad(expected / 7, used)
    torch.testing.assert_close(got, wanted)


def test_a_frozen_head_gets_no_gradient(rows: int) -> None:
    hidden, weight, _, targets, weights = _inputs()
    frozen = weight.detach()
    total, correct = linear_cross_entropy(hidden, frozen, targets, weights)
    total.backward()
    assert correct is None
    assert hidden.grad is not None
    assert frozen.grad is None


def test_nothing_needs_a_gradient() -> None:
    hidden, weight, _, targets, weights = _inputs()
    total, _ = linear_cross_entropy(hidden.detach(), weight.detach(), targets, weights)
    expected = (F.cross_entropy(hidden @ weight.t(), targets, reduction="none") * weights).sum()
    torch.testing.assert_close(total, expected.detach())


def test_bfloat16_gradient_is_not_scaled_in_bfloat16() -> None:
    """A factor such as 1/count, rounded to bfloat16, would be off by up to 0.4 % for every element alike."""
    hidden, weight, _, targets, weights = _inputs()
    half = hidden.detach().bfloat16().requires_grad_()
    total, _ = linear_cross_entropy(half, weight.detach().bfloat16(), targets, weights)
    factor = 1.0 + 2**-9 + 2**-10  # 1.0 in bfloat16: off by 0.29 %
    (got,) = torch.autograd.grad(total * factor, half, retain_graph=True)
    (whole,) = torch.autograd.grad(total, half)
    ratio = (got.float() / (whole.float() * factor)).mean().item()
    assert abs(ratio - 1.0) < 1e-3


def test_registered_loss_in_chunks(rows: int) -> None:
    hidden, weight, _, targets, weights = _inputs()
    total = chunked_loss(lambda h: h @ weight.t(), hidden, targets, weights, focal, vocabulary=V)
    expected = focal(hidden @ weight.t(), targets, weights)
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(
        torch.autograd.grad(total, (hidden, weight)), torch.autograd.grad(expected, (hidden, weight))
    )


def test_the_plain_form_smooths_as_the_fused_one_does() -> None:
    """An adapted head has no fused form; label smoothing must not get lost there."""
    hidden, weight, _, targets, weights = _inputs()
    fused, _ = linear_cross_entropy(hidden, weight, targets, weights, smoothing=0.1)
    torch.testing.assert_close(cross_entropy(hidden @ weight.t(), targets, weights, smoothing=0.1), fused)


def test_chunks_are_as_large_as_the_device_wants_and_never_tiny() -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert chunk_rows(49_152, cpu) == 170
    assert chunk_rows(49_152, cpu, trained=True) == 341
    assert chunk_rows(49_152, cuda) == 1365
    assert chunk_rows(262_144, cpu) == 64


def test_no_target_is_no_loss() -> None:
    hidden, weight, _, targets, weights = _inputs()
    total, _ = linear_cross_entropy(hidden[:0], weight, targets[:0], weights[:0])
    total.backward()
    assert total.item() == 0.0
    assert weight.grad is not None
    assert not weight.grad.any()
