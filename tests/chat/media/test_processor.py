"""What a processor's outputs become for the model, and what cached tokens depend on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.chat.load import load_codec
from swift.chat.media.samples import drawn_media
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.hub import locate
from swift.models.load import load_config, load_tokenizer
from swift.models.tiny import save_tiny_multimodal
from swift.types import Conversation, Message, Origin, Placed, Tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_multimodal(tmp_path_factory.mktemp("model") / "qwen2_vl", "qwen2_vl")


def _codec(folder: Path) -> Codec:
    located = locate(ModelConfig(id=str(folder)))
    return load_codec(folder, load_tokenizer(located), load_config(located), ChatConfig(), media=MediaConfig())


def test_text_behind_what_the_processor_saw_is_text_in_every_aligned_input(folder: Path) -> None:
    """Sequences may end in tokens of their own, such as an answer whose tokens reach back into the prompt."""
    codec = _codec(folder)
    assert codec.media is not None
    asked = Message("user", "What is it?", media=(Placed(0, drawn_media("image", 0)),))
    (tokens,) = encode(
        Conversation((asked, Message("assistant", "Noise.")), Origin("x", 1)), codec, ChatConfig()
    ).sequences
    longer = Tokens(
        torch.cat([torch.from_numpy(tokens.ids), torch.tensor([5, 6, 7], dtype=torch.int32)]).numpy(),
        torch.ones(len(tokens) + 3).numpy(),
        tokens.origin,
        shown=tokens.shown,
    )
    short, long = codec.media.inputs(tokens), codec.media.inputs(longer)
    assert short is not None
    assert long is not None
    types = long.tensors["mm_token_type_ids"]
    assert types.shape == (1, len(longer))
    assert torch.equal(types[:, : len(tokens)], short.tensors["mm_token_type_ids"])
    assert not types[:, len(tokens) :].any()


def test_cached_tokens_are_of_one_version_of_the_library_that_expands_media(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _codec(folder).fingerprint
    assert _codec(folder).fingerprint == before
    monkeypatch.setattr("swift.chat.media.files.importlib.metadata.version", lambda name: "6.0.0")
    assert _codec(folder).fingerprint != before
