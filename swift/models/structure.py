"""The parts of a causal language model, found in its module tree; no architecture is named here."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from swift.errors import ModelError
from swift.models.head import HeadTransform, measure_transform
from swift.models.quantize.layers import is_linear, sizes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

__all__ = [
    "HeadTransform",
    "backbone",
    "decoder_layers",
    "embedding_rows",
    "generating",
    "head_dim",
    "head_is_tied",
    "head_transform",
    "input_embeddings",
    "is_composite",
    "language_model",
    "linear_layer_names",
    "output_head",
    "residual_ends",
    "special_ids",
]

_ARCHITECTURES = "transformers.models."
_EXPERT_COUNTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "num_moe_experts")


def generating(model: PreTrainedModel) -> PreTrainedModel:
    """The part that generates text: the model itself, or that part of a larger system (with a speaker, say)."""
    from transformers import PreTrainedModel

    if isinstance(model.get_output_embeddings(), nn.Module):
        return model
    parts = (child for child in model.children() if isinstance(child, PreTrainedModel))
    return next((part for part in parts if isinstance(part.get_output_embeddings(), nn.Module)), model)


def is_composite(model: PreTrainedModel) -> bool:
    """Whether the language model is one part among others, with a configuration of its own."""
    return text_config(model) is not generating(model).config


def backbone(model: PreTrainedModel) -> nn.Module:
    """The part that takes token ids and media and ends in hidden states; the same object inside a PEFT model.

    Of a text model it is the language model; of a multimodal one it holds the towers, too. Where an architecture has
    no such part apart from its head, it is the generating model itself, which ends in logits.

    Raises:
        ModelError: The model has no inner decoder.
    """
    from transformers import PreTrainedModel

    whole = generating(model)
    if not is_composite(whole):
        return language_model(whole)
    inner = whole.base_model
    return inner if isinstance(inner, PreTrainedModel) else whole


def language_model(model: PreTrainedModel) -> nn.Module:
    """The inner decoder, whose output has `last_hidden_state`; the same object inside a PEFT model.

    Raises:
        ModelError: The model is not a decoder with a head.
    """
    from transformers import PreTrainedModel

    whole = generating(model)
    inside = [module for module in whole.modules() if isinstance(module, PreTrainedModel) and module is not whole]
    if is_composite(whole):
        text = text_config(whole)
        named = [module for module in inside if module.config is text]
        if named:
            return named[0]
    children = [child for child in whole.children() if isinstance(child, PreTrainedModel)]
    for inner in (whole.get_decoder(), whole.base_model, *children):
        if isinstance(inner, PreTrainedModel) and inner is not whole:
            return cast(nn.Module, inner)
    raise ModelError(f"{type(model).__name__} has no inner decoder", hint="only causal language models can be tuned")


def output_head(model: PreTrainedModel) -> nn.Module:
    """The module from hidden states to one value per vocabulary entry.

    Raises:
        ModelError: There is none.
    """
    head = generating(model).get_output_embeddings()
    if not isinstance(head, nn.Module):
        raise ModelError(f"{type(model).__name__} has no output head", hint="only causal language models can be tuned")
    return head


def input_embeddings(model: PreTrainedModel) -> nn.Module:
    """The module from token ids to vectors."""
    whole = generating(model)
    try:
        embeddings: nn.Module = whole.get_input_embeddings()
    except NotImplementedError:  # a whole that does not tell; its decoder does
        embeddings = whole.get_decoder().get_input_embeddings()
    return embeddings


def embedding_rows(model: PreTrainedModel) -> int:
    """Token ids that the model knows: 0 up to this."""
    # An adapter may have wrapped the embeddings; its own weights have fewer rows.
    return max(weight.shape[0] for weight in input_embeddings(model).parameters() if weight.dim() == 2)


def head_is_tied(model: PreTrainedModel) -> bool:
    """Whether the output head and the input embedding are one and the same weight."""
    weights = [
        {id(weight) for weight in module.parameters(recurse=False) if weight.dim() > 1}
        for module in (output_head(model), input_embeddings(model))
    ]
    return bool(weights[0] & weights[1])


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The stack of decoder layers, bottom first.

    Raises:
        ModelError: There is no such stack.
    """
    stacks = [module for module in language_model(model).modules() if isinstance(module, nn.ModuleList) and len(module)]
    depth = text_config(model).to_dict().get("num_hidden_layers")
    for stack in (*(stack for stack in stacks if len(stack) == depth), *stacks):
        if not isinstance(stack[0], nn.ModuleList):
            return stack
    raise ModelError(f"{type(model).__name__} has no stack of layers", hint="name the parameters to train instead")


def text_config(model: PreTrainedModel) -> PreTrainedConfig:
    """The configuration of the language model; of a composite model, its text part."""
    config: PreTrainedConfig = generating(model).config
    return config.get_text_config(decoder=True)


def head_dim(model: PreTrainedModel) -> int:
    """Rows of a query projection that make an attention head; 0 where the architecture does not say."""
    config = text_config(model).to_dict()
    heads = int(config.get("num_attention_heads") or 0)
    return int(config.get("head_dim") or (config.get("hidden_size", 0) // heads if heads else 0))


def special_ids(model: PreTrainedModel) -> frozenset[int]:
    """Token ids to which the configuration gives a meaning, such as that of a picture."""
    values = {**text_config(model).to_dict(), **generating(model).config.to_dict()}
    names = [name for name in values if name.endswith(("_token_id", "_token_index"))]
    return frozenset(values[name] for name in names if type(values[name]) is int)


def head_transform(model: PreTrainedModel) -> HeadTransform | None:
    """What happens between the output head and the logits; None where it is more than a scale and a soft cap.

    Runs the model once on a few tokens.
    """
    whole = generating(model)
    inner = backbone(whole)
    return None if inner is whole else measure_transform(whole, inner, output_head(whole))


def linear_layer_names(model: PreTrainedModel, inside: Collection[nn.Module] | None = None) -> list[str]:
    """Full names of the layers that `all-linear` means, in the order of the module tree.

    Every linear layer of the language model, quantized ones and GPT-2's transposed ones included, except

    - the output head;
    - routers of mixtures of experts, which a low-rank update would unbalance;
    - the output projection of state-space mixers, whose fused kernels read the weight and skip the layer;
    - that of torch's own attention, which reads its weight, too;
    - an architecture's own classes of linear layers where they compute something else (in groups, say).

    Experts that are kept in one stacked parameter are not layers, and so not listed.

    Args:
        inside: The modules whose layers are meant; None is the language model.
    """
    head = output_head(model)
    known = {id(module) for outer in inside or (language_model(model),) for module in outer.modules()}
    experts = _expert_counts(text_config(model))
    names = []
    for parent_name, parent in model.named_modules():
        if isinstance(parent, nn.MultiheadAttention):
            continue
        for name, layer in parent.named_children():
            if not is_linear(layer) or layer is head or id(layer) not in known:
                continue
            if type(layer).__module__.startswith(_ARCHITECTURES) and not _is_plain(layer):
                continue
            full = f"{parent_name}.{name}" if parent_name else name
            if not _is_router(full, layer, experts) and not (name == "out_proj" and _is_state_space(parent)):
                names.append(full)
    return names


def residual_ends(layer: nn.Module) -> list[nn.Module]:
    """The last linear layer of each part of a decoder layer: those that lead back to the hidden states."""
    from transformers.pytorch_utils import Conv1D

    found: list[nn.Module] = []
    for part in layer.children():
        linear = [module for module in part.modules() if isinstance(module, nn.Linear | Conv1D)]
        found += linear[-1:]
    return found


def has_experts(model: PreTrainedModel) -> bool:
    """Whether the language model is a mixture of experts."""
    return bool(_expert_counts(text_config(model)))


def _expert_counts(config: PreTrainedConfig) -> frozenset[int]:
    values = config.to_dict()
    return frozenset(value for name in _EXPERT_COUNTS if isinstance(value := values.get(name), int) and value > 1)


def _is_router(name: str, layer: nn.Module, experts: frozenset[int]) -> bool:
    """One output per expert, and called a gate or router, itself or its parent."""
    words = name.lower().split(".")[-2:]
    _, outputs = sizes(layer)
    return outputs in experts and any("gate" in word or "router" in word for word in words)


@torch.no_grad()
def _is_plain(layer: nn.Module) -> bool:
    """Whether a layer whose class an architecture defines computes what a linear layer does."""
    weights = dict(layer.named_parameters(recurse=False))
    inputs, outputs = sizes(layer)
    x = torch.ones(1, 1, inputs).to(weights["weight"])
    weight = weights["weight"] if weights["weight"].shape[0] == outputs else weights["weight"].t()
    expected = F.linear(x, weight, weights.get("bias"))
    try:
        found = layer(x)
    except (RuntimeError, TypeError, ValueError):
        return False
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return False
    return found.is_meta or torch.allclose(found, expected)  # without weights, shapes are all there is


def _is_state_space(mixer: nn.Module) -> bool:
    """Mamba and its kin: a decay `A_log` and a skip `D` (arXiv 2312.00752)."""
    return {"A_log", "D"} <= {name for name, _ in mixer.named_parameters(recurse=False)}
