"""Models that are known by name. Data only: a model that is not listed works as well as one that is."""

from __future__ import annotations

from swift.models.catalog.family import Family, Modality, Repo
from swift.models.catalog.find import (
    all_families,
    families,
    find,
    grounding_format,
    hub_id,
    of_architecture,
    recommended_template,
    search,
    tool_format,
)

__all__ = [
    "Family",
    "Modality",
    "Repo",
    "all_families",
    "families",
    "find",
    "grounding_format",
    "hub_id",
    "of_architecture",
    "recommended_template",
    "search",
    "tool_format",
]
