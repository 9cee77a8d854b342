"""Environments on this machine: where they lie, and which of them are whole."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
from filelock import FileLock

from swift.environments.specs import SPECS, Spec
from swift.errors import ConfigError, EngineError
from swift.hub.cache import cache_root

RECORD = "environment.json"
"""Written last: a folder without it was never finished, and is never used."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished environment.

    Attributes:
        name: Which one it is.
        fingerprint: Of the specification that it was made by.
        python: Version of its interpreter.
        made: When, in UTC.
        packages: Name to version of all that is installed.
        taken_out: Optional packages that could not be imported.
    """

    name: str
    fingerprint: str
    python: str
    made: str
    packages: dict[str, str]
    taken_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """A finished environment.

    Attributes:
        folder: Where it is.
        record: What it holds.
        current: Made by today's specification.
    """

    folder: Path
    record: Record
    current: bool

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return interpreter(self.folder)

    @property
    def version(self) -> str:
        """The version of the engine itself; empty where that is not known."""
        wanted = _distribution(_DISTRIBUTIONS.get(self.record.name, self.record.name))
        versions = {_distribution(name): version for name, version in self.record.packages.items()}
        return versions.get(wanted, "")

    def apart(self, name: str) -> Path:
        """The folder of packages that are put beside the others."""
        return self.folder / name


_DISTRIBUTIONS = {"llamacpp": "llama-cpp-python"}
"""Environment to the distribution that is its engine, where their names differ."""


def _distribution(name: str) -> str:
    return name.replace("_", "-").lower()


def interpreter(folder: Path) -> Path:
    """The interpreter of the environment in this folder."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def home(folder: str | Path | None = None) -> Path:
    """The folder of all environments: the named one, else in the cache."""
    return cache_root() / "environments" if folder is None else Path(folder).expanduser()


def place(spec: Spec, root: Path) -> Path:
    """Where an environment of today's specification lies."""
    return root / f"{spec.name}-{spec.fingerprint}"


def found(root: Path) -> list[Environment]:
    """All finished environments, by name, today's first."""
    folders = sorted(path for path in root.iterdir() if (path / RECORD).is_file()) if root.is_dir() else []
    environments = [read(folder) for folder in folders]
    return sorted(environments, key=lambda item: (item.record.name, not item.current))


def unfinished(root: Path) -> list[Path]:
    """Folders of environments that were begun and never finished."""
    names = tuple(f"{name}-" for name in SPECS)
    folders = sorted(root.iterdir()) if root.is_dir() else []
    return [path for path in folders if path.is_dir() and path.name.startswith(names) and not (path / RECORD).is_file()]


def read(folder: Path) -> Environment:
    """The environment in a folder.

    Raises:
        EngineError: Its record cannot be read.
    """
    try:
        values = orjson.loads((folder / RECORD).read_bytes())
        record = Record(**{**values, "taken_out": tuple(values["taken_out"])})
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise EngineError(
            f"{folder / RECORD} is damaged: {error}", hint=f"delete {folder}, and make it anew"
        ) from error
    spec = SPECS.get(record.name)
    return Environment(folder, record, spec is not None and spec.fingerprint == record.fingerprint)


def write(folder: Path, record: Record) -> None:
    """Finish an environment."""
    temporary = folder / f"{RECORD}.tmp"
    temporary.write_bytes(orjson.dumps(asdict(record), option=orjson.OPT_INDENT_2))
    temporary.replace(folder / RECORD)


def require(name: str, root: Path) -> Environment:
    """The environment of this name.

    Raises:
        EngineError: It is not here, or was made by an older specification.
    """
    command = f"swift env add {name}" + ("" if root == home() else f" --dir {root}")
    here = [item for item in found(root) if item.record.name == name]
    if not here:
        raise EngineError(f"the environment {name} is not installed in {root}", hint=command)
    if not here[0].current:
        raise EngineError(f"{here[0].folder} was made by an older version of swift", hint=command)
    return here[0]


def remove(name: str, root: Path) -> int:
    """Delete all environments of this name, finished or not; returns how many.

    Raises:
        ConfigError: There is none.
    """
    here = [item.folder for item in found(root) if item.record.name == name]
    here += [path for path in unfinished(root) if path.name.rpartition("-")[0] == name]
    if not here:
        raise ConfigError(f"there is no environment {name} in {root}", hint="swift env list")
    for folder in here:
        (folder / RECORD).unlink(missing_ok=True)  # first, so that it is never used half deleted
        shutil.rmtree(folder)
    return len(here)


@contextlib.contextmanager
def locked(name: str, root: Path) -> Iterator[None]:
    """Keep other processes from making the same environment meanwhile."""
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / f".{name}.lock"):
        yield
