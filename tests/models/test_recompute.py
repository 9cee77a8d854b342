"""Recipes in place of saved tensors: the same gradients, to the bit, from less memory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from swift.models import recompute
from swift.models.fused import fuse
from swift.models.recompute import recomputable, recompute_cheap
from swift.models.tiny import tiny_model


class Twice(torch.autograd.Function):
    """Doubles, and keeps nothing."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return 2 * grads[0]


def double(x: Tensor, calls: list[int]) -> Tensor:
    """2 x, which can be computed again; counts how often that happens."""

    def compute(source: Tensor) -> Tensor:
        calls.append(1)
        return 2 * source

    return recomputable(Twice.apply(x), compute, x)


def gradients(model: nn.Module, ids: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    model(input_ids=ids).logits.float().square().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2", "gpt2"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_are_the_same_to_the_bit(kind: str, dtype: torch.dtype) -> None:
    model = tiny_model(kind).to(dtype)
    fuse(model)
    ids = torch.randint(5, 60, (2, 11), generator=torch.Generator().manual_seed(1))
    expected = gradients(model, ids)
    with recompute_cheap():
        found = gradients(model, ids)
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name
    assert not recompute._recipes


def saved_bytes(run: Callable[[], object]) -> int:
    """Bytes of distinct tensors that a forward pass keeps."""
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        kept[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    original = recompute._pack
    outer = torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved if not isinstance(saved := original(t), Tensor) else note(saved), recompute._unpack
    )
    with outer:
        run()
    return sum(kept.values())


def test_less_is_kept() -> None:
    fused, plain = tiny_model(), tiny_model()
    fuse(fused)
    ids = torch.randint(5, 60, (1, 64))
    weights = sum(p.numel() * p.element_size() for p in plain.parameters())
    assert saved_bytes(lambda: fused(input_ids=ids)) - weights < 0.6 * (
        saved_bytes(lambda: plain(input_ids=ids)) - weights
    )


def test_several_readers_wait_for_one_computation() -> None:
    calls: list[int] = []
    x = torch.randn(3, 4, requires_grad=True)
    layers = [nn.Linear(4, 2), nn.Linear(4, 5)]
    with recompute_cheap():
        y = double(x, calls)
        total = sum((layer(y).square().sum() for layer in layers), torch.zeros(()))
    total.backward()
    assert calls == [1]
    expected = 2 * x.detach()
    inner = layers[0](expected)
    torch.testing.assert_close(layers[0].weight.grad, 2 * inner.t() @ expected)


def test_the_tensor_itself_is_freed() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    with recompute_cheap():
        y = double(x, [])
        watched = weakref.ref(y)
        loss = nn.Linear(4, 2)(y).sum()
        del y
    gc.collect()
    assert watched() is None
    loss.backward()
    assert x.grad is not None


def test_what_was_written_to_is_saved_as_it_is() -> None:
    calls: list[int] = []
    x = torch.randn(3, 4, requires_grad=True)
    layer = nn.Linear(4, 2)
    with recompute_cheap():
        y = double(x, calls)
        y += 1
        layer(y).sum().backward()
    assert not calls
    torch.testing.assert_close(layer.weight.grad, (2 * x.detach() + 1).sum(0).expand(2, 4))


def test_views_in_another_order_are_saved_as_they_are() -> None:
    calls: list[int] = []
    x = torch.randn(3, 3, requires_grad=True)
    layer = nn.Linear(3, 2)
    with recompute_cheap():
        y = double(x, calls)
        layer(y.t()).sum().backward()
    assert not calls
    torch.testing.assert_close(layer.weight.grad, 2 * x.detach().t().sum(0).expand(2, 3))


def test_a_second_backward_pass_computes_again() -> None:
    calls: list[int] = []
    x = torch.randn(3, 4, requires_grad=True)
    layer = nn.Linear(4, 2)
    with recompute_cheap():
        loss = layer(double(x, calls)).sum()
    loss.backward(retain_graph=True)
    first = layer.weight.grad.clone()
    loss.backward()
    assert calls == [1, 1]
    torch.testing.assert_close(layer.weight.grad, 2 * first)


def test_nothing_is_remembered_outside_of_training() -> None:
    calls: list[int] = []
    with torch.no_grad():
        double(torch.randn(3, 4), calls)
    assert not recompute._recipes
