"""One file of the token store, written whole or not at all.

`shard-00000.bin` holds arrays back to back; `shard-00000.json` says where each stands, and the file's size and
its XXH3 hash. The manifest is written last, so that a shard without one does not exist.

Loss weights are mostly 0 or 1 over long stretches, so they are kept as runs of equal values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from swift.data.chunk import EncodedChunk, RowFate
from swift.data.illustrated import from_bytes
from swift.errors import DataError, ResourceError
from swift.types import Illustrated, LedgerEntry, Origin

_ALIGN = 64
_ARRAYS: dict[str, type[np.generic]] = {
    "starts": np.int64,
    "run_starts": np.int64,
    "run_lengths": np.int32,
    "run_weights": np.float32,
    "targets": np.int32,
    "sources": np.int32,
    "numbers": np.int64,
    "indices": np.int64,
    "parts": np.int32,
    "shown_starts": np.int64,
    "shown": np.uint8,
    "fates": np.uint8,
}


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard, mapped into memory.

    Attributes:
        rows: Input rows that it stands for, kept or not.
        starts: int64 [sequences + 1], where each sequence's tokens begin.
        ids: uint16 or int32 [tokens].
        run_starts: int64 [sequences + 1], where each sequence's runs begin.
        run_lengths: int32 [runs], tokens of a run.
        run_weights: float32 [runs], their weight.
        targets: int32 [sequences], trained tokens.
        sources, numbers, indices, parts: As in `EncodedChunk`.
        shown_starts: int64 [sequences + 1], where the bytes begin of what each sequence shows.
    """

    rows: int
    starts: NDArray[np.int64]
    ids: NDArray[np.uint16] | NDArray[np.int32]
    run_starts: NDArray[np.int64]
    run_lengths: NDArray[np.int32]
    run_weights: NDArray[np.float32]
    targets: NDArray[np.int32]
    sources: NDArray[np.int32]
    numbers: NDArray[np.int64]
    indices: NDArray[np.int64]
    parts: NDArray[np.int32]
    shown_starts: NDArray[np.int64]
    _shown: NDArray[np.uint8]
    _fates: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.targets)

    def tokens(self, i: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids and weights of a sequence."""
        ids = self.ids[self.starts[i] : self.starts[i + 1]].astype(np.int32)
        runs = slice(self.run_starts[i], self.run_starts[i + 1])
        return ids, np.repeat(self.run_weights[runs], self.run_lengths[runs])

    def shown(self, i: int) -> Illustrated | None:
        """What a processor made a sequence of; None for text alone."""
        begin, end = int(self.shown_starts[i]), int(self.shown_starts[i + 1])
        return None if begin == end else from_bytes(bytes(self._shown[begin:end]))

    def media_kinds(self) -> int:
        """The kinds of media in it, as `kinds_of` reads them."""
        begins = self.shown_starts[:-1][np.diff(self.shown_starts) > 0]
        return int(np.bitwise_or.reduce(self._shown[begins], initial=0))

    def failed_for_media(self) -> bool:
        """Whether a row was not kept because of a medium, which may have been mended since."""
        return any(str(orjson.loads(line)[3]).startswith("media_") for line in bytes(self._fates).splitlines())

    def fates(self, names: Sequence[str]) -> Iterator[LedgerEntry]:
        """What became of the rows that were not simply kept."""
        for line in bytes(self._fates).splitlines():
            source, index, outcome, reason, detail = orjson.loads(line)
            yield LedgerEntry(Origin(names[source], index), outcome, reason, detail)


def write_shard(folder: Path, number: int, chunks: Sequence[EncodedChunk]) -> None:
    """Write chunks as one shard, durably.

    Raises:
        ResourceError: The disk is full, or cannot be written.
    """
    arrays = _arrays(chunks)
    data, manifest = _paths(folder, number)
    layout: dict[str, list[int | str]] = {}
    digest = xxhash.xxh3_128()
    try:
        with _durable(data) as file:
            for name, array in arrays.items():
                gap = -file.tell() % _ALIGN
                layout[name] = [file.tell() + gap, array.dtype.str, array.size]
                for piece in (b"\0" * gap, array.tobytes()):
                    file.write(piece)
                    digest.update(piece)
            size = file.tell()
            _commit(file, data)
        described = {"rows": sum(c.rows for c in chunks), "size": size, "xxh3": digest.hexdigest(), "arrays": layout}
        with _durable(manifest) as file:
            file.write(orjson.dumps(described))
            _commit(file, manifest)
    except OSError as error:
        raise ResourceError(
            f"cannot write tokenized rows to {folder}: {error.strerror}",
            hint="free some space, or choose another place with --data_cache_dir",
        ) from error


def open_shard(folder: Path, number: int, *, verify: bool) -> Shard | None:
    """A shard, or None where there is none.

    Args:
        verify: Compare the file's hash, not just its size.

    Raises:
        DataError: It is there, and is not what was written.
    """
    data, manifest = _paths(folder, number)
    if not manifest.is_file():
        return None
    try:
        described: dict[str, Any] = orjson.loads(manifest.read_bytes())
        damaged = data.stat().st_size != described["size"] or (verify and _hash(data) != described["xxh3"])
        if damaged:
            raise ValueError("size or hash differs")
        raw = np.memmap(data, dtype=np.uint8, mode="r")
        views = {
            name: np.asarray(raw[start : start + np.dtype(kind).itemsize * size]).view(kind)
            for name, (start, kind, size) in described["arrays"].items()
        }
        return Shard(rows=described["rows"], _shown=views.pop("shown"), _fates=views.pop("fates"), **views)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"the cached tokens in {data} are damaged: {error}", hint=f"delete {folder}") from error


def remove_shards(folder: Path, first: int) -> None:
    """Delete shard `first` and all after it, and whatever was being written."""
    for path in folder.glob("shard-*"):
        if path.suffix == ".tmp" or int(path.stem.removeprefix("shard-")) >= first:
            path.unlink(missing_ok=True)


def _paths(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"shard-{number:05d}.bin", folder / f"shard-{number:05d}.json"


def _durable(path: Path) -> IO[bytes]:
    return open(path.with_name(path.name + ".tmp"), "wb")


def _commit(file: IO[bytes], path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    os.replace(file.name, path)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _hash(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _arrays(chunks: Sequence[EncodedChunk]) -> dict[str, NDArray[Any]]:
    ids = np.concatenate([chunk.ids for chunk in chunks])
    weights = np.concatenate([chunk.weights for chunk in chunks])
    lengths = np.concatenate([chunk.lengths for chunk in chunks]).astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    begins = np.ones(weights.size, dtype=bool)  # of runs: where the weight changes, or a sequence begins
    begins[1:] = weights[1:] != weights[:-1]
    begins[starts[:-1]] = True
    at = np.flatnonzero(begins)
    counted = np.concatenate([np.zeros(1, np.int64), np.cumsum(weights > 0)])
    arrays: dict[str, NDArray[Any]] = {
        "starts": starts,
        "ids": ids.astype(np.uint16) if ids.size and ids.max() < 1 << 16 else ids,
        "run_starts": np.searchsorted(at, starts),
        "run_lengths": np.diff(at, append=weights.size),
        "run_weights": weights[at],
        "targets": counted[starts[1:]] - counted[starts[:-1]],
        "shown_starts": np.cumsum([0, *(len(data) for chunk in chunks for data in chunk.shown)]),
        "shown": np.frombuffer(b"".join(data for chunk in chunks for data in chunk.shown), dtype=np.uint8),
        "fates": np.frombuffer(b"".join(_line(fate) for c in chunks for fate in c.fates), dtype=np.uint8),
    }
    for name in ("sources", "numbers", "indices", "parts"):
        arrays[name] = np.concatenate([getattr(chunk, name) for chunk in chunks])
    return {
        name: array.astype(_ARRAYS[name], copy=False) if name in _ARRAYS else array for name, array in arrays.items()
    }


def _line(fate: RowFate) -> bytes:
    entry = fate.entry
    values: list[int | str | Literal["kept", "truncated", "split", "dropped", "failed"]] = [
        fate.source,
        entry.origin.index,
        entry.outcome,
        entry.reason,
        entry.detail,
    ]
    return orjson.dumps(values) + b"\n"
