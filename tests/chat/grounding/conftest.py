"""Codecs of tiny multimodal models, and drawn pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from swift.chat.codec import Codec
from swift.chat.load import load_codec
from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.hub import locate
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import template_hint
from swift.models.tiny import save_tiny_multimodal

Codecs = Callable[..., Codec]


@pytest.fixture(scope="session")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> Codecs:
    """The codec of a tiny model of an architecture."""
    root = tmp_path_factory.mktemp("models")

    def make(name: str, *, media: MediaConfig | None = None, **options: object) -> Codec:
        folder = root / name
        if not folder.is_dir():
            save_tiny_multimodal(folder, name)
        model = ModelConfig(id=str(folder))
        located = locate(model)
        config, tokenizer = load_config(located), load_tokenizer(located)
        chat = ChatConfig.model_validate(options)
        known = template_hint(model, config, tokenizer)
        return load_codec(
            folder,
            tokenizer,
            config,
            chat,
            media=(media or MediaConfig()).model_copy(update={"root": "/"}),
            recommended=known,
        )

    return make


@pytest.fixture
def picture(tmp_path: Path) -> Callable[..., Path]:
    """A file with a picture of noise."""

    def make(width: int, height: int, name: str = "a.png", *, orientation: int = 1) -> Path:
        pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        drawn = Image.fromarray(pixels)
        exif = drawn.getexif()
        exif[274] = orientation
        drawn.save(tmp_path / name, exif=exif)
        return tmp_path / name

    return make
