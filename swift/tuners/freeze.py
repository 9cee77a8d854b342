"""Training the weights themselves: all of them, or those that are not frozen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from swift.config.tuner import FreezeConfig, FullConfig, PartsConfig
from swift.errors import ConfigError, UnknownNameError
from swift.models.parts import Part, parts_by_parameter
from swift.models.structure import decoder_layers, input_embeddings

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Trainable:
    """What a tuner chose.

    Attributes:
        names: The trainable parameters, in the model's order.
        trained: Their number of elements.
        total: The number of elements of the whole model.
    """

    names: tuple[str, ...]
    trained: int
    total: int


def frozen_parts(config: PartsConfig) -> frozenset[Part]:
    """The parts that stay as they are."""
    switches: dict[Part, bool] = {
        "llm": config.freeze_llm,
        "vit": config.freeze_vit,
        "aligner": config.freeze_aligner,
    }
    return frozenset(part for part, frozen in switches.items() if frozen)


def train_all(model: PreTrainedModel, config: FullConfig) -> Trainable:
    """Make every floating-point parameter of the parts that are not frozen trainable.

    Raises:
        ConfigError: There is none, as when all weights are quantized or all parts are frozen.
    """
    parts, frozen = parts_by_parameter(model), frozen_parts(config)
    for parameter in model.parameters():
        trained = parameter in parts and parts[parameter] not in frozen
        parameter.requires_grad_(trained and parameter.is_floating_point())
    return _chosen(model, hint="freeze less; weights that are quantized cannot be trained: --tuner_type lora")


def train_unfrozen(model: PreTrainedModel, config: FreezeConfig) -> Trainable:
    """Freeze what `config` says; the rest is trained.

    A ratio above 0 freezes the embeddings and that share of the decoder layers, rounded down, from the bottom.
    Prefixes and regular expressions (searched anywhere in a name) add to it; what `train` and `train_regex` name is
    trained after all. A prefix ends at a dot: `model.layers.1` does not mean `model.layers.10`. A tied parameter
    answers to each of its names.

    Raises:
        ConfigError: Nothing is frozen, nothing is left to train, or a regular expression is wrong or matches nothing.
        UnknownNameError: A prefix matches no parameter.
    """
    names = _all_names(model)
    parts, whole = parts_by_parameter(model), frozen_parts(config)
    frozen: set[nn.Parameter] = {p for p in model.parameters() if p not in parts or parts[p] in whole}
    frozen |= set(_bottom(model, config.ratio))
    for prefix in config.freeze:
        frozen |= _with_prefix(names, prefix, "freeze")
    if config.freeze_regex is not None:
        frozen |= _matching(names, config.freeze_regex, "freeze_regex")
    if not frozen:
        raise ConfigError(
            "tuner.type is freeze and nothing is frozen",
            hint="set --freeze_parameters_ratio or --freeze_parameters, or use --tuner_type full",
        )
    for prefix in config.train:
        frozen -= _with_prefix(names, prefix, "train")
    if config.train_regex is not None:
        frozen -= _matching(names, config.train_regex, "train_regex")
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.is_floating_point() and parameter not in frozen)
    return _chosen(model, hint="freeze less, or name what is trained with --trainable_parameters")


def _bottom(model: PreTrainedModel, ratio: float) -> Iterable[nn.Parameter]:
    """Embeddings and the lowest share of the layers; nothing at ratio 0."""
    if ratio == 0.0:
        return
    embeddings = input_embeddings(model)
    yield from embeddings.parameters()
    layers = decoder_layers(model)
    for layer in layers[: int(ratio * len(layers) + 1e-6)]:
        yield from layer.parameters()


def _all_names(model: PreTrainedModel) -> list[tuple[str, nn.Parameter]]:
    return list(model.named_parameters(remove_duplicate=False))


def _with_prefix(names: list[tuple[str, nn.Parameter]], prefix: str, field: str) -> set[nn.Parameter]:
    stem = prefix.rstrip(".")
    found = {parameter for name, parameter in names if name == stem or name.startswith(f"{stem}.")}
    if not found:
        parts = [name.split(".") for name, _ in names]
        known = sorted({".".join(part[:depth]) for part in parts for depth in range(1, len(part) + 1)})
        raise UnknownNameError(f"prefix in tuner.{field}:", prefix, known, hint=f"parameters look like {names[0][0]}")
    return found


def _matching(names: list[tuple[str, nn.Parameter]], expression: str, field: str) -> set[nn.Parameter]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(f"tuner.{field} {expression!r} is not a regular expression: {error}") from error
    found = {parameter for name, parameter in names if pattern.search(name)}
    if not found:
        raise ConfigError(
            f"tuner.{field} {expression!r} matches no parameter", hint=f"parameters look like {names[0][0]}"
        )
    return found


def _chosen(model: PreTrainedModel, *, hint: str) -> Trainable:
    chosen = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not chosen:
        raise ConfigError("no parameter is left to train", hint=hint)
    return Trainable(
        names=tuple(name for name, _ in chosen),
        trained=sum(parameter.numel() for _, parameter in chosen),
        total=sum(parameter.numel() for parameter in model.parameters()),
    )
