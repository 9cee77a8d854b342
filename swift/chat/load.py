"""The codec of a checkpoint folder: what training, checking and every engine share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from swift.chat.codec import Codec, make_codec
from swift.chat.media.files import processor_template
from swift.chat.media.load import load_media_processor
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.errors import ModelError
from swift.types import NOTHING_KNOWN, Known

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase


def load_codec(
    folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    model_config: PreTrainedConfig,
    options: ChatConfig,
    *,
    checkpoint: Path | None = None,
    media: MediaConfig | None = None,
    trust_remote_code: bool = False,
    recommended: Known = NOTHING_KNOWN,
) -> Codec:
    """Build the codec; needs no weights.

    Args:
        folder: The model; its generation_config.json, if any, says which tokens stop generation.
        tokenizer: The model's or the checkpoint's tokenizer.
        model_config: The model's configuration; says how many positions there are.
        options: Template and length.
        checkpoint: What was made of the model; where it has a generation_config.json, that one counts.
        media: Where media may come from and how large they become; None leaves them out.
        trust_remote_code: Whether a processor's own code may run.
        recommended: What is known of the model's family.

    Raises:
        TemplateError, ConfigError: See `make_codec`.
        ModelError: generation_config.json is damaged, or the processor cannot be loaded.
    """
    processor = None
    if media is not None:
        processor = load_media_processor(
            folder, media, model_ids=_media_ids(model_config), trust_remote_code=trust_remote_code
        )
        if processor is not None and tokenizer.chat_template is None:
            tokenizer.chat_template = processor_template(folder)
    text = model_config.get_text_config(decoder=True)
    # An encoder generates nothing: what would stop it is what ends its texts.
    configured = _ids(text.to_dict().get("eos_token_id")) or _ids(tokenizer.sep_token_id)
    return make_codec(
        tokenizer,
        options,
        stop_ids=(stop_ids(checkpoint) if checkpoint else ()) or stop_ids(folder) or configured,
        positions=getattr(text, "max_position_embeddings", None),
        media=processor,
        known=recommended,
    )


def _media_ids(config: PreTrainedConfig) -> list[int]:
    """Ids that the configuration gives to media: `image_token_id`, `audio_token_index` and the like."""
    names = [f"{kind}_token_{what}" for kind in ("image", "video", "audio") for what in ("id", "index")]
    values = config.to_dict()
    return [value for name in names if isinstance(value := values.get(name), int)]


def stop_ids(folder: Path) -> tuple[int, ...]:
    """`eos_token_id` of the folder's generation config; empty where there is none.

    Raises:
        ModelError: The file is damaged.
    """
    path = folder / "generation_config.json"
    if not path.is_file():
        return ()
    try:
        return _ids(orjson.loads(path.read_bytes()).get("eos_token_id"))
    except (ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="download the model again") from error


def _ids(value: int | list[int] | None) -> tuple[int, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, int) else tuple(int(item) for item in value)
