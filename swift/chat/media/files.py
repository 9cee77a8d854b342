"""A checkpoint's processor files: loading them, one copy a thread, and putting them beside other weights."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import orjson

from swift.config.media import MediaConfig
from swift.errors import ModelError

FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")

_loaded = threading.local()


def processor_of(folder: Path, trust_remote_code: bool) -> Any:
    """This thread's copy of a checkpoint's processor: its tokenizer is not to be shared.

    Raises:
        ModelError: It cannot be loaded, such as where a library is missing.
    """
    known: dict[Path, Any] = _loaded.__dict__.setdefault("processors", {})
    if folder not in known:
        known[folder] = _load(folder, trust_remote_code)
    return known[folder]


def copy_processor(source: Path, target: Path) -> None:
    """Put the processor's files of one checkpoint beside the weights of another."""
    for name in (*FILES, "chat_template.json"):
        if (source / name).is_file() and source != target:
            shutil.copyfile(source / name, target / name)


def processor_template(folder: Path) -> str | None:
    """The chat template that older checkpoints keep beside the processor only."""
    path = folder / "chat_template.json"
    if not path.is_file():
        return None
    try:
        found = orjson.loads(path.read_bytes()).get("chat_template")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="download the model again") from error
    return found if isinstance(found, str) else None


def processor_fingerprint(folder: Path, config: MediaConfig) -> str:
    """Hash of all that decides what becomes of media: the files, our limits, and the library that has the code."""
    digest = hashlib.sha256(importlib.metadata.version("transformers").encode())
    for name in FILES:
        path = folder / name
        digest.update(path.read_bytes() if path.is_file() else b"-")
    # What a medium becomes; not where it may come from, nor how it is kept.
    limits = config.model_dump(mode="json", exclude={"hosts", "timeout", "cache_megabytes", "max_megabytes"})
    digest.update(json.dumps(limits, sort_keys=True).encode())
    return digest.hexdigest()


def _load(folder: Path, trust_remote_code: bool) -> Any:
    from transformers import AutoProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return AutoProcessor.from_pretrained(folder, trust_remote_code=trust_remote_code, local_files_only=True)
    except ImportError as error:
        raise ModelError(
            f"the processor in {folder} needs a library: {' '.join(str(error).split())[:200]}",
            hint="pip install 'swift-finetune[media]'",
        ) from error
    except Exception as error:  # errors of every type, each about this checkpoint
        raise ModelError(f"the processor in {folder} cannot be loaded: {' '.join(str(error).split())[:200]}") from error
