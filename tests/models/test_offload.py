"""Activations in main memory: the same gradients, to the bit, and nothing left on the device."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from transformers import PreTrainedModel

from swift.models.fused import fuse
from swift.models.offload import Offload, make_offload
from swift.models.recompute import recompute_cheap
from swift.models.tiny import tiny_model

EVERYTHING = Offload(smallest=1)


def model_of(kind: str, *, checkpointing: bool = False) -> PreTrainedModel:
    model = tiny_model(kind)
    fuse(model)
    if checkpointing:
        model.activation_checkpointing_enable()
    return model.train()


def loss_of(model: nn.Module) -> Tensor:
    ids = torch.randint(5, 60, (2, 33), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)  # dropout
    loss: Tensor = model(input_ids=ids).logits.float().square().mean()
    return loss


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2", "gpt2", "mixtral"])
def test_gradients_are_the_same_to_the_bit(kind: str, checkpointing: bool) -> None:
    plain, moved = (model_of(kind, checkpointing=checkpointing) for _ in range(2))
    with recompute_cheap():
        expected = loss_of(plain)
    with EVERYTHING.hooks(moved):
        loss = loss_of(moved)
    expected.backward()
    loss.backward()
    assert torch.equal(loss, expected)
    wanted, found = gradients(plain), gradients(moved)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in wanted.items())


def left(model: PreTrainedModel, offload: Offload | None) -> tuple[int, Tensor]:
    """How many outputs of modules are still there after a forward pass, and its loss."""
    outputs: list[StorageWeakRef] = []

    def note(module: nn.Module, inputs: object, output: object) -> None:
        first = output[0] if isinstance(output, tuple) else output
        if isinstance(first, Tensor) and not list(module.children()):
            outputs.append(StorageWeakRef(first.untyped_storage()))

    layers = [module for name, module in model.named_modules() if ".layers." in name]
    handles = [layer.register_forward_hook(note) for layer in layers]
    with recompute_cheap() if offload is None else offload.hooks(model):
        loss = loss_of(model)
    for handle in handles:
        handle.remove()
    gc.collect()
    return sum(not output.expired() for output in outputs), loss


def test_the_tensors_themselves_are_freed() -> None:
    """Those of recipes too, which would otherwise hold what they are made from."""
    stay, _ = left(model_of("llama"), None)
    gone, loss = left(model_of("llama"), EVERYTHING)
    assert stay >= 4
    assert gone == 0
    loss.backward()


def copies(model: PreTrainedModel, offload: Offload, monkeypatch: pytest.MonkeyPatch) -> int:
    """Bytes that a forward pass moves."""
    moved = []
    original = torch.empty_like

    def noted(tensor: Tensor, **options: object) -> Tensor:
        if options.get("device") == "cpu":
            moved.append(tensor.nbytes)
        return original(tensor, **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(torch, "empty_like", noted)
    with offload.hooks(model):
        loss_of(model)
    monkeypatch.undo()
    return sum(moved)


def test_with_checkpointing_only_inputs_of_layers_travel(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = copies(model_of("llama"), EVERYTHING, monkeypatch)
    checkpoints = copies(model_of("llama", checkpointing=True), EVERYTHING, monkeypatch)
    assert 0 < checkpoints < 0.5 * everything


def test_what_several_layers_read_is_copied_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(3, 4, requires_grad=True)
    layers = nn.ModuleList([nn.Linear(4, 2), nn.Linear(4, 5)])
    moved = []
    original = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda t, **o: (moved.append(t.nbytes), original(t, **o))[1])
    with EVERYTHING.hooks(layers):
        y = x * 2
        total = layers[0](y).sum() + layers[1](y.view(1, 3, 4)).sum()
    monkeypatch.undo()
    assert moved.count(y.nbytes) == 1
    total.backward()
    torch.testing.assert_close(x.grad, 2 * sum(layer.weight.sum(0) for layer in layers).expand(3, 4))


def test_a_tensor_that_changed_is_copied_again() -> None:
    w, v = (torch.randn(4, requires_grad=True) for _ in range(2))
    with EVERYTHING.hooks(nn.Identity()):
        y = torch.ones(4)
        first = (w * y).sum()
        y.mul_(3)
        second = (v * y).sum()
    (first + second).backward()
    torch.testing.assert_close(w.grad, torch.full((4,), 1.0))
    torch.testing.assert_close(v.grad, torch.full((4,), 3.0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_an_accelerator_less_is_allocated() -> None:
    device = torch.device("cuda")
    offload, model = make_offload(device), model_of("llama").to(device)
    ids = torch.randint(5, 60, (8, 2048), device=device)
    peaks, found = [], []
    for hooks in (recompute_cheap(), offload.hooks(model)):
        model.zero_grad()
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        with hooks:
            loss = model(input_ids=ids).logits[:, -8:].float().square().mean()
        torch.cuda.synchronize()
        peaks.append(torch.cuda.memory_allocated() - before)
        loss.backward()
        found.append({name: gradient.clone() for name, gradient in gradients(model).items()})
    assert peaks[1] < 0.5 * peaks[0]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
