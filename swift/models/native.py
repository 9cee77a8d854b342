"""Which architectures the installed transformers has."""

from __future__ import annotations


def native_types() -> list[str]:
    """Every model type with a configuration of its own, sorted."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    return sorted(CONFIG_MAPPING.keys())


def native_type(name: str) -> str:
    """The model type called `name`, or one that has a model class called so; empty where there is none."""
    if name in native_types():
        return name
    from transformers.models.auto import modeling_auto

    tables = [table for key, table in vars(modeling_auto).items() if key.endswith("_MAPPING_NAMES")]
    classes = ((kind, found) for table in tables for kind, found in table.items())
    return next((str(kind) for kind, found in classes if found == name or (type(found) is tuple and name in found)), "")
