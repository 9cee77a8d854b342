from __future__ import annotations

import pytest
import torch

from swift.config.model import ModelConfig
from swift.errors import ResourceError
from swift.models.device import available_devices, cpu_features, has_fast_bf16, resolve_device, resolve_dtype
from swift.models.tiny import tiny_config

CPU = torch.device("cpu")


def test_auto_is_an_accelerator_or_the_cpu() -> None:
    assert resolve_device("auto") == available_devices()[0]
    assert available_devices()[-1] == CPU
    assert resolve_device("cpu") == CPU


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cpu:1", "", "cuda0", "meta"])
def test_no_such_kind(name: str) -> None:
    with pytest.raises(ResourceError, match="no such device") as caught:
        resolve_device(name)
    assert "cuda:0" in caught.value.hint


@pytest.mark.parametrize("name", ["cuda:99", "npu:99", "xpu:99", "mps:99"])
def test_not_here(name: str) -> None:
    with pytest.raises(ResourceError, match="is not here") as caught:
        resolve_device(name)
    assert "cpu" in caught.value.hint


def test_tensors_lie_on_the_device_that_is_returned() -> None:
    device = resolve_device("auto")
    assert torch.ones(1, device=device).device == device


@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_a_named_type_is_taken(name: str) -> None:
    config = tiny_config("llama")
    assert resolve_dtype(ModelConfig.model_validate({"id": "x", "dtype": name}), config, CPU) == getattr(torch, name)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_auto_keeps_16_bit_checkpoints_in_16_bit(stored: torch.dtype) -> None:
    config = tiny_config("llama", dtype=stored)
    assert resolve_dtype(ModelConfig(id="x"), config, CPU) == torch.bfloat16


def test_auto_follows_the_device_otherwise() -> None:
    expected = torch.bfloat16 if has_fast_bf16(CPU) else torch.float32
    assert resolve_dtype(ModelConfig(id="x"), tiny_config("llama", dtype=torch.float32), CPU) == expected
    assert has_fast_bf16(CPU) is bool(cpu_features() & {"avx512_bf16", "amx_bf16", "bf16"})
