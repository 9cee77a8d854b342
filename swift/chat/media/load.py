"""The processor of a multimodal checkpoint, as conversations need it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from swift.chat.media.files import FILES, processor_fingerprint, processor_of
from swift.chat.media.processor import MediaProcessor
from swift.config.media import MediaConfig
from swift.types import MediaKind

_PARTS: dict[MediaKind, tuple[str, ...]] = {
    "image": ("image_processor",),
    "video": ("video_processor",),
    "audio": ("feature_extractor", "audio_processor"),
}


def load_media_processor(
    folder: Path, config: MediaConfig, *, model_ids: Sequence[int] = (), trust_remote_code: bool = False
) -> MediaProcessor | None:
    """The processor of a checkpoint; None where it is for text only.

    Args:
        folder: The checkpoint.
        model_ids: Token ids that the model's configuration calls media.

    Raises:
        ModelError: It is there and cannot be loaded, such as where a library is missing.
    """
    if not any((folder / name).is_file() for name in FILES):
        return None
    processor = processor_of(folder, trust_remote_code)
    tokens: dict[MediaKind, str] = {}
    ids = set(model_ids)
    for kind, parts in _PARTS.items():
        token = _text_of(getattr(processor, f"{kind}_token", None))
        if token is not None and any(getattr(processor, part, None) is not None for part in parts):
            tokens[kind] = token
            ids |= {number for number in getattr(processor, f"{kind}_token_ids", ()) if isinstance(number, int)}
            ids.add(processor.tokenizer.convert_tokens_to_ids(token))
    if not tokens:
        return None
    audio = next((part for name in _PARTS["audio"] if (part := getattr(processor, name, None)) is not None), None)
    return MediaProcessor(
        folder=folder,
        trust_remote_code=trust_remote_code,
        config=config,
        tokens=tokens,
        ids=frozenset(ids),
        bos=processor.tokenizer.bos_token,
        sampling_rate=int(getattr(audio, "sampling_rate", 16_000)),
        fingerprint=processor_fingerprint(folder, config),
    )


def _text_of(token: Any) -> str | None:
    """A placeholder's text: some processors keep it as the tokenizer's added token."""
    return str(token) if isinstance(token, str | AddedToken) else None
