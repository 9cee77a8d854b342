"""Tiny models that take pictures, video or sound, with a processor of their real class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from swift.errors import ModelError
from swift.models.tiny.processor import media_kinds, tiny_processor
from swift.models.tiny.shrink import shrunk
from swift.models.tiny.tables import exception, merge

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

_ID_ENDINGS = ("_token_id", "_token_index", "_id", "_index")

_SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class TinyMultimodal:
    """A model and what prepares its inputs.

    Attributes:
        model: In float32 on the CPU, in evaluation mode.
        processor: Of the architecture's real class; its `chat_template` is ChatML with typed parts.
        kinds: Media that the processor takes: `image`, `video`, `audio`.
    """

    model: PreTrainedModel
    processor: ProcessorMixin
    kinds: frozenset[str]


def tiny_multimodal(model_type: str, *, seed: int = 0) -> TinyMultimodal:
    """A random model of the architecture `model_type` and its processor.

    A picture of some dozens of pixels becomes about 4 to 64 tokens.

    Args:
        model_type: As in a checkpoint's config.json, such as qwen2_5_vl or llava.
        seed: The same seed gives the same weights; the global generator is left as it was.

    Raises:
        ModelError: transformers has no multimodal language model of that type, or it cannot be shrunk.
    """
    from transformers import AutoModelForMultimodalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES

    if model_type not in MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES or model_type not in CONFIG_MAPPING:
        raise ModelError(f"transformers has no multimodal language model of type {model_type!r}")
    config_class: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    default = config_class().to_dict()
    processor, named = tiny_processor(model_type, merge(default, shrunk(config_class, default)))
    tokenizer: PreTrainedTokenizerBase = processor.tokenizer
    values = shrunk(config_class, default, vocab_size=len(tokenizer))
    special = _special_ids(tokenizer)
    config = config_class(**_with_ids(values, default, special, named))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = cast("PreTrainedModel", AutoModelForMultimodalLM.from_config(config, dtype=torch.float32))
        _fill_zeros(model)
    model.eval()
    return TinyMultimodal(model, processor, media_kinds(processor))


def _special_ids(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """Token -> id, of those that a text shows as themselves."""
    from transformers import PreTrainedTokenizerFast

    if isinstance(tokenizer, PreTrainedTokenizerFast):
        return dict(tokenizer.added_tokens_encoder)
    return dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))


@torch.no_grad()
def _fill_zeros(model: PreTrainedModel) -> None:
    """Gates and projections that begin as zeros would keep what the towers see from the loss."""
    for weight in model.parameters():
        if weight.is_floating_point() and not weight.any():
            weight.normal_(std=_SPREAD)


def save_tiny_multimodal(folder: str | Path, model_type: str, *, seed: int = 0) -> Path:
    """Write a tiny model and its processor to `folder`, loadable by plain transformers; returns it as a path."""
    target = Path(folder)
    tiny = tiny_multimodal(model_type, seed=seed)
    tiny.model.save_pretrained(target)
    tiny.processor.save_pretrained(target)
    for name, content in exception(model_type, "files").items():
        torch.save(content, target / name)
    return target


def _with_ids(
    values: Mapping[str, Any], default: Mapping[str, Any], vocabulary: Mapping[str, int], named: Mapping[str, str]
) -> dict[str, Any]:
    """The same values with the ids of special tokens in every part that has a field for them."""
    result = dict(values)
    for name in {*default, *values}:
        given, stem = values.get(name), _stem(str(name))
        if isinstance(given, Mapping):
            part = default.get(name)
            result[name] = _with_ids(given, part if isinstance(part, Mapping) else {}, vocabulary, named)
        elif isinstance(given, str) and given in vocabulary:
            result[name] = vocabulary[given]
        elif isinstance(given, list):
            result[name] = [vocabulary.get(item, item) if isinstance(item, str) else item for item in given]
        elif name not in values and stem is not None and stem in named:
            result[name] = vocabulary[named[stem]]
    return result


def _stem(name: str) -> str | None:
    """The token's name in the name of a field that holds its id."""
    for ending in _ID_ENDINGS:
        if name.endswith(ending):
            stem = name.removesuffix(ending)
            return stem if stem.endswith("_token") else f"{stem}_token"
    return None
