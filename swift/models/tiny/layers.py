"""Which layers of an architecture are kept in its tiny model: one of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth", "encoder_layers", "num_blocks")
_PATTERNS = ("layer_types", "layers_block_type", "block_types")
_CHANGES = "per_layer_config"
_LEAST = 2
_MOST_KINDS = 4
"""A list per layer with more different entries than this holds no kinds, but sizes."""


def kept_layers(default: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for the number of layers, and for every list that has an entry for each of them.

    One layer of each kind, and full attention among them, without which there is nothing to cache.

    Args:
        default: The architecture's default values.
        values: What else is set; a list in it is cut to the layers that are kept.
    """
    depth = next((name for name in _DEPTHS if isinstance(default.get(name), int)), None)
    if depth is None:
        return {}
    lists = {name: list(given) for name, given in default.items() if _is_per_layer(given, default[depth])}
    changes = {int(index): dict(change) for index, change in (default.get(_CHANGES) or {}).items()}
    if not lists:
        return _pattern(default, depth)
    changed = [sorted(changes.get(index, {})) for index in range(default[depth])]
    kept = _chosen([*lists.values(), changed], default[depth])
    result: dict[str, Any] = {name: _cut(given, kept) for name, given in lists.items()}
    result |= {name: values[name][: len(kept)] for name in lists if isinstance(values.get(name), list)}
    for name, kinds in result.items():
        if set(map(repr, kinds)) == {"'linear_attention'"}:
            result[name] = ["linear_attention"] * (len(kept) - 1) + ["full_attention"]
    if changes:
        pairs = ((place, changes.get(index)) for place, index in enumerate(kept))
        result[_CHANGES] = {place: _scaled(change, default, values) for place, change in pairs if change}
    return result | {depth: len(kept)}


def _pattern(default: Mapping[str, Any], depth: str) -> dict[str, Any]:
    """Of a pattern of kinds that repeats, each kind once."""
    for name in _PATTERNS:
        if default.get(name):
            kinds = list(dict.fromkeys(default[name]))
            return {name: kinds, depth: max(len(kinds), _LEAST)}
    return {}


def _cut(given: list[Any], kept: list[int]) -> list[Any]:
    """The entries of the layers that are kept; where they are indices of layers, the new ones."""
    names_layers = all(isinstance(entry, int) for entry in given) and len(set(given)) > _MOST_KINDS
    if not names_layers or max(given) >= len(given):
        return [given[index] for index in kept]
    places = {index: place for place, index in enumerate(kept)}
    return [places.get(given[index], places[index]) for index in kept]


def _scaled(change: Mapping[str, Any], default: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """What differs in one layer, in the same proportion to the others."""
    return {
        name: values[name] * value // default[name] if name in values and default.get(name) else value
        for name, value in change.items()
    }


def _is_per_layer(given: Any, depth: int) -> bool:
    return isinstance(given, list | tuple) and len(given) == depth > _LEAST


def _chosen(lists: Iterable[list[Any]], depth: int) -> list[int]:
    """The first layer of each kind in each list, and at least `_LEAST` layers."""
    chosen: set[int] = set()
    for entries in lists:
        kinds = list(dict.fromkeys(map(repr, entries)))
        if len(kinds) <= _MOST_KINDS:
            texts = list(map(repr, entries))
            missing = [kind for kind in kinds if kind not in {texts[index] for index in chosen}]
            chosen |= {texts.index(kind) for kind in missing}
    rest = (index for index in range(depth) if index not in chosen)
    while len(chosen) < _LEAST:
        chosen.add(next(rest))
    return sorted(chosen)
