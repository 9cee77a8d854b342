"""transformers' own tables of which class an architecture's processor and its parts are of."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

_TABLES = {
    "processor": ("processing_auto", "PROCESSOR_MAPPING_NAMES"),
    "image": ("image_processing_auto", "IMAGE_PROCESSOR_MAPPING_NAMES"),
    "video": ("video_processing_auto", "VIDEO_PROCESSOR_MAPPING_NAMES"),
    "audio": ("feature_extraction_auto", "FEATURE_EXTRACTOR_MAPPING_NAMES"),
}


def known(kind: str) -> Mapping[str, Any]:
    """Model type -> name of its class, or names by the library that it needs.

    Args:
        kind: `processor`, or the kind of media that a part of one takes.
    """
    module, name = _TABLES[kind]
    table: Mapping[str, Any] = getattr(importlib.import_module(f"transformers.models.auto.{module}"), name)
    return table
