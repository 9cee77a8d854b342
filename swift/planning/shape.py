"""A model with its tuner in place (real, or without weights on the meta device) as the numbers of the memory plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from swift.config.sft import SftConfig
from swift.config.tuner import AdapterConfig, LisaConfig, LoraConfig, TunerConfig
from swift.models.fused import GATED, GatedMlp
from swift.models.quantize.layers import number_type, quantized_layers
from swift.models.quantize.size import weight_bytes, weight_elements
from swift.models.structure import decoder_layers, input_embeddings, output_head, text_config
from swift.planning.memory import ModelShape, Training
from swift.planning.optimizer_state import state_bytes
from swift.tuners.extra import Extra

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# What architectures call the width of a feed-forward network, and, of a mixture, its parts.
_WIDTHS = ("intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size", "ffn_embed_dim")
_EXPERT_WIDTHS = ("moe_intermediate_size", "expert_intermediate_size")
_SHARED_WIDTHS = ("shared_expert_intermediate_size", "moe_shared_expert_intermediate_size", "shared_intermediate_size")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")
_GATED = 2.5  # matrices of hidden x width: three with a gate, two without


def base_model(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside a tuned one."""
    from peft import PeftModel
    from transformers import PreTrainedModel

    base = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(base, PreTrainedModel)
    return base


def shape_of(model: nn.Module, stored: int | None = None) -> ModelShape:
    """The model's numbers.

    Args:
        model: With its tuner in place; adapters do not count.
        stored: Bytes of the weights, where the model on the meta device stands for one with quantized layers.
    """
    base = base_model(model)
    config: dict[str, Any] = {**text_config(base).to_dict(), **_standard(base)}
    layers = decoder_layers(base)
    hidden, heads = int(config["hidden_size"]), int(config["num_attention_heads"])
    kv_heads = int(config.get("num_key_value_heads") or heads)
    head_dim = int(config.get("head_dim") or hidden // heads)
    width = _width(config, hidden)
    attention = hidden * head_dim * (2 * heads + 2 * kv_heads)
    own = _adapter_parameters(model)
    in_layer = weight_elements(layers[0]) - _size(layers[0], own, Tensor.numel)
    if stored is None and quantized_layers(base):
        stored = weight_bytes(base) - _size(base, own, lambda p: p.numel() * p.element_size())
    return ModelShape(
        parameters=weight_elements(base) - _size(base, own, Tensor.numel),
        hidden=hidden,
        layers=len(layers),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=width,
        vocab=next(iter(output_head(base).parameters())).shape[0],
        gated=in_layer - attention > _GATED * hidden * width,
        fused_norms=any("rmsnorm" in type(module).__name__.lower() for module in layers[0].modules()),
        fused_gate=any(_is_gate(module, config) for module in layers[0].modules()),
        stored=stored,
        largest=0 if stored is None else hidden * max(width, heads * head_dim),
    )


def _adapter_parameters(model: nn.Module) -> set[nn.Parameter]:
    """Those of an adapter, beside which all others are frozen; none where weights themselves are trained."""
    from peft import PeftModel

    adapted = isinstance(model, PeftModel) or any(isinstance(child, Extra) for child in model.children())
    return {p for p in model.parameters() if adapted and p.requires_grad}


def _size(model: nn.Module, own: set[nn.Parameter], size: Callable[[Tensor], int]) -> int:
    """The size of the adapters in it, by any measure."""
    return sum(size(p) for p in model.parameters() if p in own)


def _is_gate(module: nn.Module, config: dict[str, Any]) -> bool:
    """Whether training replaces it by a fused one, or has: as far as names tell, since the proof needs weights."""
    named = {name for name, _ in module.named_children()} >= GATED and config.get("hidden_act") in ("silu", "swish")
    return named or isinstance(module, GatedMlp)


def training_of(model: nn.Module, config: SftConfig, *, gradient_checkpointing: bool) -> Training:
    """How `model`, with its tuner in place, is trained."""
    base = base_model(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    frozen_type = number_type(base) if any(not p.requires_grad for p in base.parameters()) else trained[0].dtype
    layers = decoder_layers(base)
    rank = config.tuner.rank if isinstance(config.tuner, LoraConfig) else 0
    return Training(
        tuner=_kind(config.tuner),
        trained=_at_a_time(config.tuner, base, trained),
        trained_layers=len(layers) - _lowest(base, layers),
        weight_bytes=frozen_type.itemsize,
        trained_bytes=trained[0].dtype.itemsize,
        master_weights=config.optimizer.master_weights,
        gradient_checkpointing=gradient_checkpointing,
        trains_head=any(p.requires_grad for p in output_head(base).parameters()),
        adapter_rank=rank,
        adapter_layers=_adapters(base) // len(layers),
        state_bytes=state_bytes(
            config.optimizer.name, config.optimizer.options, int(_standard(base)["hidden_size"]), len(layers)
        ),
        in_backward=config.optimizer.updates_in_backward,
        offload=config.optimizer.offload,
        offload_activations=config.loop.offload_activations,
    )


def _kind(tuner: TunerConfig) -> Literal["lora", "full", "freeze"]:
    """Whether weights stay as they are, and if not, whether all are trained."""
    if isinstance(tuner, AdapterConfig):
        return "lora"
    return "full" if tuner.type == "full" else "freeze"


def _at_a_time(tuner: TunerConfig, base: PreTrainedModel, trained: list[nn.Parameter]) -> int:
    """Elements that are trained at a time."""
    total = sum(p.numel() for p in trained)
    if not isinstance(tuner, LisaConfig):
        return total
    layers = decoder_layers(base)
    in_layers = sum(p.numel() for p in layers.parameters())
    return total - in_layers + in_layers * tuner.activated_layers // len(layers)


def _standard(model: PreTrainedModel) -> dict[str, Any]:
    """Values under the names that transformers gives them in every architecture."""
    config = text_config(model)
    return {"hidden_size": config.hidden_size, "num_attention_heads": config.num_attention_heads}


def _width(config: dict[str, Any], hidden: int) -> int:
    """Width of the feed-forward network that a token passes through."""
    dense = _first(config, _WIDTHS) or 4 * hidden  # GPT-2's way of saying nothing
    chosen, expert = _first(config, _CHOSEN), _first(config, _EXPERT_WIDTHS)
    if not chosen:
        return dense
    return chosen * (expert or dense) + (_first(config, _SHARED_WIDTHS) or 0)


def _first(config: dict[str, Any], names: tuple[str, ...]) -> int | None:
    return next((int(value) for name in names if isinstance(value := config.get(name), int) and value > 0), None)


def _lowest(model: PreTrainedModel, layers: nn.ModuleList) -> int:
    """The lowest decoder layer that the backward pass reaches."""
    if any(p.requires_grad for p in input_embeddings(model).parameters()):
        return 0
    reached = (n for n, layer in enumerate(layers) if any(p.requires_grad for p in layer.parameters()))
    return next(reached, len(layers))


def _adapters(model: PreTrainedModel) -> int:
    from peft.tuners.lora import LoraLayer

    return sum(isinstance(module, LoraLayer) for module in model.modules())
