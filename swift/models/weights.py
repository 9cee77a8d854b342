"""Whether the weight files of a folder are whole, before any of them is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from swift.errors import ModelError
from swift.hub.files import BIN_INDEX, INDEX, weight_files

_DAMAGED = "download it again, or copy it again from where it was made"
_LARGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors format


def require_weights(folder: Path) -> list[Path]:
    """The weight files that loading will read, each checked for its length.

    Raises:
        ModelError: There are none, the index names one that is absent, or one is cut short or not safetensors.
    """
    files = _listed(folder)
    for file in files:
        if file.suffix == ".safetensors":
            check_safetensors(file)
    return files


def check_safetensors(file: Path) -> None:
    """Compare the file's length with what its header promises (https://github.com/huggingface/safetensors#format).

    Raises:
        ModelError: The two differ, or there is no readable header.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > _LARGEST_HEADER:
            raise ModelError(f"{file} is not a safetensors file", hint=_pointer(file) or _DAMAGED)
        if size < 8 + length:
            raise ModelError(f"{file} is cut short: {size} bytes, its header alone needs {8 + length}", hint=_DAMAGED)
        try:
            header = json.loads(stream.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            wanted = 8 + length + int(max(ends, default=0))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelError(f"{file} is not a safetensors file: its header is damaged", hint=_DAMAGED) from error
    if size != wanted:
        what = "is cut short" if size < wanted else "has bytes too many"
        raise ModelError(f"{file} {what}: {size} bytes, its header promises {wanted}", hint=_DAMAGED)


def _listed(folder: Path) -> list[Path]:
    names = weight_files(path.name for path in folder.iterdir())
    for index in (folder / INDEX, folder / BIN_INDEX):
        if index.is_file() and "model.safetensors" not in names:
            names = _indexed(index)
            absent = [name for name in names if not (folder / name).is_file()]
            if absent:
                listing = ", ".join(absent[:3]) + (f" and {len(absent) - 3} more" if len(absent) > 3 else "")
                raise ModelError(f"{folder} lacks {listing}, which {index.name} names", hint=_DAMAGED)
            break
    if not names:
        raise ModelError(f"{folder} holds no weights (model.safetensors)", hint="download the weights too")
    return [folder / name for name in names]


def _indexed(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(f"{index} is not an index of weights", hint=_DAMAGED) from error


def _pointer(file: Path) -> str:
    """A hint for the small text files that git leaves where large files have not been fetched."""
    with file.open("rb") as stream:
        return "it is a Git LFS pointer: run `git lfs pull`" if stream.read(7) == b"version" else ""
