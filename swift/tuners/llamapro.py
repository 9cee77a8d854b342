"""LLaMA-Pro (arXiv 2401.02415): new decoder layers between the old ones."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from swift.config.tuner import LlamaProConfig
from swift.errors import ConfigError
from swift.models.structure import decoder_layers, generating, residual_ends, text_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def expand(model: PreTrainedModel, config: LlamaProConfig, *, expanded: bool) -> None:
    """Put copies of layers behind the last layer of each group, and train these alone.

    The layers that lead back to the hidden states begin at zero in a copy, so that it changes nothing at first. The
    model's configuration counts the new layers: it is saved and loaded as any other of its architecture.

    Args:
        model: Changed in place.
        config: How many.
        expanded: The new layers are there already, in a checkpoint of such a run.

    Raises:
        ConfigError: The numbers do not go into each other.
    """
    layers = decoder_layers(model)
    old = len(layers) - (config.new_blocks if expanded else 0)
    places = new_places(old, config)
    if not expanded:
        before = _probe(model)
        _insert(model, layers, places)
        _require_same(before, _probe(model), model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for place in places:
        for parameter in layers[place].parameters():
            parameter.requires_grad_(parameter.is_floating_point())


def new_places(old: int, config: LlamaProConfig) -> list[int]:
    """Where the new layers stand among all.

    Args:
        old: Number of the model's own layers.

    Raises:
        ConfigError: The numbers do not go into each other.
    """
    groups = config.groups or config.new_blocks
    if old % groups or config.new_blocks % groups:
        raise ConfigError(
            f"tuner.groups {groups} must divide the {old} layers and tuner.new_blocks {config.new_blocks}",
            hint=f"{old} can be divided by {', '.join(str(n) for n in range(1, old + 1) if old % n == 0)}",
        )
    each, new = old // groups, config.new_blocks // groups
    return [group * (each + new) + each + number for group in range(groups) for number in range(new)]


@torch.no_grad()
def _insert(model: PreTrainedModel, layers: nn.ModuleList, places: list[int]) -> None:
    settings: Any = text_config(model)
    per_layer = {name: value for name, value in settings.to_dict().items() if _is_per_layer(value, len(layers))}
    for place in places:
        layer = copy.deepcopy(layers[place - 1])
        for end in residual_ends(layer):
            for parameter in end.parameters():
                parameter.zero_()
        layers.insert(place, layer)
        for value in per_layer.values():
            value.insert(place, value[place - 1])
    settings.update({**per_layer, "num_hidden_layers": len(layers)})
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if "layer_idx" in vars(module):
                vars(module)["layer_idx"] = number


def _require_same(before: Tensor | None, after: Tensor | None, model: PreTrainedModel) -> None:
    if before is not None and after is not None and not torch.allclose(before, after, atol=1e-3, rtol=1e-3):
        raise ConfigError(
            f"the layers of {type(model).__name__} cannot be copied so that a copy changes nothing",
            hint="use another technique",
        )


@torch.no_grad()
def _probe(model: PreTrainedModel) -> Tensor | None:
    """Logits of a few tokens; None without weights."""
    device = next(model.parameters()).device
    if device.type == "meta":
        return None
    logits: Tensor = generating(model)(input_ids=torch.arange(1, 9, device=device)[None], use_cache=False).logits
    return logits.float()


def _is_per_layer(value: object, count: int) -> bool:
    return isinstance(value, list) and len(value) == count
