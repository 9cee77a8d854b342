"""Which files of a model's repository are needed, and whether a folder has them."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from swift.errors import HubError

INDEX = "model.safetensors.index.json"
BIN_INDEX = "pytorch_model.bin.index.json"

_SMALL = ("*.json", "*.jinja", "*.model", "*.tiktoken", "merges.txt", "vocab.txt", "additional_chat_templates/*.jinja")
_PAPERS = ("README.md", "LICENSE*", "NOTICE*")
"""Under which terms the model may be used and passed on: small, and needed when the network is gone."""

_STEP = "[0-9]_*/"  # what sentence-transformers puts behind the model
_INDEX = "*.index.json"
_SHARD = re.compile(r"model(-\d+-of-\d+)?\.safetensors")
_BIN = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_FOREIGN = ("consolidated*", "adapter_*", "training_args*", "optimizer*", "*.onnx")


def choose_model_files(files: Sequence[str], *, weights: bool, code: bool, where: str) -> list[str]:
    """The files that loading needs, of all in a repository.

    Configuration, tokenizer and templates; with `weights` also safetensors, else (only where there are none)
    restricted-pickle `.bin` files, else a single GGUF; with `code` also Python files. Other formats and
    copies in subfolders stay where they are.

    Raises:
        HubError: There is nothing that could be loaded.
    """
    small = [name for name in files if any(_matches(name, pattern) for pattern in _SMALL)]
    small += [name for name in files if _matches(name, f"{_STEP}config.json")]
    small = [name for name in small if not _matches(name, _INDEX)]
    small += [name for name in files if any(_matches(name, pattern) for pattern in _PAPERS)]
    if code:
        small += [name for name in files if name.endswith(".py")]
    gguf = [name for name in files if _matches(name, "*.gguf")]
    if "config.json" not in files:
        if len(gguf) == 1:
            return gguf
        choice = f"it holds {len(gguf)} GGUF files; download one and name it" if gguf else "is it a model for this use?"
        raise HubError(f"{where} has no config.json", hint=choice)
    if not weights:
        return small
    found = weight_files(files)
    if not found:
        raise HubError(f"{where} holds no safetensors weights", hint="choose a revision or a model that does")
    found += [name for name in files if _matches(name, f"{_STEP}model.safetensors")]
    return small + found + [name for name in files if name in (INDEX, BIN_INDEX)]


def weight_files(files: Iterable[str]) -> list[str]:
    """The weights among file names at the top of a model folder: safetensors if any, else `.bin`."""
    top = sorted(name for name in files if "/" not in name and not any(fnmatch.fnmatch(name, f) for f in _FOREIGN))
    standard = [name for name in top if _SHARD.fullmatch(name)]
    return standard or _ending(top, ".safetensors") or [name for name in top if _BIN.fullmatch(name)]


def missing_file(folder: Path, *, weights: bool) -> str | None:
    """The first file that a model folder lacks, or None where it is complete."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not weights:
        return None
    for index in (folder / INDEX, folder / BIN_INDEX):
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
            absent = [name for name in shards if not (folder / name).is_file()]
            return absent[0] if absent else None
    return None if weight_files(path.name for path in folder.iterdir()) else "model.safetensors"


def _matches(name: str, pattern: str) -> bool:
    """fnmatch, with `*` staying within a folder."""
    return name.count("/") == pattern.count("/") and fnmatch.fnmatch(name, pattern)


def _ending(names: Iterable[str], suffix: str) -> list[str]:
    return [name for name in names if name.endswith(suffix)]
