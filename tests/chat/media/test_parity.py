"""For every processor that transformers ships: our ids are those of `processor.apply_chat_template`, and the mask holds.

The whole list runs with the slow tests; every day another part of it is in the quick ones.
"""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode, prompt_of
from swift.chat.media.processor import load_media_processor
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.errors import ModelError
from swift.media import load_audio, load_image, load_video
from swift.models.tiny import tiny_processor
from swift.types import Conversation, Media, MediaKind, Message, Origin, Placed

ORIGIN = Origin("drawn", 1)
DAYS = 12


def _architectures() -> list[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES as names

    return sorted(names)


def _today(name: str) -> bool:
    return zlib.crc32(name.encode()) % DAYS == date.today().toordinal() % DAYS


@pytest.mark.parametrize("name", [name for name in _architectures() if _today(name)])
def test_todays_processors(name: str, tmp_path: Path) -> None:
    _prove(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", _architectures())
def test_every_processor(name: str, tmp_path: Path) -> None:
    _prove(name, tmp_path)


def _prove(name: str, folder: Path) -> None:
    processor = _processor(name)
    processor.save_pretrained(folder)
    media = load_media_processor(folder, MediaConfig())
    if media is None:
        pytest.skip(f"the processor of {name} has no placeholder for media")
    codec = make_codec(processor.tokenizer, ChatConfig(), media=media)
    for kind in media.tokens:
        conversation = _conversation(kind)
        expected = _applied(processor, conversation, generate=False)
        (tokens,) = encode(conversation, codec, ChatConfig()).sequences
        assert tokens.ids.tolist() == expected[: len(tokens)], kind
        assert _trained(tokens.ids, tokens.weights, codec) == "A cat.<|im_end|>Two of them, I think.<|im_end|>"
        asked = Conversation(conversation.messages[:-1], ORIGIN)
        assert prompt_of(asked, codec, ChatConfig())[0] == _applied(processor, asked, generate=True)


def _processor(name: str) -> Any:
    try:
        return tiny_processor(name)
    except (ModelError, ImportError) as error:
        pytest.skip(f"{name}: {error}")


def _conversation(kind: MediaKind) -> Conversation:
    one, other = drawn_media(kind, 0), drawn_media(kind, 1)
    return Conversation(
        (
            Message("user", "What is this?", media=(Placed(0, one),)),
            Message("assistant", "A cat."),
            Message("user", "And that?", media=(Placed(4, other),)),
            Message("assistant", "Two of them, I think."),
        ),
        ORIGIN,
    )


def _trained(ids: Any, weights: Any, codec: Codec) -> str:
    return codec.decode(ids[weights > 0].tolist())


def _applied(processor: Any, conversation: Conversation, *, generate: bool) -> list[int]:
    """As a user of transformers would do it, with frames that are sampled already."""
    messages = []
    options: dict[str, Any] = {}
    for message in conversation.messages:
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": part.kind, part.kind: _loaded(part)}
            for part in message.parts
        ]
        messages.append({"role": message.role, "content": content})
    videos = [part for m in conversation.messages for part in m.parts if isinstance(part, Media) and part.kind == "video"]
    if videos:
        options = {"do_sample_frames": False, "video_metadata": [[_metadata(video) for video in videos]]}
    ids = processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=generate, processor_kwargs=options
    )
    return np.asarray(ids[0] if not isinstance(ids[0], int) else ids).tolist()


def _loaded(media: Media) -> Any:
    config = MediaConfig()
    if media.kind == "image":
        return load_image(media, config)
    return load_video(media, config).frames if media.kind == "video" else load_audio(media, config, 16_000)


def _metadata(media: Media) -> Any:
    from transformers.video_utils import VideoMetadata

    video = load_video(media, MediaConfig())
    return VideoMetadata(
        total_num_frames=video.source_frames,
        fps=video.source_fps,
        frames_indices=video.indices.tolist(),
        duration=video.duration,
        width=video.frames.shape[2],
        height=video.frames.shape[1],
    )
