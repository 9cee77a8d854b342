"""Tiny causal language models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError

from swift.errors import ModelError
from swift.models.tiny.known import known
from swift.models.tiny.shrink import shrunk
from swift.models.tiny.tokenizer import CHATML, VOCABULARY, tiny_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def tiny_model(
    model_type: str = "llama", *, seed: int = 0, vocab_size: int = VOCABULARY, **overrides: Any
) -> PreTrainedModel:
    """A random model of the architecture `model_type` in float32 on the CPU, in evaluation mode.

    Args:
        model_type: As in a checkpoint's config.json, such as qwen3 or gpt_neox.
        seed: The same seed gives the same weights; the global generator is left as it was.
        vocab_size: Rows of the embedding.
        overrides: Configuration fields set last.

    Raises:
        ModelError: transformers has no causal language model of that type, or it cannot be shrunk.
    """
    from transformers import AutoModelForCausalLM, AutoModelForMultimodalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    automatic: Any = (
        AutoModelForCausalLM if model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES else AutoModelForMultimodalLM
    )
    config = tiny_config(model_type, vocab_size=vocab_size, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = cast("PreTrainedModel", automatic.from_config(config, dtype=torch.float32))
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, ZeroDivisionError) as error:
            raise ModelError(f"no tiny {model_type}: {error}", hint="set its fields by name") from error
    model.eval()
    return model


def tiny_config(model_type: str, *, vocab_size: int = VOCABULARY, **overrides: Any) -> PreTrainedConfig:
    """The configuration of `tiny_model`: the architecture's default one, shrunk by the names of its fields.

    Of an architecture with several kinds of layers, one of each kind is left.

    Raises:
        ModelError: transformers has no causal language model of that type.
    """
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    if model_type not in _of_text() or model_type not in CONFIG_MAPPING:
        raise ModelError(f"transformers has no causal language model of type {model_type!r}")
    config_class: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    try:
        default = config_class().to_dict()
        values = shrunk(config_class, default, vocab_size=vocab_size)
        if "is_decoder" in default:  # one that was made to fill in blanks
            values["is_decoder"] = True
        return config_class(**{**_without_tokens(values), **overrides})
    except (ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise ModelError(f"no tiny {model_type}: {error}", hint="set its fields by name") from error


def _of_text() -> set[str]:
    """Also those that transformers lists with the multimodal ones only, though they have no part that sees or hears."""
    from transformers.models.auto import modeling_auto as auto

    others = {
        name
        for name, class_name in auto.MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES.items()
        if class_name.endswith("ForCausalLM") and name not in known("processor")
    }
    return {*auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *others}


def _without_tokens(values: dict[str, Any]) -> dict[str, Any]:
    """The values less those that are a token's text where its id belongs: there is no processor that has the token."""
    return {
        name: value
        for name, value in values.items()
        if not (isinstance(value, str) and name.endswith(("_id", "_index"))) and not name.endswith("vocabulary_map")
    }


def save_tiny(
    folder: str | Path,
    model_type: str = "llama",
    *,
    chat_template: str | None = CHATML,
    seed: int = 0,
    **overrides: Any,
) -> Path:
    """Write a tiny model and the tiny tokenizer to `folder`, loadable by plain transformers; returns it as a path."""
    target = Path(folder)
    tiny_model(model_type, seed=seed, **overrides).save_pretrained(target)
    tiny_tokenizer(chat_template=chat_template).save_pretrained(target)
    return target
