"""Where a model comes from, as its card says it: the base model and its licence, the run that tuned it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from swift.errors import CheckpointError
from swift.hub.located import say

_RECORD, _METRICS, _README = "run.json", "metrics.jsonl", "README.md"
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(\n|\Z)", re.DOTALL)
_POINTS = 10
"""Lines of a curve in the card."""

_SETTINGS = (
    ("method", "tuner.type"),
    ("rank", "tuner.rank"),
    ("alpha", "tuner.alpha"),
    ("task", "task"),
    ("loss", "loop.loss"),
    ("optimizer", "optimizer.name"),
    ("learning rate", "optimizer.learning_rate"),
    ("schedule", "schedule.name"),
    ("epochs", "loop.epochs"),
    ("steps", "loop.max_steps"),
    ("rows in a batch", "batch.size"),
    ("batches accumulated", "batch.accumulation"),
    ("longest row, tokens", "chat.max_length"),
    ("packing", "batch.packing"),
    ("weights of the base in", "model.quantization.type"),
    ("seed", "seed"),
)
"""What a card tells of a configuration. Prompts, columns and folders of the user's are not among it."""


@dataclass(frozen=True, slots=True)
class Point:
    """A line of the curve: losses per target token; None where none was measured at that step."""

    step: int
    loss: float | None
    eval_loss: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """The run that tuned a model.

    Attributes:
        data: Its data sets: ids on hubs, and of local files the name alone.
        settings: What was set, in words.
        curve: Losses, at a few steps.
        rows: How many rows were kept of how many; None where that is not recorded.
        versions: Libraries by name.
    """

    data: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    curve: tuple[Point, ...]
    rows: tuple[int, int] | None
    versions: Mapping[str, str]


def public_name(text: str) -> str:
    """A model or data set as strangers may read it: of a folder or file of this machine, its last two names."""
    path = Path(text.partition("#")[0]).expanduser()
    if not path.exists() and not path.is_absolute():
        return text
    parts = [part for part in path.parts if part not in ("/", "..", ".", "~")]
    return "/".join(parts[-2:]) if path.is_dir() else parts[-1]


def is_hub_id(text: str) -> bool:
    """Whether a name is one of a hub's repositories, OWNER/NAME, and no folder here."""
    plain = re.fullmatch(r"(hf://|ms://)?[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?", text)
    return plain is not None and not Path(text).exists()


def licence_in(folder: Path) -> str:
    """The licence that a folder's README.md states in its front matter; empty where it states none."""
    path = folder / _README
    match = _FRONT.match(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    try:
        values = yaml.safe_load(match[1]) if match else None
    except yaml.YAMLError:
        return ""
    found = values.get("license") if isinstance(values, Mapping) else None
    named = values.get("license_name") if isinstance(values, Mapping) and found == "other" else None
    return str(named or found or "")


def training_behind(adapters: Iterable[Path], base: Path) -> Training | None:
    """The run that made what is exported: of the first adapter that has one, else of the model.

    A file of the record's name in or beside the model that says something else is not ours, and no error.

    Raises:
        CheckpointError: An adapter's record is damaged.
    """
    found = training_of(adapters)
    if found is not None:
        return found
    try:
        return training_of([base])
    except CheckpointError as error:
        say(f"{error.message}; taken for another program's, the card tells nothing of training")
        return None


def training_of(folders: Iterable[Path]) -> Training | None:
    """The run of the first of some folders, checkpoints or adapters, that has one.

    Raises:
        CheckpointError: Its record is damaged.
    """
    for folder in folders:
        for place in (folder, folder.resolve().parent):
            if (place / _RECORD).is_file():
                return _read(place)
    return None


def _read(run: Path) -> Training:
    try:
        record: Any = orjson.loads((run / _RECORD).read_bytes())
        config = record["config"]
        ledger = record.get("ledger")
        lines = [orjson.loads(line) for line in _whole_lines(run / _METRICS)]
        rows = (int(ledger["kept"]), int(ledger["rows"])) if ledger else None
        return Training(
            data=tuple(public_name(str(name)) for name in config["data"]["train"]),
            settings=_settings({**config, "seed": record["seed"]}, lines),
            curve=_curve(lines),
            rows=rows,
            versions=dict(record.get("versions") or {}),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{run / _RECORD} is damaged: {error}", hint="restore it, or move it away") from error


def _settings(config: Mapping[str, Any], lines: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str], ...]:
    found = []
    for words, name in _SETTINGS:
        value: Any = config
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if name == "optimizer.learning_rate" and value is None:  # a default: the largest that was used
            value = max((line["learning_rate"] for line in lines if "learning_rate" in line), default=None)
        if value not in (None, "none", False):
            found.append((words, f"{value:g}" if isinstance(value, float) else str(value)))
    return tuple(found)


def _curve(lines: Sequence[Mapping[str, Any]]) -> tuple[Point, ...]:
    """A few points at about equal distances, the first and last among them; every evaluation where they are few."""
    by_step: dict[int, dict[str, float]] = {}
    for line in lines:
        known = {name: line[name] for name in ("loss", "eval_loss") if _is_number(line.get(name))}
        if known:
            by_step.setdefault(int(line["step"]), {}).update(known)
    steps = sorted(by_step)
    evaluated = [step for step in steps if "eval_loss" in by_step[step]]
    pool = evaluated if len(evaluated) >= 2 else steps
    count = min(_POINTS, len(pool))
    chosen = [pool[round(place * (len(pool) - 1) / max(count - 1, 1))] for place in range(count)]
    return tuple(Point(step, _near(by_step, step), by_step[step].get("eval_loss")) for step in chosen)


def _near(by_step: Mapping[int, Mapping[str, float]], step: int) -> float | None:
    """The training loss at a step, or as it was logged last before."""
    earlier = [known for known in by_step if known <= step and "loss" in by_step[known]]
    return by_step[max(earlier)]["loss"] if earlier else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _whole_lines(path: Path) -> list[bytes]:
    """Lines of the metrics; a last one that a kill tore is left out."""
    if not path.is_file():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
