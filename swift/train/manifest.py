"""The list of a checkpoint's files with their sizes and hashes, by which damage is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from swift.errors import CheckpointError

MANIFEST = "manifest.json"
_FORMAT = 1
_HASHERS = 4


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file: its size in bytes and its SHA-256 as hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a checkpoint folder must hold.

    Attributes:
        step: Optimizer steps taken when it was saved.
        sequence: Counts the checkpoints of a run folder in the order of saving; a higher one is newer even where
            its step is lower, as after resuming from an earlier checkpoint.
        files: By path relative to the folder, with `/`.
    """

    step: int
    sequence: int
    files: dict[str, FileRecord]

    def to_bytes(self) -> bytes:
        """As JSON."""
        return (json.dumps({"format": _FORMAT, **asdict(self)}, indent=1) + "\n").encode()


def make_manifest(folder: Path, *, step: int, sequence: int) -> Manifest:
    """Hash every file below `folder`, several at a time."""
    paths = sorted(_files(folder))
    with ThreadPoolExecutor(_HASHERS) as pool:
        records = list(pool.map(_record, paths))
    names = (path.relative_to(folder).as_posix() for path in paths)
    return Manifest(step=step, sequence=sequence, files=dict(zip(names, records, strict=True)))


def read_manifest(folder: Path) -> Manifest:
    """The manifest in `folder`.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    path = folder / MANIFEST
    try:
        value: Any = json.loads(path.read_bytes())
        if value["format"] != _FORMAT:
            raise CheckpointError(
                f"{path} has format {value['format']}, and this version reads format {_FORMAT}",
                hint="use the version that saved it",
            )
        files = {name: FileRecord(**record) for name, record in value["files"].items()}
        return Manifest(step=int(value["step"]), sequence=int(value["sequence"]), files=files)
    except FileNotFoundError as error:
        raise CheckpointError(f"{folder} is not a checkpoint of this program: {MANIFEST} is missing") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


def damage(folder: Path) -> str:
    """What is wrong with a checkpoint, as the first damaged file and how; empty if every hash is right."""
    try:
        manifest = read_manifest(folder)
    except CheckpointError as error:
        return error.message
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (size := path.stat().st_size) != record.size:
            return f"{name} has {size} bytes instead of {record.size}"
    names = list(manifest.files)
    with ThreadPoolExecutor(_HASHERS) as pool:
        found = pool.map(_record, [folder / name for name in names])
        for name, record in zip(names, found, strict=True):
            if record != manifest.files[name]:
                return f"{name} has changed: its SHA-256 differs"
    return ""


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _record(path: Path) -> FileRecord:
    with path.open("rb") as file:
        return FileRecord(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
