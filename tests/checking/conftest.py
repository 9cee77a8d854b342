"""A model folder without weights, and rows of every kind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swift.config.looks import CheckConfig
from swift.models.tiny import CHATML, tiny_config, tiny_tokenizer


def chat(*turns: str, **columns: Any) -> dict[str, Any]:
    """A row of alternating user and assistant turns."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)], **columns}


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    """A JSONL file; a text is a line as it is."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def bare_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration and tokenizer only."""
    return save_bare(tmp_path_factory.mktemp("bare"), CHATML)


def save_bare(folder: Path, template: str) -> Path:
    """A model folder without weights whose chats look as `template` says."""
    tiny_config("llama").save_pretrained(folder)
    tiny_tokenizer(chat_template=template).save_pretrained(folder)
    return folder


@pytest.fixture
def configured(bare_model: Path) -> Callable[..., CheckConfig]:
    """A configuration from sections."""

    def make(train: Path, *, data: dict[str, Any] | None = None, **sections: Any) -> CheckConfig:
        values = {"model": str(bare_model), "data": {"train": [str(train)], "cache": False, **(data or {})}}
        return CheckConfig.model_validate({**values, **sections})

    return make
