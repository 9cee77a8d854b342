"""Folders of HQQ weights: the layout that transformers 4 wrote, which transformers 5 does not read and this does."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import safe_open

from swift.config.quantization import HqqConfig
from swift.errors import ModelError
from swift.models.auto import auto_class

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

_PACKED = ".W_q"


def save(model: PreTrainedModel, config: HqqConfig, folder: Path, *, shard: str) -> None:
    """Write a model whose layers `hqq.convert` has replaced: weights, configuration, generation configuration.

    Args:
        config: How they were quantized.
        shard: Largest weights file.
    """
    from hqq.core.quantize import HQQLinear

    packed = {name for name, module in model.named_modules() if isinstance(module, HQQLinear)}
    kept = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    rules = {"nbits": config.bits, "group_size": config.group_size, "axis": config.axis}
    described = copy.deepcopy(model.config)
    described.quantization_config = {
        "quant_method": "hqq",
        "quant_config": {"weight_quant_params": rules},
        "skip_modules": kept,
    }
    described.architectures = [type(model).__name__]
    described.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    assert all(f"{name}{_PACKED}" in tensors for name in packed)
    save_torch_state_dict(tensors, folder, max_shard_size=shard)


def load(
    folder: Path,
    hf_config: PreTrainedConfig,
    *,
    device: torch.device,
    dtype: torch.dtype,
    attention: str,
    trust_remote_code: bool,
) -> PreTrainedModel:
    """The model of a folder that `save` has written.

    While it is read, the layers that are packed take the room of plain ones.

    Args:
        dtype: In which it computes.
        attention: As `swift.models.load.load_model`.

    Raises:
        ModelError: A weight is absent, or unknown.
    """
    plain = copy.deepcopy(hf_config)
    del plain.quantization_config
    loaded: Any = auto_class(plain).from_pretrained(
        folder,
        config=plain,
        dtype=dtype,
        attn_implementation=None if attention == "auto" else attention,
        trust_remote_code=trust_remote_code,
        local_files_only=True,
        output_loading_info=True,
    )
    model: Any = loaded[0]
    tensors = _packed(folder)
    for name, state in tensors.items():
        model.set_submodule(name, _layer(state, device, dtype))
    absent = [name for name in loaded[1]["missing_keys"] if name.rpartition(".")[0] not in tensors]
    if absent:
        raise ModelError(f"the files in {folder} lack weights: {', '.join(sorted(absent)[:3])}")
    return cast("PreTrainedModel", model.to(device).eval())


def _packed(folder: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Layer to its tensors."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        with safe_open(file, "pt") as shard:
            for name in shard.keys():  # noqa: SIM118
                if name.endswith(_PACKED):
                    found[name.removesuffix(_PACKED)] = {}
    for file in files:
        with safe_open(file, "pt") as shard:
            for name in shard.keys():  # noqa: SIM118
                layer, _, part = name.rpartition(".")
                if layer in found:
                    found[layer][part] = shard.get_tensor(name)
    return found


def _layer(state: dict[str, torch.Tensor], device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    from hqq.core.quantize import HQQLinear

    layer: Any = HQQLinear(linear_layer=None, quant_config=None, compute_dtype=dtype, device=str(device))
    values = dict(state)
    values["W_q"] = torch.nn.Parameter(values["W_q"], requires_grad=False)
    layer.load_state_dict(values)
    for name in ("scale", "zero"):
        layer.meta[name] = layer.meta[name].to(dtype)
    layer.meta["compute_dtype"] = dtype
    if layer.bias is not None:
        layer.bias = torch.nn.Parameter(layer.bias.to(device, dtype), requires_grad=False)
    return cast(torch.nn.Module, layer)
