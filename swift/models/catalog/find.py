"""Looking models up by id, architecture or word."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from swift.models.catalog.family import Family, Modality, Repo, read_family
from swift.registry import Registry

families: Registry[Family] = Registry("model family")
"""Families that plugins and other distributions add."""

_FILES: tuple[Modality, ...] = ("text", "multimodal")


def all_families() -> list[Family]:
    """Ours and registered ones, by name."""
    registered = [families.get(name) for name in families]
    return sorted([*_builtin(), *registered], key=lambda family: family.name)


def find(model: str) -> tuple[Family, Repo] | None:
    """The family and repository that an id on either hub names, in upper or lower case; None where it is not listed.

    Args:
        model: As for `--model`: `owner/name`, `ms://owner/name`, `hf://owner/name`, each with or without `@revision`.
    """
    wanted = model.removeprefix("ms://").removeprefix("hf://").partition("@")[0].lower()
    for family in all_families():
        for repo in family.repos:
            if wanted in (repo.hf.lower(), repo.ms.lower()):
                return family, repo
    return None


def hub_id(model: str, hub: Literal["hf", "ms"]) -> str:
    """The id on `hub` of a repository that is known under another id on the other hub; else `model` as it is."""
    wanted = model.lower()
    repos = [repo for family in all_families() for repo in family.repos]
    if any(wanted == (repo.hf if hub == "hf" else repo.ms).lower() for repo in repos):
        return model
    for repo in repos:
        there, here = (repo.hf, repo.ms) if hub == "hf" else (repo.ms, repo.hf)
        if wanted == here.lower() and there:
            return there
    return model


def of_architecture(name: str) -> Family | None:
    """The family of this model type, or the first with this class name in `config.json`."""
    known = all_families()
    named = next((family for family in known if family.name == name), None)
    return named or next((family for family in known if name in family.architectures), None)


def recommended_template(model: str, architectures: Sequence[str] = ()) -> str:
    """Name of the fallback template that suits a base model; empty where nothing is known.

    Args:
        model: As for `--model`; a model that is not listed is judged by its architecture and its name.
        architectures: What its `config.json` says.
    """
    family = _family(model, architectures)
    return "" if family is None else family.template.of(model)


def grounding_format(model: str, architectures: Sequence[str] = ()) -> str:
    """Name of the format of `swift.chat.grounding` in which a model writes boxes; empty where nothing is known.

    Args:
        model: As for `--model`; a model that is not listed is judged by its architecture and its name.
        architectures: Model type and class names, as its `config.json` says.
    """
    family = _family(model, architectures)
    return "" if family is None else family.grounding.of(model)


def tool_format(model: str, architectures: Sequence[str] = ()) -> str:
    """Name of the format of `swift.chat.tools` in which a model calls functions; empty where nothing is known.

    Args:
        model: As for `--model`; a model that is not listed is judged by its architecture and its name.
        architectures: Model type and class names, as its `config.json` says.
    """
    family = _family(model, architectures)
    return "" if family is None else family.tools.of(model)


def _family(model: str, architectures: Sequence[str]) -> Family | None:
    listed = find(model)
    if listed is not None:
        return listed[0]
    found = (of_architecture(name) for name in architectures)
    return next((family for family in found if family is not None), None)


def search(word: str = "", modality: Modality | None = None) -> list[tuple[Family, Repo]]:
    """Repositories whose id or family mentions `word`, upper or lower case; all for an empty word."""
    wanted = word.lower()
    return [
        (family, repo)
        for family in all_families()
        if modality in (None, family.modality)
        for repo in family.repos
        if wanted in f"{repo.hf} {repo.ms} {family.name} {' '.join(family.architectures)}".lower()
    ]


@functools.cache
def _builtin() -> tuple[Family, ...]:
    owners = {str(hf): str(ms) for hf, ms in _load("owners").items()}
    return tuple(
        read_family(name, values, modality, owners) for modality in _FILES for name, values in _load(modality).items()
    )


def _load(name: str) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with (Path(__file__).parent / f"{name}.yaml").open(encoding="utf-8") as stream:
        loaded: dict[str, Any] = yaml.load(stream, Loader=loader)
    return loaded
