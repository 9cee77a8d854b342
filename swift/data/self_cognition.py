"""{{name}} and {{author}} in rows about the model itself, filled from the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from swift.config.data import DataConfig
from swift.data.reasons import UNFILLED
from swift.errors import ConfigError, RowError
from swift.types import Conversation, Message, Placed, Text

_PLACEHOLDER = re.compile(r"\{\{(name|author|NAME|AUTHOR)\}\}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LANGUAGE_COLUMNS = ("language", "lang", "tag")


def check_names(config: DataConfig) -> None:
    """Raises ConfigError for more than a Chinese and an English name or author."""
    for flag, names in (("model_name", config.model_name), ("model_author", config.model_author)):
        if len(names) > 2:
            raise ConfigError(
                f"--{flag} has {len(names)} values: {' '.join(names)}",
                hint="give one, or the Chinese and the English one; quote a name that has spaces",
            )


def fill(sample: Conversation | Text, values: Mapping[str, Any], config: DataConfig) -> Conversation | Text:
    """The sample with its placeholders filled, in the row's language where two names are given.

    The language is what the column language (or lang, tag) says, else Chinese where the text has a Chinese
    character. Only the exact forms {{name}}, {{author}} and their capitals are placeholders, so that
    `{{ name }}` in a row about templates stays as it is.

    Raises:
        RowError: `unfilled_placeholder`: no name or author is configured.
    """
    if isinstance(sample, Text):
        if "{{" not in sample.text or not _PLACEHOLDER.search(sample.text):
            return sample
        return replace(sample, text=_filled(sample.text, _is_chinese(values, sample.text), config))
    if not any("{{" in message.content for message in sample.messages):
        return sample
    whole = "\n".join(message.content for message in sample.messages)
    if not _PLACEHOLDER.search(whole):
        return sample
    chinese = _is_chinese(values, whole)
    messages = tuple(
        _filled_message(message, chinese, config) if "{{" in message.content else message for message in sample.messages
    )
    return replace(sample, messages=messages)


def _filled_message(message: Message, chinese: bool, config: DataConfig) -> Message:
    content = ""
    media = []
    for part in message.parts:
        if isinstance(part, str):
            content += _filled(part, chinese, config)
        else:
            media.append(Placed(len(content), part))
    return replace(message, content=content, media=tuple(media))


def _filled(text: str, chinese: bool, config: DataConfig) -> str:
    def value(match: re.Match[str]) -> str:
        word = match[1].lower()
        names = config.model_name if word == "name" else config.model_author
        if not names:
            flag = "model_name" if word == "name" else "model_author"
            raise RowError(UNFILLED, f"{match[0]} needs --{flag} (to keep it as it is: --{flag} '{match[0]}')")
        return names[0] if chinese else names[-1]

    return _PLACEHOLDER.sub(value, text)


def _is_chinese(values: Mapping[str, Any], text: str) -> bool:
    for column in _LANGUAGE_COLUMNS:
        stated = values.get(column)
        if isinstance(stated, str) and stated[:2].lower() in ("zh", "en"):
            return stated[:2].lower() == "zh"
    return bool(_CHINESE.search(text))
