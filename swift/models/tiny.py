"""Tiny random models of any causal architecture that transformers ships, and a tiny real tokenizer.

For tests and dry runs: a model takes some hundredths of a second to build and well under a MB.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError

from swift.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""The ChatML layout, without a default system message."""

VOCABULARY = 384
"""Size of the tiny tokenizer and of tiny models."""

_LENGTH = 1024
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEXT = (
    "The user asks a question and the assistant gives a short answer. What is the capital of France? "
    "The capital of France is Paris. How many days are in a week? There are seven days in a week. "
    "system user assistant tool Hello, how are you today? I am fine, thank you. Write a list of three colours: "
    "red, green and blue. 1 2 3 4 5 6 7 8 9 10. def main(): return the sum of the numbers in the list."
)

# Name of a configuration field -> its value in a tiny model. Only fields that an architecture has are set.
_SIZES: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "embed_dim", "model_dim", "emb_dim", "embedding_size"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads", "decoder_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"), 2),
    **dict.fromkeys(("intermediate_size", "ffn_dim", "d_ff", "n_inner", "ffn_hidden_size", "decoder_ffn_dim"), 96),
    **dict.fromkeys(("shared_intermediate_size", "shared_expert_intermediate_size", "intermediate_size_mlp"), 96),
    **dict.fromkeys(("moe_intermediate_size", "dense_intermediate_size", "moe_shared_expert_intermediate_size"), 96),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "num_experts_per_token", "moe_k", "moe_topk", "top_k_experts"), 2),
    **dict.fromkeys(("n_group", "topk_group", "num_expert_groups"), 1),
    **dict.fromkeys(("n_shared_experts", "moe_num_shared_experts", "num_shared_experts"), 1),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length"), _LENGTH),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 16),
    **dict.fromkeys(("head_dim", "attention_head_dim", "global_head_dim", "kv_channels", "d_kv"), 16),
    **dict.fromkeys(("linear_key_head_dim", "linear_value_head_dim"), 16),
    **dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads"), 2),
    **dict.fromkeys(("sliding_window", "attention_window_size"), 64),
    "qk_head_dim": 32,
    "query_pre_attn_scalar": 16,
    "word_embed_proj_dim": 64,
    "first_k_dense_replace": 1,
    "hidden_size_per_layer_input": 16,
    "vocab_size_per_layer_input": VOCABULARY,
    "num_kv_shared_layers": 0,
    "state_size": 8,
    "mamba_d_state": 8,
    "mamba_n_heads": 8,
    "mamba_d_head": 16,
    "mamba_num_heads": 8,
    "mamba_head_dim": 16,
    "ssm_state_size": 8,
    "lru_width": 64,
    "rotary_dim": 8,
    "time_step_rank": 8,
    "mamba_d_ssm": 128,
    "attn_layer_indices": [1],
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "layer_group_size": 2,
    "linear_head_dim": 16,
    "linear_num_heads": 4,
    "n_groups": 2,
    "attention_types": [[["global", "local"], 1]],
    **dict.fromkeys(("depth", "num_global_layers", "vision_layers"), 1),
    **dict.fromkeys(("image_size",), 32),
    **dict.fromkeys(("patch_size",), 16),
    "mamba_dt_rank": 8,
}


_NONE_BREAKS = ("head_dim", "num_key_value_heads", "num_experts_per_tok", "attn_layer_indices")
"""Fields that architectures derive from a default they do not have, or from sizes that no longer fit."""


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
    from transformers import AutoModelForCausalLM

    config = tiny_config(model_type, vocab_size=vocab_size, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = cast("PreTrainedModel", AutoModelForCausalLM.from_config(config, dtype=torch.float32))
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
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or model_type not in CONFIG_MAPPING:
        raise ModelError(f"transformers has no causal language model of type {model_type!r}")
    config_class: type[PreTrainedConfig] = CONFIG_MAPPING[model_type]
    try:
        values = _shrunk(config_class, config_class().to_dict(), vocab_size)
        return config_class(**{**values, **overrides})
    except (ValueError, KeyError, TypeError, AttributeError, StrictDataclassError) as error:
        raise ModelError(f"no tiny {model_type}: {error}", hint="set its fields by name") from error


def _shrunk(config_class: type[PreTrainedConfig], default: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    """Constructor arguments for a tiny configuration of this class."""
    values = {
        name: size
        for name, size in _SIZES.items()
        if isinstance(default.get(name), (int, list))
        or (name in _NONE_BREAKS and name in default and default[name] is None)
    }
    if default.get("qk_rope_head_dim"):  # latent attention: as many key heads as heads
        values["num_key_value_heads"] = values.get("num_attention_heads", 4)
    if "expand" in default and "num_heads" in values:  # Mamba-2: heads fill the expanded width
        values["num_heads"] = default["expand"] * values["hidden_size"] // values.get("head_dim", 16)
    values |= _layer_kinds(default)
    values |= {"vocab_size": vocab_size, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    known = set(default) | set(config_class.attribute_map) | {"pad_token_id"}
    values = {name: value for name, value in values.items() if name in known}
    for name, part in config_class.sub_configs.items():
        if isinstance(default.get(name), dict):
            values[name] = _shrunk_part(part, default[name], vocab_size)
    return values


def _shrunk_part(part: type[PreTrainedConfig], default: dict[str, Any], vocab_size: int) -> dict[str, Any]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = default.get("model_type")
    known = CONFIG_MAPPING[kind] if isinstance(kind, str) and kind in CONFIG_MAPPING else part
    return {"model_type": kind, **_shrunk(known, default, vocab_size)}


def _layer_kinds(default: dict[str, Any]) -> dict[str, Any]:
    """One layer of each kind, and full attention among them, without which there is nothing to cache."""
    values: dict[str, Any] = {}
    for name in ("layer_types", "layers_block_type", "block_types"):
        if default.get(name):
            kinds = list(dict.fromkeys(default[name]))
            if kinds == ["linear_attention"]:
                kinds.append("full_attention")
            values[name] = kinds * (2 if len(kinds) == 1 else 1)
            values["num_hidden_layers"] = len(values[name])
    if values and default.get("mlp_layer_types"):
        dense = default["mlp_layer_types"]
        values["mlp_layer_types"] = [dense[0], *[dense[-1]] * (values["num_hidden_layers"] - 1)]
    return values


def tiny_tokenizer(*, chat_template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `VOCABULARY` tokens that encodes any text without loss.

    Tokens 0, 1, 2 are <|endoftext|> (start and padding), <|im_start|> and <|im_end|> (end).
    """
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=_trained(),
        bos_token=_SPECIAL[0],
        pad_token=_SPECIAL[0],
        eos_token=_SPECIAL[2],
        additional_special_tokens=[_SPECIAL[1]],
        chat_template=chat_template,
        model_max_length=_LENGTH,
        clean_up_tokenization_spaces=False,
    )


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


@functools.cache
def _vocabulary() -> str:
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in _SPECIAL],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_TEXT], trainer)
    return str(tokenizer.to_str())


def _trained() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_str(_vocabulary())
