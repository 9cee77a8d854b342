"""Which sets of evalscope the user names, and what their answers depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swift.config.runs import EvalConfig
from swift.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A set of evalscope.

    Attributes:
        name: As evalscope calls it.
        label: A name for folders and tables.
        args: evalscope's dataset_args of it.
        folder: Where its files go.
        rows: Hash of the user's own files; empty where the rows are the set's.
    """

    name: str
    label: str
    args: Mapping[str, Any]
    folder: Path
    rows: str

    @property
    def work(self) -> Path:
        """Where evalscope's own files go."""
        return self.folder / "evalscope"


def wanted_sets(config: EvalConfig) -> list[Wanted]:
    """The sets that `--eval_dataset` names, each as NAME, NAME:SUBSET,SUBSET, NAME=PLACE or NAME:SUBSET=PLACE.

    Raises:
        ConfigError: A name has another form, or stands there twice.
        DataError: A file or folder is not there.
    """
    found = [_wanted(text, config) for text in config.benchmark.sets]
    names = [wanted.name for wanted in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"--eval_dataset: evalscope's {twice} stands there twice", hint="name its subsets in one word"
        )
    return found


def _wanted(text: str, config: EvalConfig) -> Wanted:
    named, equals, place = text.partition("=")
    name, colon, rest = named.partition(":")
    subsets = [part.strip() for part in rest.split(",")] if colon else []
    if not name or (equals and not place) or (colon and not all(subsets)):
        raise ConfigError(
            f"--eval_dataset {text!r} is not NAME, NAME:SUBSET or NAME=FOLDER", hint="as in general_mcq:law=my_sets"
        )
    args = dict(config.scope.dataset_args.get(name, {}))
    for flag, key, value in (
        ("--eval_dataset", "local_path", str(Path(place).expanduser().absolute()) if place else None),
        ("--eval_dataset", "subset_list", subsets or None),
        ("--few_shot", "few_shot_num", config.benchmark.shots),
        ("--system", "system_prompt", config.chat.system),
    ):
        if value is None:
            continue
        if key in args:
            raise ConfigError(f"--eval_dataset_args: {name} has {key}, and {flag} says it too", hint="say it once")
        args[key] = value
    if "local_path" in args:
        args["local_path"] = str(Path(args["local_path"]).expanduser().absolute())
    label = "-".join([name, *subsets]) if len(subsets) < 4 else f"{name}-{len(subsets)}sets"
    return Wanted(name, label, args, Path(config.output_dir) / label, _hash(name, args.get("local_path")))


def _hash(name: str, place: str | None) -> str:
    """Of the names and contents of the user's files: other rows are another set."""
    if place is None:
        return ""
    path = Path(place)
    if not path.exists():
        # evalscope would take it for the name of a set on a hub.
        raise DataError(f"no such file or folder: {place}", hint=f"name the rows of evalscope's {name}")
    whole = hashlib.sha256()
    for file in _files(path):
        whole.update(file.relative_to(path.parent).as_posix().encode() + b"\0")
        with file.open("rb") as opened:
            whole.update(hashlib.file_digest(opened, "sha256").digest())
    return whole.hexdigest()[:20]


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    else:
        yield from sorted(file for file in path.rglob("*") if file.is_file())
