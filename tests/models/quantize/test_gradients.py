"""Gradients through quantized layers are those of plain layers that hold the same weights, before and after eval."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from swift.models.quantize.layers import quantized_layers
from swift.models.quantize.method import keep_trainable
from swift.models.structure import input_embeddings
from swift.models.tiny import save_tiny
from tests.models.quantize.test_load import IDS, METHODS, load


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model"), hidden_size=64, intermediate_size=128)


def _gradient(model: Any) -> Tensor:
    embeddings = input_embeddings(model)(IDS).detach().requires_grad_()
    logits = model(inputs_embeds=embeddings).logits.float()
    nn.functional.cross_entropy(logits[0, :-1], IDS[0, 1:]).backward()
    assert embeddings.grad is not None
    return embeddings.grad


def _plain(model: Any, like: Any) -> Any:
    """A model of plain layers whose weights are what the quantized layers do to the unit vectors."""
    twin = copy.deepcopy(like)
    modules = dict(twin.named_modules())
    with torch.no_grad():
        for name, layer in quantized_layers(model).items():
            modules[name].weight.copy_(layer(torch.eye(layer.in_features)).T)
    return twin


@pytest.mark.parametrize("name", list(METHODS))
def test_gradients_after_evaluation(name: str, folder: Path) -> None:
    model = load(folder, METHODS[name])
    keep_trainable(model)
    with torch.no_grad():
        model.eval()(input_ids=IDS)
    expected = _gradient(_plain(model, load(folder)))
    found = _gradient(model.train())
    # 8 bits of bitsandbytes round the inputs and the gradients, too.
    allowed = 0.05 if METHODS[name].get("bits") == 8 else 1e-3
    assert float((found - expected).norm() / expected.norm()) < allowed
