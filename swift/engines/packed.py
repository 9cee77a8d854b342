"""Linear layers in the layout that the CPU's matrix units want.

For one or a few rows, a bfloat16 product is bound by reading the weight; torch's plain layout makes the
library repack it at every call. Packing once makes decoding on the CPU about one and a half times as fast.
The products are the same up to the order of summation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from swift.models.quantize.layers import is_quantized

_MINIMUM = 1 << 12
"""Weights smaller than this are not worth a layout of their own."""


class PackedLinear(nn.Module):
    """A linear layer for inference on the CPU: `y = x W^T + b` with a packed W.

    Args:
        linear: The layer whose weight [out, in] and bias are taken over.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features = linear.in_features
        self.out_features = linear.out_features
        self._weight = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._bias = None if linear.bias is None else linear.bias.detach()

    def plain(self) -> nn.Linear:
        """A linear layer with the same weight."""
        weight = self._weight.to_dense()
        linear = nn.Linear(self.in_features, self.out_features, bias=self._bias is not None, device="meta")
        linear.weight = nn.Parameter(weight, requires_grad=False)
        if self._bias is not None:
            linear.bias = nn.Parameter(self._bias, requires_grad=False)
        return linear.eval()

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] -> [..., out]."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return y


def can_pack(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this machine multiplies packed weights of this type."""
    return (
        device.type == "cpu"
        and dtype == torch.bfloat16
        and torch.backends.mkldnn.is_available()
        and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def pack_linears(model: nn.Module) -> int:
    """Replace the plain linear layers of a model that will only be used for inference; returns how many.

    Layers stay that do more than their product, by hooks, or that others may read the weight of: those inside
    adapters and adapter layers, plain LoRA's excepted, and subclasses of `nn.Linear`.
    """
    packed = 0
    for name, layer in list(model.named_modules()):
        if type(layer) is not nn.Linear or layer.weight.numel() < _MINIMUM or layer.weight.dtype != torch.bfloat16:
            continue
        if is_quantized(layer) or layer._forward_hooks or layer._forward_pre_hooks:
            continue
        if _read_by_others(model, name):
            continue
        model.set_submodule(name, PackedLinear(layer))
        packed += 1
    return packed


def unpack_linears(model: nn.Module) -> None:
    """The inverse of `pack_linears`."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, PackedLinear):
            model.set_submodule(name, layer.plain())


def _read_by_others(model: nn.Module, name: str) -> bool:
    """Whether the layer belongs to an adapter: only the base layer of plain LoRA is known to be just called."""
    from peft.tuners.lora import LoraLayer
    from peft.tuners.tuners_utils import BaseTunerLayer

    from swift.tuners.extra import Extra

    parents = [model.get_submodule(name.rsplit(".", depth)[0]) for depth in range(1, name.count(".") + 1)]
    if any(isinstance(parent, Extra) for parent in parents):
        return True
    adapters: list[object] = [parent for parent in parents if isinstance(parent, BaseTunerLayer)]
    if not adapters:
        return False
    plain = all(isinstance(layer, LoraLayer) and not layer.lora_variant for layer in adapters)
    return not plain or not name.endswith(".base_layer")
