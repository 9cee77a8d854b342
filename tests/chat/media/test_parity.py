"""For every processor that transformers ships: our ids are those of `processor.apply_chat_template`; the mask holds.

The whole list runs with the slow tests; every day another part of it is in the quick ones.
"""

from __future__ import annotations

import zlib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from swift.chat.codec import make_codec
from swift.chat.encode import encode, prompt_of
from swift.chat.media.load import load_media_processor
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.media import load_audio, load_image, load_video
from swift.models.tiny import tiny_multimodal
from swift.types import Conversation, Media, MediaKind, Message, Origin, Placed

ORIGIN = Origin("drawn", 1)
DAYS = 12
NOT_CHATS = {
    "shieldgemma2": "its template asks about one picture by policies, and knows no turns",
    "voxtral": "its chats are written by mistral-common, not by a template",
    "voxtral_realtime": "it writes down what it hears, and knows no chats",
}
ANSWERS = ("A cat.", "Two of them, I think.")
OPTIONS = ChatConfig(max_length=100_000)


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
    if name in NOT_CHATS:
        pytest.skip(NOT_CHATS[name])
    processor = _processor(name)
    processor.save_pretrained(folder)
    media = load_media_processor(folder, MediaConfig())
    if media is None:
        pytest.skip(f"the processor of {name} has no placeholder for media")
    codec = make_codec(processor.tokenizer, OPTIONS, media=media)
    for kind in media.tokens:
        for count in (2, 1):
            conversation = _conversation(kind, count)
            try:
                expected = _applied(processor, conversation, generate=False)
            except (ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
                # transformers itself refuses so many media, or such ones; then so do we, in one line.
                refused = f"{name}, {count} {kind}(s): {type(error).__name__}: {error}"
                continue
            sequences = encode(conversation, codec, OPTIONS).sequences
            asked = Conversation(conversation.messages[:-1], ORIGIN)
            prompt = _applied(processor, asked, generate=True)
            assert prompt_of(asked, codec, OPTIONS)[0] == prompt
            assert sequences[-1].ids.tolist()[: len(prompt)] == prompt
            assert codec.media is not None
            if not codec.media.appends:
                assert sequences[-1].ids.tolist() == expected[: len(sequences[-1])], kind
            trained = "".join(codec.decode(tokens.ids[tokens.weights > 0].tolist()) for tokens in sequences)
            assert trained == "<|im_end|>".join([*ANSWERS[:count], ""])
            break
        else:
            pytest.skip(refused)


def _processor(name: str) -> Any:
    try:
        return tiny_multimodal(name).processor
    except Exception as error:  # whether a tiny model can be built at all is proved by the zoo
        pytest.skip(f"{name}: {error}")


def _conversation(kind: MediaKind, count: int) -> Conversation:
    """As many turns as media, each with one, the later ones in the middle of the text."""
    turns = []
    for number, answer in enumerate(ANSWERS[:count]):
        media = Placed(4 * number, drawn_media(kind, number))
        turns += [Message("user", "And that?", media=(media,)), Message("assistant", answer)]
    return Conversation(tuple(turns), ORIGIN)


def _applied(processor: Any, conversation: Conversation, *, generate: bool) -> list[int]:
    """As a user of transformers would do it, with frames that are sampled already."""
    messages = []
    rate = getattr(getattr(processor, "feature_extractor", None), "sampling_rate", 16_000)
    options: dict[str, Any] = {}
    for message in conversation.messages:
        content = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": part.kind, part.kind: _loaded(part, rate)}
            for part in message.parts
        ]
        messages.append({"role": message.role, "content": content})
    shown = [part for message in conversation.messages for part in message.parts if isinstance(part, Media)]
    videos = [media for media in shown if media.kind == "video"]
    if videos:
        options = {"do_sample_frames": False, "video_metadata": [[_metadata(video) for video in videos]]}
    ids = processor.apply_chat_template(
        messages,
        # Named, since one processor (SmolVLM's) otherwise takes a template of its library's for videos.
        chat_template=processor.chat_template,
        tokenize=True,
        add_generation_prompt=generate,
        return_tensors="pt",
        processor_kwargs=options,
    )
    found: list[int] = ids[0].tolist()
    return found


def _part(part: str | Media, rate: int) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    return {"type": part.kind, part.kind: _loaded(part, rate)}


def _loaded(media: Media, rate: int) -> Any:
    config = MediaConfig()
    if media.kind == "image":
        return load_image(media, config)
    return load_video(media, config).frames if media.kind == "video" else load_audio(media, config, rate)


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
