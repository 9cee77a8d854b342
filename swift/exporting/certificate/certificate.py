"""The certificate: what was measured, what was checked, and whether the result is what it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from swift.errors import ModelError
from swift.exporting.certificate.layers import BlockError, LayerError
from swift.exporting.certificate.measure import Distance, Measured

FILE = "certificate.json"
PAGE = "certificate.md"
HTML = "certificate.html"
VERSION = 2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: What, in a word or two.
        passed: Whether it does.
        detail: The numbers, in a line.
    """

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """The proof of an export.

    Attributes:
        source: What it was made of: the model, and its adapters.
        result: How its weights are held, in words.
        rows: What was measured by, in words.
        checks: All of them, in order.
        before: The source.
        after: The result.
        distance: How far they are apart.
        versions: Libraries by name.
        blocks: What each decoder layer puts out, against the source's; empty where weights are plain.
        layers: The same of each linear layer, where that can be told.
        files: SHA-256 of what was measured, by name in its folder.
    """

    source: str
    result: str
    rows: str
    checks: tuple[Check, ...]
    before: Measured
    after: Measured
    distance: Distance
    versions: Mapping[str, str]
    blocks: tuple[BlockError, ...] = ()
    layers: tuple[LayerError, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> Sequence[Check]:
        """What does not."""
        return [check for check in self.checks if not check.passed]

    def write(self, folder: Path, page: str, html: str) -> None:
        """Put the numbers and both pages into a folder."""
        values = {"version": VERSION, "passed": self.passed, **asdict(self)}
        (folder / FILE).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
        (folder / PAGE).write_text(page, encoding="utf-8")
        (folder / HTML).write_text(html, encoding="utf-8")


def failed(folder: Path) -> bool:
    """Whether a folder has a certificate that it did not pass.

    Raises:
        ModelError: The certificate cannot be read.
    """
    return (folder / FILE).is_file() and _read(folder / FILE)["passed"] is not True


def is_about_others(folder: Path, name: str) -> bool:
    """Whether a folder's certificate says that it is about other weights than this file.

    One that cannot be read, or is of before files were named, says nothing, and may be replaced.
    """
    try:
        known = set(certified_files(folder)) if (folder / FILE).is_file() else {name}
    except ModelError:
        return False
    return name not in known or any(other != name and other.endswith((".safetensors", ".gguf")) for other in known)


def certified_files(folder: Path) -> Mapping[str, str]:
    """SHA-256 of the files that a folder's certificate is about, by name.

    Raises:
        ModelError: It cannot be read, or says nothing of files, as older ones do.
    """
    files = _read(folder / FILE).get("files")
    if not isinstance(files, dict):
        raise ModelError(f"{folder / FILE} does not say which files were measured", hint="measure again: --certify")
    return files


def _read(path: Path) -> dict[str, Any]:
    try:
        values = orjson.loads(path.read_bytes())
        if not isinstance(values["passed"], bool):
            raise ValueError("passed is neither true nor false")
        return dict(values)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="export again") from error
