"""Which device, and which number type on it."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from swift.config.model import ModelConfig
from swift.errors import ConfigError, ResourceError
from swift.models.quantize.checkpoint import computes_in_bfloat16

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_ACCELERATORS = ("cuda", "mps", "xpu", "npu")
_FAST_BF16 = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86 and, last, Arm


def resolve_device(name: str) -> torch.device:
    """The device called `name`; `auto` is the first accelerator, else the CPU. Accelerators get an index.

    Raises:
        ResourceError: There is no such device here.
    """
    if name == "auto":
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return torch.device("cpu") if found is None else torch.device(found.type, 0)
    kind, _, number = name.partition(":")
    if kind == "cpu" and not number:
        return torch.device("cpu")
    if kind not in _ACCELERATORS or (number and not number.isdecimal()):
        raise ResourceError(f"no such device: {name!r}", hint="devices are cpu, cuda, cuda:0, mps, xpu, npu or auto")
    here = available_devices()
    count = sum(device.type == kind for device in here)
    index = int(number or 0)
    if index >= count:
        names = ", ".join(str(device) for device in here)
        raise ResourceError(f"device {name} is not here: there are {count} of kind {kind}", hint=f"available: {names}")
    return torch.device(kind, index)


def available_devices() -> list[torch.device]:
    """Every device that torch can use: accelerators first, the CPU last."""
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    count = torch.accelerator.device_count() if found is not None else 0
    return [torch.device(found.type, index) for index in range(count) if found is not None] + [torch.device("cpu")]


def resolve_dtype(config: ModelConfig, hf_config: PreTrainedConfig, device: torch.device) -> torch.dtype:
    """The type of weights and computation.

    Weights in a format that computes in bfloat16 only go with that. Of others a type that is named is taken. `auto` is
    bfloat16 where the device has units for it, else float32: torch emulates bfloat16 elsewhere, and on a CPU that takes
    ten to a hundred times as long. Devices of which it is not known (MPS) keep 16 bit checkpoints in bfloat16.

    Raises:
        ConfigError: The weights' format does not compute in the type that is named.
    """
    if computes_in_bfloat16(hf_config):
        if config.dtype not in ("auto", "bfloat16"):
            raise ConfigError(
                f"--torch_dtype {config.dtype}: weights of {config.id} are in a format that computes in bfloat16 only",
                hint="take it out",
            )
        return torch.bfloat16
    if config.dtype != "auto":
        chosen = getattr(torch, config.dtype)
        assert isinstance(chosen, torch.dtype)
        return chosen
    fast = has_fast_bf16(device)
    if device.type in ("cpu", "cuda"):
        return torch.bfloat16 if fast else torch.float32
    stored = hf_config.get_text_config(decoder=True).dtype or hf_config.dtype
    return torch.bfloat16 if fast or stored in (torch.bfloat16, torch.float16) else torch.float32


def dtype_warning(dtype: torch.dtype, device: torch.device, hf_config: PreTrainedConfig) -> str | None:
    """What to tell a user whose number type is emulated on this device; None where it is not."""
    if device.type not in ("cpu", "cuda") or dtype != torch.bfloat16 or has_fast_bf16(device):
        return None
    kind = "CPU" if device.type == "cpu" else "GPU"
    if computes_in_bfloat16(hf_config):
        way_out = "and these weights compute in nothing else: weights in another format are many times faster"
    else:
        way_out = "--torch_dtype float32 is many times faster"
    return f"slow path: this {kind} has no bfloat16 units and emulates them; {way_out}"


def has_fast_bf16(device: torch.device) -> bool:
    """Whether `device` computes in bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(cpu_features() & _FAST_BF16)
    return device.type in ("xpu", "npu")


@functools.cache
def cpu_features() -> frozenset[str]:
    """Instruction sets that the operating system names; empty where it names none."""
    if sys.platform != "linux":
        return frozenset()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
