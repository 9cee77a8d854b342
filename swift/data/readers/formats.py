"""Which reader a file name asks for."""

from __future__ import annotations

from pathlib import Path

from swift.data.readers.array import count_json, read_json
from swift.data.readers.base import FileSource, Format
from swift.data.readers.lines import count_lines, read_jsonl, read_text
from swift.data.readers.parquet import count_parquet, read_parquet
from swift.data.readers.table import count_csv, count_tsv, read_csv, read_tsv
from swift.errors import DataError

FORMATS = {
    "json": Format("json", read_json, count_json),
    "jsonl": Format("jsonl", read_jsonl, count_lines),
    "csv": Format("csv", read_csv, count_csv),
    "tsv": Format("tsv", read_tsv, count_tsv),
    "parquet": Format("parquet", read_parquet, count_parquet),
    "txt": Format("txt", read_text, count_lines),
}
_SUFFIXES = {".ndjson": "jsonl", **{f".{name}": name for name in FORMATS}}
_COMPRESSED = (".gz", ".zst")


def suffixes() -> list[str]:
    """The file name endings that are read, without those of compression."""
    return sorted(_SUFFIXES)


def format_of(path: str | Path) -> str | None:
    """The format that a file name asks for, or None."""
    name = str(path).lower()
    for ending in _COMPRESSED:
        if name.endswith(ending):
            name = name.removesuffix(ending)
            return None if name.endswith(".parquet") else _SUFFIXES.get(Path(name).suffix)
    return _SUFFIXES.get(Path(name).suffix)


def open_file(path: Path, name: str) -> FileSource:
    """A source for one file.

    Raises:
        DataError: Its name ends in nothing that is read.
    """
    found = format_of(path)
    if found is None:
        raise DataError(
            f"cannot tell the format of {name} by its ending {path.suffix!r}",
            hint=f"read are {' '.join(suffixes())}, and each but .parquet with .gz or .zst",
        )
    return FileSource(path, name, found)
