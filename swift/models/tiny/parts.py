"""The parts of a processor, of their real classes and with sizes that fit a tiny model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from swift.models.tiny.known import known
from swift.models.tiny.tables import exception, merge, processor_fields

_BUDGET = 4096
"""An edge in a `size` that is longer than this counts pixels."""

_SAME = {
    "merge_size": "spatial_merge_size",
    "feature_size": "num_mel_bins",
    "encoder_patch_size": "patch_size",
    "max_image_tiles": "max_num_tiles",
}
"""Field of a part -> what the model's configuration calls it."""

_TOWERS = {"image": ("vision", "vq", "encoder"), "video": ("vision", "vq", "encoder"), "audio": ("audio", "encoder")}
_COPIED = frozenset({"patch_size", "temporal_patch_size", "downsample_factor", "pooling_kernel_size", *_SAME})


def build_part(kind: str, model_type: str, config: Mapping[str, Any]) -> Any:
    """The image processor, video processor or feature extractor of an architecture; None where it has none.

    Args:
        kind: `image`, `video` or `audio`.
        model_type: Whose part.
        config: Values of the tiny configuration, nested.
    """
    part_class = _part_class(kind, model_type)
    if part_class is None:
        return None
    special = exception(model_type, kind)
    default = part_class(**{name: value for name, value in special.items() if name == "draw_on_frames"}).to_dict()
    table = processor_fields(kind)
    values = {name: value for name, value in table.items() if default.get(name) is not None}
    for name in _COPIED & set(default):
        found = lookup(config, _SAME.get(name, name), _TOWERS[kind])
        if found is not None and default[name] is not None:
            values[name] = _shape(found, default[name])
    for name in ("size", "crop_size", "pad_size", "high_res_size"):
        if isinstance(default.get(name), Mapping):
            values[name] = _size(default[name], table["image_size"])
    return part_class(**merge(values, special))


def lookup(config: Mapping[str, Any], name: str, towers: tuple[str, ...] = ()) -> Any:
    """The value of a field in a nested configuration: in the parts named by `towers` first, then nearest the top."""
    levels = list(_levels(config, ""))
    preferred = [level for path, level in levels if any(word in path for word in towers)]
    for level in (*preferred, *(level for _, level in levels)):
        if level.get(name) is not None:
            return level[name]
    return None


def _levels(config: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, config
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _levels(value, f"{path}.{name}")


def _part_class(kind: str, model_type: str) -> Any:
    import transformers

    entry = known(kind).get(model_type)
    name = (entry.get("torchvision") or entry.get("pil")) if isinstance(entry, Mapping) else entry
    name = exception(model_type, "parts").get(kind, name)
    return None if name is None else getattr(transformers, name)


def _shape(value: Any, default: Any) -> Any:
    """A number or list from a configuration, as this part writes it."""
    number = value[0] if isinstance(value, list | tuple) else value
    if isinstance(default, Mapping):
        return dict.fromkeys(default, number)
    return [number] * len(default) if isinstance(default, list | tuple) else number


def _size(default: Mapping[str, int], edge: int) -> dict[str, int]:
    """Edges in pixels become `edge`; budgets of pixels leave 4 to 16 patches of half that size."""
    budgets = {"shortest_edge": edge**2, "longest_edge": (2 * edge) ** 2}
    budgets |= {"min_pixels": edge**2, "max_pixels": (2 * edge) ** 2}
    counts_pixels = any(value > _BUDGET for value in default.values())
    return {name: budgets.get(name, edge) if counts_pixels else edge for name in default}
