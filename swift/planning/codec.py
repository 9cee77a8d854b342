"""The codec of a run: what training, checking and planning render and tokenize with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.config.sft import SftConfig
from swift.config.tuner import PROMPTS
from swift.errors import ConfigError
from swift.hub import Located
from swift.models.gguf import as_folder
from swift.models.locate import template_hint
from swift.models.vocabulary import add_special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def run_codec(
    config: SftConfig, located: Located, tokenizer: PreTrainedTokenizerBase, model_config: PreTrainedConfig
) -> Codec:
    """Build it; the run's new special tokens are added to `tokenizer`.

    Raises:
        TemplateError: The template cannot be used.
        ModelError: The processor cannot be loaded.
        ConfigError: A new special token has no characters, or rows and what is learned in front of them are together
            longer than the model's positions.
    """
    add_special_tokens(tokenizer, config.model.new_special_tokens)
    codec = load_codec(
        as_folder(located),
        tokenizer,
        model_config,
        config.chat,
        media=config.media,
        trust_remote_code=config.model.trust_remote_code,
        recommended=template_hint(config.model, model_config, tokenizer),
    )
    positions = getattr(model_config.get_text_config(decoder=True), "max_position_embeddings", None)
    if not isinstance(config.tuner, PROMPTS) or not positions:
        return codec
    # What is learned takes positions in front of every row.
    learned, wanted = config.tuner.num_virtual_tokens, config.chat.max_length
    if wanted is not None and wanted + learned > positions:
        raise ConfigError(
            f"--max_length {wanted} behind {learned} learned ones is more than the model's {positions} positions",
            hint=f"lower it to {positions - learned} or less" if learned < positions else "lower --num_virtual_tokens",
        )
    return replace(codec, max_length=max(1, min(codec.max_length, positions - learned)))
