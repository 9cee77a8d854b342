"""Heads that adapters bring along: their weights lie beside the adapter's, and the model's own files lack them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open

from swift.errors import CheckpointError
from swift.tuners.attach import read_adapter_config
from swift.tuners.extra import extra_config


def saved_head(adapters: Mapping[str, Path]) -> tuple[int | None, tuple[str, ...]]:
    """How many outputs the adapters' head has, and the names of modules that they hold whole; none where none does.

    Raises:
        CheckpointError: Two have heads of different sizes, or a file cannot be read.
    """
    sizes: dict[int, str] = {}
    modules: list[str] = []
    for name, folder in adapters.items():
        if extra_config(folder) is not None:
            continue
        kept = tuple(read_adapter_config(folder).to_dict().get("modules_to_save") or ())
        modules += kept
        rows = _rows(folder, kept)
        if rows is not None:
            sizes.setdefault(rows, name)
    if len(sizes) > 1:
        told = " and ".join(f"{name} has {rows}" for rows, name in sizes.items())
        raise CheckpointError(f"the adapters' heads differ: {told} outputs", hint="load them one at a time")
    return next(iter(sizes), None), tuple(dict.fromkeys(modules))


def _rows(folder: Path, modules: tuple[str, ...]) -> int | None:
    """Outputs of the last layer of a head: the fewest that any of its layers has."""
    path = folder / "adapter_model.safetensors"
    if not modules or not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if any(f".{module}." in name for module in modules)]  # noqa: SIM118
            shapes = [file.get_slice(name).get_shape() for name in names if name.endswith("weight")]
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", hint="save it again") from error
    return min((int(shape[0]) for shape in shapes if len(shape) == 2), default=None)
