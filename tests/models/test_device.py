from __future__ import annotations

import pytest
import torch

from swift.config.model import ModelConfig
from swift.errors import ConfigError, ResourceError
from swift.models.device import available_devices, dtype_warning, has_fast_bf16, resolve_device, resolve_dtype
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


FEATURES = [({"avx2"}, torch.float32), ({"avx2", "avx512_bf16"}, torch.bfloat16), (set(), torch.float32)]


@pytest.mark.parametrize(("features", "expected"), FEATURES)
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32])
def test_auto_is_what_the_cpu_has_units_for(
    features: set[str], expected: torch.dtype, stored: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swift.models.device.cpu_features", lambda: frozenset(features))
    assert resolve_dtype(ModelConfig(id="x"), tiny_config("llama", dtype=stored), CPU) == expected
    assert has_fast_bf16(CPU) is (expected == torch.bfloat16)


def test_a_named_type_that_is_emulated_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swift.models.device.cpu_features", lambda: frozenset({"avx2"}))
    config = tiny_config("llama")
    assert "--torch_dtype float32 is many times faster" in str(dtype_warning(torch.bfloat16, CPU, config))
    assert dtype_warning(torch.float32, CPU, config) is None
    config.quantization_config = {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}
    warning = str(dtype_warning(torch.bfloat16, CPU, config))
    assert "slow path" in warning
    assert "--torch_dtype" not in warning, "it would be refused"
    monkeypatch.setattr("swift.models.device.cpu_features", lambda: frozenset({"amx_bf16"}))
    assert dtype_warning(torch.bfloat16, CPU, config) is None


@pytest.mark.parametrize("layout", ["nvfp4", "mxfp4"])
def test_a_format_that_computes_in_bfloat16_goes_with_nothing_else(layout: str) -> None:
    config = tiny_config("llama")
    config.quantization_config = {"quant_method": "compressed-tensors", "format": f"{layout}-pack-quantized"}
    assert resolve_dtype(ModelConfig(id="x"), config, CPU) == torch.bfloat16
    with pytest.raises(ConfigError, match="computes in bfloat16 only"):
        resolve_dtype(ModelConfig(id="x", dtype="float32"), config, CPU)
