"""What the rows of a data set are: columns, recognised shapes, and rows that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from swift.config.data import DataConfig
from swift.data.columns import Task, to_sample
from swift.data.ledger import tell
from swift.data.rows import Source
from swift.errors import RowError
from swift.types import Conversation, Row, Text

_READ = 1000


@dataclass(frozen=True)
class Described:
    """The first rows of a source, looked at.

    Attributes:
        name: The source's.
        count: Its rows.
        read: How many of them were looked at.
        columns: Their names, in order of appearance.
        kinds: What rows were recognised as, and how many.
        bad: A line on each row that cannot be used.
        first: The first row that could be read, or None.
    """

    name: str
    count: int
    read: int
    columns: tuple[str, ...]
    kinds: Mapping[str, int]
    bad: tuple[str, ...]
    first: Mapping[str, Any] | None


def describe(source: Source, config: DataConfig, task: Task) -> Described:
    """Look at the first rows as training would."""
    rows: list[Row] = []
    kinds: dict[str, int] = {}
    bad: list[str] = []
    read = 0
    for item in islice(source.rows(), _READ):
        read += 1
        if not isinstance(item, Row):
            bad.append(f"{item.origin}: {tell(item.reason, item.detail)}")
            continue
        rows.append(item)
        try:
            kind = _kind(to_sample(item, config, task))
        except RowError as error:
            bad.append(f"{item.origin}: {tell(error.reason, error.detail)}")
        else:
            kinds[kind] = kinds.get(kind, 0) + 1
    return Described(
        name=source.name,
        count=source.count(),
        read=read,
        columns=tuple(dict.fromkeys(str(column) for row in rows for column in row.values)),
        kinds=kinds,
        bad=tuple(bad),
        first=rows[0].values if rows else None,
    )


def _kind(sample: Conversation | Text) -> str:
    if isinstance(sample, Text):
        return "plain text"
    parts = ["one round" if len(sample.messages) <= 3 else "many rounds"]
    if sample.messages[0].role in ("system", "developer"):
        parts.append("system message")
    if sample.tools or any(message.tool_calls for message in sample.messages):
        parts.append("tools")
    if any(message.reasoning for message in sample.messages):
        parts.append("thinking")
    return f"conversation, {', '.join(parts)}"
