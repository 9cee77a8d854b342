"""PEFT's configuration of every technique but LoRA, from ours, or from a technique's name in PEFT."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from swift.config.tuner import (
    AdaLoraConfig,
    AdapterConfig,
    BoftConfig,
    Ia3Config,
    LayerAdapterConfig,
    MissConfig,
    NormConfig,
    PeftConfig,
    PTuningConfig,
    TokensConfig,
)
from swift.errors import ConfigError, UnknownNameError
from swift.models.quantize.layers import is_linear, sizes
from swift.models.structure import embedding_rows, language_model, linear_layer_names
from swift.models.vocabulary import token_modules
from swift.tuners.targets import ALL_LINEAR, ends_of_sublayers, full_modules, shorten, target_layers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_COMMON = frozenset(LayerAdapterConfig.model_fields) | {"type"}
_NAMES: dict[str, dict[str, str]] = {
    "adalora": {"alpha": "lora_alpha", "dropout": "lora_dropout", "delta_t": "deltaT"},
    "vera": {"rank": "r", "dropout": "vera_dropout"},
    "boft": {name: f"boft_{name}" for name in ("block_size", "block_num", "n_butterfly_factor", "dropout")},
    "oft": {"rank": "r", "block_size": "oft_block_size"},
    "loha": {"rank": "r"},
    "lokr": {"rank": "r"},
    "miss": {"rank": "r", "dropout": "miss_dropout", "init": "init_weights"},
    "ptuning": {
        "encoder": "encoder_reparameterization_type",
        "hidden_size": "encoder_hidden_size",
        "layers": "encoder_num_layers",
        "dropout": "encoder_dropout",
    },
    "prefix": {"projection": "prefix_projection", "hidden_size": "encoder_hidden_size"},
}
"""Our options to PEFT's, where they differ, by technique."""

_METHODS = {
    "ln": "LN_TUNING",
    "tokens": "TRAINABLE_TOKENS",
    "prompt": "PROMPT_TUNING",
    "ptuning": "P_TUNING",
    "prefix": "PREFIX_TUNING",
}
"""PEFT's names of techniques, where they differ from ours."""

_KEYS_AND_VALUES = ("k_proj", "v_proj", "key", "value", "query_key_value", "qkv_proj", "Wqkv", "c_attn", "kv_b_proj")
NOT_ALONE = {
    "xlora": "it mixes several trained adapters",
    "arrow": "it routes between several trained adapters",
    "poly": "it needs a task number with every row",
    "multitask_prompt_tuning": "it needs a task number with every row",
    "cpt": "it needs the kind of every token",
    "cartridge": "it begins with the cache of a text",
    "adaption_prompt": "it replaces the attention of two architectures by its own, which knows no cache of today",
    "shadow": "it runs a second, smaller model beside the layers",
    "frod": "its sparse tensors have no storage that a checkpoint could be made of",
    "shira": "its sparse tensors have no storage that a checkpoint could be made of",
    "lily": "loaded again, PEFT 0.21 computes something else than was trained",
}
"""Techniques of PEFT that rows alone cannot train, or not as they should, and why."""

NOT_MERGED = ("osf",)
"""Techniques of PEFT whose merged weights are not those that were trained, by measurement."""

_OURS_TO_SET = frozenset(
    ("task_type", "peft_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode")
)
"""Fields of PEFT's configurations that are no options of a technique."""

_OUR_OWN = ("adapter", "reft")
OWN_TYPES = {
    _METHODS.get(name, name.upper()).lower(): name for name in (*_NAMES, *_METHODS, "lora", "ia3", "fourierft")
}
"""Techniques of PEFT that have a class of options here."""


def peft_config(model: PreTrainedModel, config: AdapterConfig) -> Any:
    """PEFT's configuration for `model`.

    Raises:
        ConfigError: The technique does not fit the model, or cannot be trained here.
        UnknownNameError: `config` names a technique or an option that PEFT does not have.
    """
    if isinstance(config, PeftConfig):
        return _by_name(model, config)
    from peft import mapping

    kind = mapping.PEFT_TYPE_TO_CONFIG_MAPPING
    return kind[method_name(config)](task_type="CAUSAL_LM", **_options(model, config))  # type: ignore[index]


def known_methods() -> dict[str, Any]:
    """Names of the techniques of the installed PEFT, in lower case, and their configuration classes."""
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    return {kind.value.lower(): cls for kind, cls in sorted(PEFT_TYPE_TO_CONFIG_MAPPING.items())}


def method_options(config: PeftConfig) -> Any:
    """The configuration class of a technique by name, after its options' names were checked; reads no weights.

    Raises:
        ConfigError: No technique is named, or it cannot be trained here.
        UnknownNameError: PEFT does not have it, or not with such an option.
    """
    methods, name = known_methods(), config.method.lower()
    if not name:
        raise ConfigError("tuner.type is peft, and tuner.method says nothing", hint="--peft_method randlora, say")
    if name not in methods:
        raise UnknownNameError("technique of PEFT", name, list(methods), hint=f"known: {', '.join(methods)}")
    if name in OWN_TYPES:
        raise ConfigError(f"{name} has options of its own here", hint=f"--tuner_type {OWN_TYPES[name]}")
    if name in NOT_ALONE:
        raise ConfigError(f"tuner.method {name} cannot be trained here: {NOT_ALONE[name]}", hint="choose another")
    fields = {field.name for field in dataclasses.fields(methods[name])} - _OURS_TO_SET
    for option in config.options:
        if option not in fields:
            known = sorted(fields)
            raise UnknownNameError(f"option of {name}:", option, known, hint=f"known: {', '.join(known)}")
    return methods[name]


def _by_name(model: PreTrainedModel, config: PeftConfig) -> Any:
    cls = method_options(config)
    fields = {field.name for field in dataclasses.fields(cls)}
    given: dict[str, Any] = {}
    if "target_modules" in fields:
        given["target_modules"] = target_layers(model, config)
    if "modules_to_save" in fields:
        given["modules_to_save"] = full_modules(model, config) or None
    try:
        return cls(task_type="CAUSAL_LM", **{**given, **config.options})
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"tuner.options of {config.method}: {str(error).splitlines()[0]}", hint="see PEFT's documentation of it"
        ) from error


def method_name(config: AdapterConfig) -> str:
    """PEFT's own name of a technique, in capitals."""
    if isinstance(config, PeftConfig):
        return config.method.upper()
    return _METHODS.get(config.type, config.type.upper())


def type_of(method: str) -> str | None:
    """Our own type of the technique that PEFT, or an adapter's file, calls `method`; None where there is none."""
    return method if method in _OUR_OWN else OWN_TYPES.get(method.lower())


def _options(model: PreTrainedModel, config: AdapterConfig) -> dict[str, Any]:
    own = {name: value for name, value in config.model_dump().items() if name not in _COMMON and value is not None}
    names = _NAMES.get(config.type, {})
    options = {names.get(name, name): value for name, value in own.items()}
    if isinstance(config, LayerAdapterConfig):
        options["target_modules"] = target_layers(model, config)
    if not isinstance(config, TokensConfig):
        options["modules_to_save"] = full_modules(model, config) or None
    if isinstance(config, Ia3Config):
        return options | _ia3(model, config)
    if isinstance(config, AdaLoraConfig):
        return options | {"total_step": 10**9}  # told once the run is known
    if isinstance(config, BoftConfig):
        _require_blocks(model, config, options["target_modules"])
    if isinstance(config, MissConfig):
        return options | {"init_weights": config.init if config.init != "true" else True}
    if isinstance(config, NormConfig):
        return options | {"target_modules": norms(model)}
    if isinstance(config, TokensConfig):
        return _tokens(model, config)
    if isinstance(config, PTuningConfig):
        return options | {"encoder_reparameterization_type": config.encoder.upper()}
    return options


def _require_blocks(model: PreTrainedModel, config: BoftConfig, targets: str | list[str]) -> None:
    """PEFT tells of one that does not fit only once there are weights to turn."""
    for name, module in model.named_modules():
        if not is_linear(module) or not _is_target(name, targets):
            continue
        inputs, _ = sizes(module)
        if inputs % (config.block_size or config.block_num):
            given = f"block_size {config.block_size}" if config.block_size else f"block_num {config.block_num}"
            raise ConfigError(f"--boft_{given} does not divide the {inputs} inputs of {name}", hint="one that does")


def _is_target(name: str, targets: str | list[str]) -> bool:
    if isinstance(targets, str):
        return re.fullmatch(targets, name) is not None
    return any(name == target or name.endswith(f".{target}") for target in targets)


def _ia3(model: PreTrainedModel, config: Ia3Config) -> dict[str, Any]:
    """Keys, values, and the inner activations, which are the inputs of the last layer of a feed-forward network."""
    linear = linear_layer_names(model)
    attention = [name for name in linear if name.rsplit(".", 1)[-1] in _KEYS_AND_VALUES]
    blocks = {name.rsplit(".", 1)[0] for name in attention}
    inner = [name for name in ends_of_sublayers(model) if name.rsplit(".", 1)[0] not in blocks]
    if config.targets != ALL_LINEAR or config.target_regex is not None:
        # An expression, because PEFT wants a list of these to be part of the list of targets, name by name.
        endings = "|".join(re.escape(name) for name in shorten(inner, model))
        feed_forward = rf"(.*\.)?({endings})" if inner else []
        return {"target_modules": target_layers(model, config), "feedforward_modules": feed_forward}
    if not attention or not inner:
        raise ConfigError(
            "tuner.type ia3 does not know this architecture's keys, values and feed-forward networks",
            hint="name the layers: --target_modules",
        )
    return {"target_modules": shorten(attention + inner, model), "feedforward_modules": shorten(inner, model)}


def norms(model: PreTrainedModel) -> list[str]:
    """Full names of the language model's norms that have a weight."""
    inside = {id(module) for module in language_model(model).modules()}
    found = [
        name
        for name, module in model.named_modules()
        if id(module) in inside
        and "norm" in type(module).__name__.lower()
        and dict(module.named_parameters(recurse=False))
    ]
    if not found:
        raise ConfigError("tuner.type ln finds no norm in this model", hint="use another technique")
    return found


def _tokens(model: PreTrainedModel, config: TokensConfig) -> dict[str, Any]:
    rows = embedding_rows(model)
    wrong = [number for number in config.token_ids if not 0 <= number < rows]
    if not config.token_ids or wrong:
        what = f"{wrong[0]}, which is no token's number" if wrong else "nothing"
        raise ConfigError(f"tuner.token_ids names {what}", hint=f"numbers are 0 to {rows - 1}")
    return {"token_indices": list(config.token_ids), "target_modules": token_modules(model)}
