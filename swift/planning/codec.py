"""The codec of a run: what training, checking and planning render and tokenize with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.config.runs import SftConfig
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
        ConfigError: A new special token has no characters.
    """
    add_special_tokens(tokenizer, config.model.new_special_tokens)
    return load_codec(
        as_folder(located),
        tokenizer,
        model_config,
        config.chat,
        media=config.media,
        trust_remote_code=config.model.trust_remote_code,
        recommended=template_hint(config.model, model_config, tokenizer),
    )
