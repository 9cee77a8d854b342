"""Rounding in the forward pass, plain weights outside, and what converting makes of them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from swift.config.quantization import QatConfig
from swift.errors import ConfigError
from swift.models.quantize.qat import base_scheme, prepare_qat
from swift.models.structure import output_head
from swift.models.tiny import tiny_model

SCHEMES = ["int4-weight", "int8-weight", "int8-dynamic-int4-weight"]
IDS = torch.arange(3, 40)[None]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_prepared_then_converted(scheme: str) -> None:
    from torchao.quantization import quantize_
    from torchao.quantization.qat import QATConfig

    config = QatConfig(scheme=scheme, group_size=16)  # type: ignore[arg-type]
    plain = tiny_model()
    model = copy.deepcopy(plain)
    names = [name for name, _ in model.named_parameters()]
    assert prepare_qat(model, config) == 14
    assert [name for name, _ in model.named_parameters()] == names
    assert type(output_head(model)) is nn.Linear
    for (_, before), (_, after) in zip(plain.named_parameters(), model.named_parameters(), strict=True):
        assert torch.equal(before, after)
    rounded = model(input_ids=IDS).logits
    assert not torch.allclose(rounded, plain(input_ids=IDS).logits, atol=1e-5)
    rounded.square().mean().backward()
    gradient = model.get_submodule("model.layers.0.mlp.up_proj").weight.grad
    assert gradient is not None
    assert gradient.abs().sum() > 0
    with torch.no_grad():
        model.eval()
        quantize_(model, QATConfig(base_scheme(config), step="convert"))
        converted = model(input_ids=IDS).logits
    # What training saw is what conversion gives, up to rounding.
    assert torch.allclose(converted, rounded, atol=2e-3 * float(rounded.detach().abs().max()))


def test_groups_must_fit() -> None:
    with pytest.raises(ConfigError, match="does not divide"):
        prepare_qat(tiny_model(hidden_size=48), QatConfig(scheme="int4-weight", group_size=32))
