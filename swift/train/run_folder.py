"""The run folder: who may use it, what `run.json` records, and whether a resumed run is still the same run."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from swift.config.option import Config
from swift.errors import CheckpointError, ConfigError, ResourceError
from swift.train.atomic import write_atomic
from swift.train.checkpoint_list import PREFIX, REPLACED, TEMPORARY
from swift.train.disk import require_space

_RECORD = "run.json"
_LOCK = ".lock"
_OURS = (
    *(_RECORD, "metrics.jsonl", "ledger.jsonl"),
    *("plots", "tensorboard", "evaluations", "best", "last", "nonfinite-step-*"),
)
_SECRET = re.compile(r"(^|_)(token|api_key|password|secret)$")

MAY_CHANGE = (
    "output_dir",
    "overwrite",
    "logging",
    "evaluation",
    "benchmark",
    "checkpoint",
    "data.workers",
    "data.cache",
    "data.cache_dir",
    "model.device",
    "model.hub_token",
    "batch.eval_size",
    "loop.allocator",
    "loop.dry_step",
    "loop.gradient_checkpointing",
    "loop.vit_gradient_checkpointing",
    "loop.offload_activations",
    "loop.compile_blocks",
)
"""Parts of the configuration that a resumed run may change: they change neither the rows nor the mathematics."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What `run.json` holds.

    Attributes:
        config: The resolved configuration, without secrets.
        seed: Seed of the run.
        fingerprints: What must be equal on resume, by name, such as the hash of the data.
        versions: Of the program, its libraries, Python and the platform.
        git: Revision of the working directory, with `-dirty` if it has changes; None outside a repository.
        started: When the first session began, in UTC.
        ledger: How many rows were kept, truncated, split, dropped and failed, with reasons; None until known.
        levers: What saves memory and time in the newest session, in words; None until known.
        parameters: How many the model has (`total`) and how many of them are trained (`trained`).
        totals: What the run came to, such as its steps and tokens; None until it is done.
    """

    config: Mapping[str, Any]
    seed: int
    fingerprints: Mapping[str, str]
    versions: Mapping[str, str] = field(default_factory=dict)
    git: str | None = None
    started: str = ""
    ledger: Mapping[str, Any] | None = None
    levers: Sequence[str] | None = None
    totals: Mapping[str, Any] | None = None
    parameters: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that a resumed run would change: its dotted name, what was saved, and what it is now."""

    name: str
    saved: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.name} was {_short(self.saved)} and is {_short(self.now)}"


@contextlib.contextmanager
def open_run_folder(path: Path, *, resume: bool, overwrite: bool, bytes_needed: int = 0) -> Iterator[Path]:
    """Make `path` ours for the block: it exists, no other process uses it, and it holds no other run.

    Args:
        path: The run folder, used as given.
        resume: It may hold the run that is resumed.
        overwrite: An older run's files in it are deleted; other files stay.
        bytes_needed: What the run will write at the least; checked against the free space.

    Raises:
        ConfigError: It holds another run, or is no folder.
        ResourceError: It cannot be written, is in use, or its disk is too full.
    """
    if path.exists() and not path.is_dir():
        raise ConfigError(f"output_dir {path} is a file", hint="choose another --output_dir")
    if (held := _held(path)) and not resume and not overwrite:
        raise ConfigError(
            f"output_dir {path} already holds a run ({', '.join(held)})",
            hint="go on with --resume_from_checkpoint last, replace it with --overwrite_output_dir true, or choose "
            "another --output_dir",
        )
    require_space(path, bytes_needed)
    try:
        made = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / _LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise ResourceError(
            f"output_dir {path} is in use by another process", hint="wait for it, or choose another --output_dir"
        ) from error
    except OSError as error:
        raise ResourceError(f"output_dir {path} cannot be written: {error.strerror}") from error
    try:
        if overwrite and not resume:
            _delete_run(path)
        yield path
    finally:
        if made and {entry.name for entry in path.iterdir()} <= {_LOCK}:
            _leave_nothing(path)
        lock.release()


def write_record(path: Path, record: RunRecord) -> None:
    """Write `run.json`, in one step."""
    content = {name.name: getattr(record, name.name) for name in fields(record)}
    write_atomic(path / _RECORD, (json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n").encode())


def read_record(path: Path) -> RunRecord:
    """The record of a run folder.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    try:
        return RunRecord(**json.loads((path / _RECORD).read_bytes()))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is not a run folder: {_RECORD} is missing") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path / _RECORD} is damaged: {error}") from error


def public_config(config: Config) -> dict[str, Any]:
    """The configuration as plain values without tokens, keys and passwords."""
    values: dict[str, Any] = _without_secrets(config.model_dump(mode="json"))
    return values


def differences(saved: RunRecord, now: RunRecord) -> list[Difference]:
    """What of the configuration and fingerprints differs and matters to the result.

    A field that only one of the two knows is left out: another version of the program added or dropped it. Fields
    whose own keys are the user's, such as column names, are compared whole.
    """
    before, after = dict(_flat(saved.config)), dict(_flat(now.config))
    found = [
        Difference(name, before[name], after[name])
        for name in before
        if name in after and before[name] != after[name] and not _may_change(name)
    ]
    found += [
        Difference(f"fingerprint of {name}", saved.fingerprints[name], now.fingerprints[name])
        for name in saved.fingerprints
        if name in now.fingerprints and saved.fingerprints[name] != now.fingerprints[name]
    ]
    return found


def require_same(saved: RunRecord, now: RunRecord, *, allow_change: bool) -> list[Difference]:
    """Make sure that a resumed run is the run that was saved.

    Returns:
        The differences, for the user to see where `allow_change` lets them pass.

    Raises:
        CheckpointError: It differs; every difference is shown.
    """
    found = differences(saved, now)
    if found and not allow_change:
        raise CheckpointError(
            f"the run to resume is another one: {'; '.join(map(str, found))}",
            hint="use the same values, or allow the change with --resume_allow_change true",
        )
    return found


def _leave_nothing(path: Path) -> None:
    """Take a folder away that the run has made and written nothing into, while the lock is still ours."""
    with contextlib.suppress(OSError):  # where a file that is open cannot be deleted, an empty folder stays
        (path / _LOCK).unlink()
        path.rmdir()


def _held(path: Path) -> list[str]:
    names = [name for name in (_RECORD, "metrics.jsonl") if (path / name).exists()]
    checkpoints = [entry.name for entry in sorted(path.glob(f"{PREFIX}*"))]
    return names + checkpoints[:1]


def _delete_run(path: Path) -> None:
    for pattern in (*_OURS, f"{PREFIX}*", f"{TEMPORARY}*", f"{REPLACED}*"):
        for entry in path.glob(pattern):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()


def _may_change(name: str) -> bool:
    return any(name == allowed or name.startswith(f"{allowed}.") for allowed in MAY_CHANGE)


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values."""
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and name != "data.columns":
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: inner for key, inner in value.items() if not _SECRET.search(str(key))}
        # The keys of `columns` are names in the user's data, whatever they look like.
        return {key: inner if key == "columns" else _without_secrets(inner) for key, inner in kept.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
