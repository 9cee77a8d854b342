"""A tiny tokenizer of Mistral's own library, for the processors that take no other."""

from __future__ import annotations

import base64
import functools
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swift.errors import ModelError

if TYPE_CHECKING:
    from transformers.tokenization_mistral_common import MistralCommonBackend

_PATTERN = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|[^\s\p{L}\p{N}]+|\s+"
_SPECIAL = (
    "<unk> <s> </s> [INST] [/INST] [AVAILABLE_TOOLS] [/AVAILABLE_TOOLS] [TOOL_RESULTS] [/TOOL_RESULTS] [TOOL_CALLS] "
    "[IMG] <pad> [IMG_BREAK] [IMG_END] [PREFIX] [MIDDLE] [SUFFIX] [SYSTEM_PROMPT] [/SYSTEM_PROMPT] [TOOL_CONTENT] "
    "[UNUSED_0] [UNUSED_1] [UNUSED_2] [UNUSED_3] [AUDIO] [BEGIN_AUDIO] [TRANSCRIBE] [ARGS] [CALL_ID] [THINK] [/THINK] "
    "[STREAMING_PAD] [STREAMING_WORD]"
).split()
"""In the order of their ids: transformers has the id of [AUDIO], 24, in its code."""


def tiny_tekken(version: str, audio: Mapping[str, Any]) -> MistralCommonBackend:
    """A tokenizer of single bytes.

    Args:
        version: Of the layout of chats, such as v7.
        audio: The section `audio` of its file: rates, and how sound becomes frames.

    Raises:
        ModelError: mistral-common is not installed.
    """
    from transformers.utils.import_utils import is_mistral_common_available

    if not is_mistral_common_available():
        raise ModelError("its processor takes a tokenizer of mistral-common only", hint="pip install mistral-common")
    from transformers.tokenization_mistral_common import MistralCommonBackend

    # Its library reads files only, and copies its file when it is saved.
    path = Path(tempfile.mkdtemp(dir=_folder().name)) / "tekken.json"
    path.write_text(json.dumps(_content(version, audio)), encoding="utf-8")
    return MistralCommonBackend(tokenizer_path=path)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Lives as long as the process."""
    return tempfile.TemporaryDirectory(prefix="swift-tiny-")


def _content(version: str, audio: Mapping[str, Any]) -> dict[str, Any]:
    bytes_ = [
        {"rank": rank, "token_bytes": base64.b64encode(bytes([rank])).decode(), "token_str": None}
        for rank in range(256)
    ]
    special = [{"rank": rank, "token_str": token, "is_control": True} for rank, token in enumerate(_SPECIAL)]
    config = {
        "pattern": _PATTERN,
        "num_vocab_tokens": len(bytes_),
        "default_vocab_size": len(bytes_) + len(special),
        "default_num_special_tokens": len(special),
        "version": version,
    }
    return {"config": config, "vocab": bytes_, "special_tokens": special, "audio": dict(audio), "type": "Tekken"}
