"""The syntax of `--dataset`: `[hub::]name[@revision][:subset[/split]][#n]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from swift.data.catalog import find
from swift.data.readers import format_of
from swift.errors import DataError

Hub = Literal["local", "hf", "ms", "builtin", "auto"]

_HUB = re.compile(r"(hf|ms)::", re.IGNORECASE)
_COUNT = re.compile(r"#(\d+)$")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(@[\w./-]+)?")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_WILD = re.compile(r"[*?\[]")
_SHAPE = "[hf::|ms::]name[:subset[/split]][#rows]"


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """One entry of `--dataset`, taken apart.

    Attributes:
        text: The entry as the user wrote it.
        hub: Where it lies. `auto`: a hub id, and the configuration decides which hub.
        name: Path, glob, hub id or built-in name.
        subset: Subsets by name; empty where none was given.
        split: What stood last after the colon, behind a `/`. `a:x/y` may also mean the subsets x and y;
            the layout of the data set decides.
        count: Rows wanted, or None for all.
        revision: Branch, tag or commit of a hub repository.
    """

    text: str
    hub: Hub
    name: str
    subset: tuple[str, ...] = ()
    split: str | None = None
    count: int | None = None
    revision: str | None = None


def parse(text: str) -> DatasetRef:
    """Take one entry apart. A file that exists under the whole text wins over every meaning of `:` and `#`.

    Raises:
        DataError: The text follows no form, with the way out.
    """
    text = text.strip()
    if not text:
        raise DataError("empty data set name", hint=f"the form is {_SHAPE}")
    if _exists(text):
        return DatasetRef(text, "local", text)
    if re.match(r"https?://", text):
        raise DataError(f"{text} is a web address; rows are read from files and hubs", hint="download it first")
    hub = _HUB.match(text)
    rest = text[hub.end() :] if hub else text
    rest, count = _split_count(rest, text)
    if not hub and _exists(rest):
        return DatasetRef(text, "local", rest, count=count)
    name, subset, split = _split_subset(rest, text, local=not hub)
    if hub:
        return _hub_ref(text, "hf" if hub[1].lower() == "hf" else "ms", name, subset, split, count)
    if _is_local(name):
        return DatasetRef(text, "local", name, subset, split, count)
    entry = find(name)
    if entry is not None and entry.file:
        return DatasetRef(text, "builtin", entry.name, subset, split, count)
    return _hub_ref(text, "auto", name, subset, split, count)


def _split_count(rest: str, text: str) -> tuple[str, int | None]:
    match = _COUNT.search(rest)
    if not match:
        mark = rest.rfind("#")
        if mark >= 0 and not _WILD.search(rest) and not format_of(rest):
            raise DataError(f"{rest[mark + 1 :]!r} in {text!r} is not a number of rows", hint=f"the form is {_SHAPE}")
        return rest, None
    count = int(match[1])
    if count == 0:
        raise DataError(f"{text!r} asks for 0 rows", hint="leave the data set out, or ask for at least 1")
    return rest[: match.start()], count


def _split_subset(rest: str, text: str, *, local: bool) -> tuple[str, tuple[str, ...], str | None]:
    """Split at the colon that ends the name: for a local path, the last one that leaves a path that exists."""
    start = 2 if _DRIVE.match(rest) else 0
    colon = rest.find(":", start)
    if colon < 0:
        return rest, (), None
    if local:
        places = [place for place in range(start, len(rest)) if rest[place] == ":" and _exists(rest[:place])]
        colon = places[-1] if places else colon
    parts = rest[colon + 1 :].split("/")
    if not rest[:colon] or not parts[-1] or any(not part for part in parts[1:]):
        raise DataError(f"{text!r} is not a data set", hint=f"the form is {_SHAPE}")
    if len(parts) == 1:
        return rest[:colon], (parts[0],), None
    return rest[:colon], tuple(part for part in parts[:-1] if part), parts[-1]


def _hub_ref(
    text: str, hub: Hub, name: str, subset: tuple[str, ...], split: str | None, count: int | None
) -> DatasetRef:
    if not _HUB_ID.fullmatch(name):
        raise DataError(f"{name!r} is neither a file nor a hub id (org/name)", hint=f"the form is {_SHAPE}")
    name, _, revision = name.partition("@")
    return DatasetRef(text, hub, name, subset, split, count, revision or None)


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # too long, holds a NUL, or no such user's home
        return False


def _is_local(name: str) -> bool:
    """Whether a name reads as a path: it exists, ends like a data file, is a glob, or has a path's marks."""
    return bool(
        _exists(name)
        or format_of(name)
        or _WILD.search(name)
        or name.startswith((".", "/", "~", "\\"))
        or _DRIVE.match(name)
        or "\\" in name
        or name.endswith("/")
        or (name.count("/") > 1 and "@" not in name)
    )
