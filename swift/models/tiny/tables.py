"""The data that tiny models are made from: `sizes.yaml`, `processors.yaml` and `exceptions.yaml` beside this file."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECTIONS = frozenset(
    {
        "config",
        "processor",
        "image",
        "video",
        "audio",
        "tokens",
        "like",
        "template",
        "class",
        "parts",
        "files",
        "leading",
        "tekken",
    }
)


@functools.cache
def sizes(role: str) -> Mapping[str, Any]:
    """Configuration field -> its value in a tiny model, for a part that is `text` or `tower`."""
    return {name: rule["value"] for rule in _read("sizes.yaml")[role] for name in rule["fields"]}


@functools.cache
def processor_fields(kind: str) -> Mapping[str, Any]:
    """Field of a processor part (`image`, `video`, `audio`), or argument of a `processor` -> its value."""
    table: dict[str, Any] = _read("processors.yaml")[kind]
    return table


@functools.cache
def token_names() -> Mapping[str, str]:
    """Names under which processors ask their tokenizer for special tokens -> the token."""
    table = _read("processors.yaml")["tokens"]
    return {name: token for token, names in table.items() for name in names}


def exception(model_type: str, section: str) -> Any:
    """What `exceptions.yaml` says in this section about an architecture; {} where it says nothing."""
    assert section in _SECTIONS
    return _exceptions().get(model_type, {}).get(section, {})


def merge(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `changes` set in it, inside of nested dictionaries too."""
    result = dict(values)
    for name, value in changes.items():
        old = result.get(name)
        nested = isinstance(value, Mapping) and isinstance(old, dict)
        result[name] = merge(old, value) if nested and isinstance(old, dict) else value
    return result


@functools.cache
def _exceptions() -> Mapping[str, Any]:
    table: dict[str, Any] = _read("exceptions.yaml") or {}
    unknown = {section for entry in table.values() for section in entry} - _SECTIONS
    assert not unknown, f"exceptions.yaml: {unknown}"
    return table


def _read(name: str) -> Any:
    import yaml

    return yaml.safe_load((Path(__file__).parent / name).read_text(encoding="utf-8"))
