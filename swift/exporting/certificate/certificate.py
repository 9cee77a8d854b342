"""The certificate: what was measured, what was checked, and whether the result is what it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from swift.errors import ModelError
from swift.exporting.certificate.layers import BlockError, LayerError
from swift.exporting.certificate.measure import Distance, Measured

FILE = "certificate.json"
PAGE = "certificate.md"
VERSION = 1


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

    @property
    def passed(self) -> bool:
        """Whether everything holds."""
        return all(check.passed for check in self.checks)

    @property
    def failures(self) -> Sequence[Check]:
        """What does not."""
        return [check for check in self.checks if not check.passed]

    def write(self, folder: Path, page: str) -> None:
        """Put both files into a folder."""
        values = {"version": VERSION, "passed": self.passed, **asdict(self)}
        (folder / FILE).write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2))
        (folder / PAGE).write_text(page, encoding="utf-8")


def failed(folder: Path) -> bool:
    """Whether a folder has a certificate that it did not pass.

    Raises:
        ModelError: The certificate cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        values: dict[str, Any] = orjson.loads(path.read_bytes())
        return values["passed"] is not True
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is damaged: {error}", hint="export again") from error
