"""From an entry of `--dataset` to the sources of its rows."""

from __future__ import annotations

import difflib
import glob
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from swift.config.data import DataConfig
from swift.data.catalog import Entry, find, known_names
from swift.data.readers import format_of, open_file, suffixes
from swift.data.rows import BadRow, Source
from swift.data.syntax import DatasetRef
from swift.errors import DataError
from swift.hub.datasets import README, WantedDataset, locate_dataset
from swift.hub.layout import choose_files, layout_of
from swift.types import Row

__all__ = ["BadRow", "RenamedSource", "Source", "open_sources"]

_OWN_FILES = Path(__file__).parent
# Files beside the data that describe it.
_ABOUT = ("dataset_info.json", "dataset_infos.json", "state.json", "dataset_dict.json", "requirements.txt")
_ABOUT_WORDS = ("readme", "license", "licence", "changelog", "notice")


@dataclass(frozen=True)
class RenamedSource:
    """A source whose columns get other names, as the catalog states them.

    Attributes:
        source: Where the rows come from.
        columns: Pairs of its name and ours.
    """

    source: Source
    columns: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The inner source's name."""
        return self.source.name

    def fingerprint(self) -> str:
        """Changes with the content and with the names."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.columns))
        return f"{self.source.fingerprint()};{renamed}"

    def count(self) -> int:
        """As of the inner source."""
        return self.source.count()

    def rows(self, start: int = 0) -> Iterator[Row | BadRow]:
        """Rows from number `start` on, renamed."""
        columns = dict(self.columns)
        for item in self.source.rows(start):
            yield Row(rename(item.values, columns), item.origin, item.folder) if isinstance(item, Row) else item


def rename(values: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """A row under other column names. A renamed column replaces one that had its new name before."""
    taken = {new for old, new in columns.items() if old in values}
    kept = {name: value for name, value in values.items() if name not in columns and name not in taken}
    return {**kept, **{columns[name]: value for name, value in values.items() if name in columns}}


def open_sources(ref: DatasetRef, config: DataConfig) -> list[Source]:
    """The sources of one entry, one a file, in the order of their names.

    Raises:
        DataError: No such file, or none in it that can be read.
        HubError: A download failed.
    """
    if ref.hub == "local":
        return [open_file(path, name) for path, name in _local_files(ref)]
    entry = find(ref.name)
    if entry is not None and entry.placeholders and not (config.model_name and config.model_author):
        raise DataError(
            f"the rows of {ref.name} speak of {{{{name}}}} and {{{{author}}}}, and neither may stay open",
            hint="give both: --model_name NAME --model_author AUTHOR",
        )
    if ref.hub == "builtin":
        if entry is None:
            raise DataError(f"no built-in data set {ref.name!r}", hint=f"there are {', '.join(known_names())}")
        return [_renamed(open_file(_OWN_FILES / entry.file, ref.name), entry)]
    return _from_hub(ref, config, entry)


def _from_hub(ref: DatasetRef, config: DataConfig, entry: Entry | None) -> list[Source]:
    hub = config.hub if ref.hub == "auto" else ref.hub
    hf = (entry.hf if entry else ref.name) if hub in ("auto", "hf") else ""
    ms = (entry.ms if entry else ref.name) if hub in ("auto", "ms") else ""
    if not (hf or ms):
        where = "Hugging Face" if hub == "hf" else "ModelScope"
        raise DataError(f"{ref.name} is not known to be on {where}", hint="name the other hub: hf:: or ms::")
    subset = ref.subset or ((entry.subset,) if entry and entry.subset and ref.split is None else ())
    split = ref.split or (entry.split if entry and entry.split and not ref.subset else None)
    located = locate_dataset(WantedDataset(hf, ms, ref.revision, subset, split), _is_data)
    return [_renamed(open_file(located.folder / path, f"{ref.name}/{path}"), entry) for path in located.files]


def _renamed(source: Source, entry: Entry | None) -> Source:
    return RenamedSource(source, tuple(entry.columns.items())) if entry is not None and entry.columns else source


def _local_files(ref: DatasetRef) -> list[tuple[Path, str]]:
    path = Path(ref.name).expanduser()
    if path.is_file():
        _no_parts(ref, "file")
        return [(path, ref.name)]
    if path.is_dir():
        return _folder_files(path, ref)
    if any(mark in ref.name for mark in "*?["):
        _no_parts(ref, "pattern")
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if found:
            return [(file, str(file)) for file in found if _is_data(file.name)] or _nothing_readable(ref)
        raise DataError(f"no file matches {ref.name}", hint=_near(path))
    raise DataError(f"no file {ref.name}", hint=_near(path))


def _folder_files(folder: Path, ref: DatasetRef) -> list[tuple[Path, str]]:
    names = [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    data = [name for name in names if _is_data(name)]
    if any(format_of(name) != "txt" for name in data):
        data = [name for name in data if format_of(name) != "txt"]
    if not data:
        if any(name.endswith(".arrow") for name in names):
            raise DataError(f"{ref.name} was written by save_to_disk", hint="write it with to_parquet or to_json")
        return _nothing_readable(ref)
    readme = folder / README
    text = readme.read_text(encoding="utf-8", errors="replace") if readme.is_file() else ""
    chosen = choose_files(layout_of(data, text), ref.name, ref.subset, ref.split, every_subset=True)
    return [(folder / name, f"{ref.name.rstrip('/')}/{name}") for name in chosen]


def _is_data(name: str) -> bool:
    base = name.rsplit("/", 1)[-1].lower()
    return format_of(base) is not None and base not in _ABOUT and not base.startswith(_ABOUT_WORDS)


def _no_parts(ref: DatasetRef, kind: str) -> None:
    if ref.subset or ref.split:
        part = "/".join((*ref.subset, *((ref.split,) if ref.split else ())))
        raise DataError(f"{ref.name} is a {kind} and has no subset or split {part!r}", hint="leave it out")


def _nothing_readable(ref: DatasetRef) -> list[tuple[Path, str]]:
    raise DataError(f"{ref.name} holds no file that can be read", hint=f"read are {' '.join(suffixes())}")


def _near(path: Path) -> str:
    """Names in the folder, or folders beside it, that are close to one that does not exist."""
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        path, parent = parent, parent.parent
    try:
        names = [entry.name for entry in parent.iterdir()]
    except OSError:
        return f"{parent} cannot be read"
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(str(parent / name) for name in near)}?"
    return f"there is no such name in {parent.resolve()}"
