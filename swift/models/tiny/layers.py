"""Which layers of an architecture are kept in its tiny model: one of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth")
_KINDS = ("layer_types", "layers_block_type", "block_types")


def kept_layers(default: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Values for all lists with an entry per layer, and for the number of layers.

    One layer of each kind, and full attention among them, without which there is nothing to cache.
    """
    kept: dict[str, Any] = {}
    for name in _KINDS:
        if default.get(name):
            kinds = list(dict.fromkeys(default[name]))
            if kinds == ["linear_attention"]:
                kinds.append("full_attention")
            kept[name] = kinds * (2 if len(kinds) == 1 else 1)
            kept["num_hidden_layers"] = len(kept[name])
    if kept and default.get("mlp_layer_types"):
        dense = default["mlp_layer_types"]
        kept["mlp_layer_types"] = [dense[0], *[dense[-1]] * (kept["num_hidden_layers"] - 1)]
    return kept
