"""Tiny random models behind engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from swift.chat.codec import Codec, make_codec
from swift.config.chat import ChatConfig
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.models.tiny import tiny_model, tiny_tokenizer

MakeEngine = Callable[..., TransformersEngine]


@pytest.fixture(scope="session")
def codec() -> Codec:
    return make_codec(tiny_tokenizer(), ChatConfig(), positions=1024)


@pytest.fixture
def make_engine(codec: Codec) -> MakeEngine:
    def make(model_type: str = "llama", *, tokens: int = 2000, rows: int = 4, **fields: object) -> TransformersEngine:
        model = tiny_model(model_type, **fields)
        return TransformersEngine(model, codec, ChatConfig(), limits=Limits(tokens, rows))

    return make
