"""Shrinking the default configuration of an architecture, by the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from swift.models.tiny.layers import kept_layers
from swift.models.tiny.tables import exception, merge, sizes
from swift.models.tiny.tokenizer import VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_NONE_BREAKS = ("head_dim", "num_key_value_heads", "num_experts_per_tok", "attn_layer_indices")
"""Fields that architectures derive from a default they do not have, or from sizes that no longer fit."""

_VOCABULARIES = ("vocab_size", "unpadded_vocab_size", "vocab_size_per_layer_input")

_LANGUAGE = ("text", "decoder", "thinker", "talker", "vlm", "dit")
"""Parts of a composite model whose field is called so are language models; the others encode something."""


def shrunk(
    config_class: type[PreTrainedConfig],
    default: Mapping[str, Any],
    *,
    vocab_size: int = VOCABULARY,
    role: str = "text",
) -> dict[str, Any]:
    """Constructor arguments for a tiny configuration of this class.

    Args:
        config_class: Of the whole model or of a part.
        default: Its default values, as a nested dictionary.
        vocab_size: Rows of the embedding of each language model in it.
        role: `text`, or `tower` for an encoder of something else.
    """
    values = {
        name: _fit(size, default[name])
        for name, size in sizes(role).items()
        if _is_size(default.get(name)) or (name in _NONE_BREAKS and name in default and default[name] is None)
    }
    if default.get("qk_rope_head_dim"):  # latent attention: as many key heads as heads
        values["num_key_value_heads"] = values.get("num_attention_heads", 4)
    if "expand" in default and "num_heads" in values:  # Mamba-2: heads fill the expanded width
        values["num_heads"] = default["expand"] * values["hidden_size"] // values.get("head_dim", 16)
    values |= kept_layers(default, values)
    values |= _rope(default, values)
    if role == "text":
        values |= {**dict.fromkeys(_VOCABULARIES, vocab_size), "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    known = set(default) | set(config_class.attribute_map) | {"pad_token_id"}
    values = {name: value for name, value in values.items() if name in known}
    for name, part in config_class.sub_configs.items():
        inner = _part(name, part, default, vocab_size, role)
        if inner is not None:
            values[name] = inner
    changes = exception(str(default.get("model_type")), "config")
    if "rope_parameters" in changes and isinstance(default.get("rope_parameters"), dict):
        values = {"rope_parameters": default["rope_parameters"], **values}
    return merge(values, changes)


def _part(
    name: str, part: type[PreTrainedConfig], default: Mapping[str, Any], vocab_size: int, role: str
) -> dict[str, Any] | None:
    """The shrunk values of a part, by the class that its default model type names; None where there is none."""
    chosen = exception(str(default.get("model_type")), "config").get(name, {})
    given = default.get(name)
    given = dict(given) if isinstance(given, Mapping) else {}
    kind = chosen.get("model_type") or given.get("model_type") or getattr(part, "model_type", "")
    known = _class_of(str(kind), part)
    if known is None or (not known.model_type and not given):
        return None
    if not given or given.get("model_type") != kind:
        given = known().to_dict()
    is_language = any(word in name for word in _LANGUAGE)
    inner_role = "text" if is_language else "tower"
    values = shrunk(known, given, vocab_size=vocab_size, role=inner_role)
    if given.get("vocab_size") is not None and given["vocab_size"] == default.get("vocab_size"):
        values["vocab_size"] = vocab_size  # it reads the same ids
    return {"model_type": kind, **values}


def _class_of(model_type: str, part: type[PreTrainedConfig]) -> type[PreTrainedConfig] | None:
    """The configuration's class; None for a part that may be of any type and that names none."""
    from transformers import AutoConfig
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type in CONFIG_MAPPING:
        known: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
        return known
    return None if issubclass(part, AutoConfig) else part


def _is_size(value: Any) -> bool:
    return isinstance(value, int | list | tuple) and not isinstance(value, bool)


def _fit(size: Any, default: Any) -> Any:
    """`size`, repeated where the default is a list of numbers."""
    if isinstance(default, list | tuple) and not isinstance(size, list):
        return [size] * len(default)
    return size


def _rope(default: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Rotary settings with sections for time, height and width that fill the smaller head."""
    rope = default.get("rope_parameters")
    if not isinstance(rope, dict):
        return {}
    width, heads = default.get("hidden_size"), default.get("num_attention_heads")
    old = default.get("head_dim") or (width // heads if width and heads else None)
    new = values.get("head_dim") or values.get("hidden_size", 64) // values.get("num_attention_heads", 4)
    if not old:
        return {}
    scaled = _sections(rope, new / old)
    return {} if scaled == rope else {"rope_parameters": scaled}


def _sections(rope: Mapping[str, Any], ratio: float) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, value in rope.items():
        if isinstance(value, dict):
            result[name] = _sections(value, ratio)
        elif isinstance(value, list) and "section" in name:
            result[name] = _split(round(sum(value) * ratio), value)
        else:
            result[name] = value
    return result


def _split(total: int, shares: list[int]) -> list[int]:
    """`total` in the proportions of `shares`, the first taking what rounding leaves."""
    rest = [total * share // sum(shares) for share in shares[1:]]
    return [total - sum(rest), *rest]
