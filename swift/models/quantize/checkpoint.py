"""Checkpoints whose weights are quantized already: what they need, where they run, and where adapters train."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from swift.errors import MissingExtraError, ModelError, ResourceError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_ORIGINAL = "name the 16-bit original; --quant_method bnb loads it in 4 bits"


@dataclass(frozen=True, slots=True)
class Kind:
    """One format.

    Attributes:
        needs: Libraries, by import name.
        install: What installs them; empty where our extra does.
        runs: Types of devices that have kernels for it.
        trains: Those on which the backward pass reaches what lies below a layer, as adapters need.
    """

    needs: tuple[str, ...] = ()
    install: str = ""
    runs: frozenset[str] = frozenset({"cpu", "cuda"})
    trains: frozenset[str] = frozenset({"cpu", "cuda"})


_CUDA = frozenset({"cuda"})
_NOWHERE: frozenset[str] = frozenset()
_GPTQ = Kind(("gptqmodel", "optimum"), "pip install gptqmodel optimum", trains=_CUDA)

_KINDS = {
    "bitsandbytes": Kind(("bitsandbytes", "accelerate"), runs=frozenset({"cpu", "cuda", "xpu"})),
    "torchao": Kind(("torchao", "accelerate")),
    "gptq": _GPTQ,
    "awq": _GPTQ,
    "compressed-tensors": Kind(("compressed_tensors",), trains=_NOWHERE),
    "fp8": Kind(("accelerate",), runs=_CUDA, trains=_NOWHERE),
    "fbgemm_fp8": Kind(("fbgemm_gpu",), "pip install fbgemm-gpu", runs=_CUDA, trains=_NOWHERE),
    "auto-round": Kind(("auto_round",), "pip install auto-round", trains=_NOWHERE),
    "hqq": Kind(("hqq",)),  # read by us: transformers 5 does not
}


def quantization_of(config: PreTrainedConfig) -> dict[str, Any] | None:
    """What config.json says of quantized weights; None where they are plain."""
    for values in (config.to_dict(), config.get_text_config(decoder=True).to_dict()):
        found = values.get("quantization_config")
        if found:
            return dict(found)
    return None


def computes_in_bfloat16(config: PreTrainedConfig) -> bool:
    """Whether layers compute in bfloat16, whatever the model does: compressed-tensors' 4-bit floating point."""
    return (quantization_of(config) or {}).get("format") in ("nvfp4-pack-quantized", "mxfp4-pack-quantized")


def method_of(found: dict[str, Any]) -> str:
    """The format's name, as transformers has it."""
    return str(found.get("quant_method", "unknown")).removeprefix("QuantizationMethod.")


def is_known(found: dict[str, Any]) -> bool:
    """Whether it is one of the formats described here."""
    return method_of(found) in _KINDS


def require_checkpoint(name: str, found: dict[str, Any], device: torch.device, *, training: bool) -> None:
    """Make sure that a quantized checkpoint can be used here, before its weights are read.

    Args:
        name: The model's.
        found: From `quantization_of`.
        training: Whether adapters are to be trained on it.

    Raises:
        ModelError: A library is missing, or nothing can be trained on this format.
        MissingExtraError: One of our own extra is missing.
        ResourceError: The format does not run on `device`.
    """
    method = method_of(found)
    kind = _KINDS.get(method)
    if kind is None:  # transformers knows whether it can be used, and says so
        return
    if device.type not in kind.runs:
        where = ", ".join(sorted(kind.runs)) or "no device with this transformers"
        raise ResourceError(f"weights of {name} are {method}, which does not run on {device}", hint=_way(where))
    missing = [library for library in kind.needs if find_spec(library) is None]
    if missing and not kind.install:
        raise MissingExtraError(missing[0], extra="quant", why=f"{name}, whose weights are {method},")
    if missing:
        raise ModelError(f"weights of {name} are {method}, which needs {missing[0]}", hint=kind.install)
    if training and device.type not in kind.trains:
        what = "only run, not trained on" if not kind.trains else f"for inference only on {device}"
        raise ResourceError(f"weights of {name} are {method}: {what}", hint=_ORIGINAL)


def _way(where: str) -> str:
    return f"it runs on: {where}; or {_ORIGINAL}"


def describe_checkpoint(found: dict[str, Any]) -> str:
    """In words."""
    bits = found.get("bits") or (4 if found.get("load_in_4bit") else 8 if found.get("load_in_8bit") else None)
    return f"{method_of(found)}{'' if bits is None else f', {bits} bits'}, as in the checkpoint"


def checkpoint_bits(found: dict[str, Any]) -> float:
    """Bits of a weight with its scales, for an estimate; 8 where the checkpoint does not say."""
    bits = found.get("bits") or (4 if found.get("load_in_4bit") else 8)
    return float(bits) + 0.5
