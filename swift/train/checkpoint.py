"""Checkpoint folders: written whole or not at all, hashed, found again. Knows nothing of models.

    RUN/checkpoint-30/manifest.json              sizes and hashes of all other files, written last
    RUN/checkpoint-30/...                        whatever `write_weights` writes
    RUN/checkpoint-30/state/state.json           plain values
    RUN/checkpoint-30/state/NAME.safetensors     tensors, grouped by the part of their key before the first slash
    RUN/last, RUN/best                           relative links, for people and other programs

A checkpoint is written into a hidden folder, flushed to the disk, and renamed; so is the way back when one is
deleted. Whatever a killed process leaves behind begins with `.tmp-` or `.old-` and goes at the next start.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from swift.errors import CheckpointError, ResourceError
from swift.hub.durable import fsync, settle
from swift.train.atomic import link_atomic
from swift.train.checkpoint_list import (
    PREFIX,
    REPLACED,
    TEMPORARY,
    by_age,
    clean_temporary,
    find_checkpoint,
    mark_best,
    print_warning,
    prune,
)
from swift.train.disk import GIB, require_space
from swift.train.manifest import MANIFEST, make_manifest

__all__ = [
    "JSON",
    "clean_temporary",
    "find_checkpoint",
    "load_checkpoint",
    "mark_best",
    "print_warning",
    "prune",
    "read_values",
    "require_space",
    "save_checkpoint",
]

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""Any value that JSON can hold."""

_UNGROUPED = "tensors"


def save_checkpoint(
    run_dir: Path,
    step: int,
    *,
    write_weights: Callable[[Path], None],
    tensors: Mapping[str, Tensor],
    state: Mapping[str, JSON],
    expected_bytes: int = 0,
) -> Path:
    """Write `RUN/checkpoint-<step>` and point `last` at it. At every instant it is complete or absent.

    Args:
        run_dir: The run folder.
        step: Optimizer steps taken.
        write_weights: Writes the model's files into the folder that it is given.
        tensors: For `load_checkpoint`; a key `group/name` goes to `state/group.safetensors`.
        state: For `load_checkpoint`; empty (with no tensors) makes a checkpoint that cannot be resumed from.
        expected_bytes: About how much `write_weights` will write, to check the disk before.

    Returns:
        The checkpoint folder. An older one of the same step is replaced.

    Raises:
        ResourceError: The disk is full, or would be.
    """
    require_space(run_dir, expected_bytes + sum(t.numel() * t.element_size() for t in tensors.values()))
    final = run_dir / f"{PREFIX}{step}"
    temporary = run_dir / f"{TEMPORARY}{secrets.token_hex(4)}-{final.name}"
    with _removed_on_failure(temporary):
        temporary.mkdir()
        write_weights(temporary)
        if state or tensors:
            _write_state(temporary / "state", tensors, state)
        sequence = 1 + max((number for number, _ in by_age(run_dir)), default=0)
        manifest = make_manifest(temporary, step=step, sequence=sequence)
        (temporary / MANIFEST).write_bytes(manifest.to_bytes())
        settle(temporary)
        replaced = _move_aside(final)
        os.rename(temporary, final)
        fsync(run_dir)
    if replaced is not None:
        shutil.rmtree(replaced)
    link_atomic(run_dir / "last", final.name)
    return final


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and values that `save_checkpoint` was given.

    Raises:
        CheckpointError: They are absent or damaged.
    """
    state = read_values(path)
    tensors: dict[str, Tensor] = {}
    try:
        for file in sorted((path / "state").glob("*.safetensors")):
            prefix = "" if file.stem == _UNGROUPED else f"{file.stem}/"
            # Copied, because the tensors would otherwise live in the file, which may be deleted later.
            tensors |= {prefix + name: t.clone() for name, t in load_file(file).items()}
    except SafetensorError as error:
        raise CheckpointError(f"the state in {path} is damaged: {error}", hint="resume from an older one") from error
    return tensors, state


def read_values(path: Path) -> dict[str, Any]:
    """The values alone.

    Raises:
        CheckpointError: They are absent or damaged.
    """
    file = path / "state" / "state.json"
    try:
        values: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} holds weights only and cannot be resumed from",
            hint="it was saved with save_only_model; continue from its weights with --adapters or --model",
        ) from error
    except ValueError as error:
        raise CheckpointError(f"the state in {path} is damaged: {error}", hint="resume from an older one") from error
    return values


def _write_state(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, JSON]) -> None:
    folder.mkdir()
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        group, slash, name = key.partition("/")
        group, name = (group, name) if slash else (_UNGROUPED, key)
        groups.setdefault(group, {})[name] = tensor.detach().cpu().contiguous()
    for group, members in groups.items():
        save_file(members, folder / f"{group}.safetensors")
    (folder / "state.json").write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")


def _move_aside(path: Path) -> Path | None:
    if not path.exists():
        return None
    aside = path.with_name(f"{REPLACED}{secrets.token_hex(4)}-{path.name}")
    os.rename(path, aside)
    return aside


@contextmanager
def _removed_on_failure(temporary: Path) -> Iterator[None]:
    """Remove `temporary` when the block fails, and say it plainly when a full disk is why."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if _disk_is_full(error):
            free = shutil.disk_usage(temporary.parent).free
            raise ResourceError(
                f"the disk filled up while {temporary.parent} was saved to ({free / GIB:.2f} GiB free now)",
                hint="nothing half was left; free some space and resume from last",
            ) from error
        raise


def _disk_is_full(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, SafetensorError) and "os error 28" in str(error)
