"""Which files of a data set repository or folder make up a subset and a split.

The rules are those of the Hugging Face Hub's dataset cards: `configs:` in the front matter of README.md where
it is given, else the words train, validation and test in folder and file names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from swift.errors import DataError, UnknownNameError

DEFAULT = "default"
"""The subset of files that belong to no subset by name."""

_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_WORDS = [(split, re.compile(rf"(^|[^a-z]){word}([^a-z]|$)")) for split, words in _SPLITS.items() for word in words]


@dataclass(frozen=True)
class Layout:
    """Files of a data set: subset -> split -> files, in order.

    Attributes:
        subsets: At least one subset with at least one split each.
        default: The subset taken where none is named; None where one must be named.
    """

    subsets: Mapping[str, Mapping[str, tuple[str, ...]]]
    default: str | None


def layout_of(files: Sequence[str], readme: str = "") -> Layout:
    """The layout of a repository.

    Args:
        files: Paths of its readable data files, relative, with `/`.
        readme: Text of its README.md, or empty.
    """
    ordered = sorted(files)
    configs = _configs(readme)
    stated = {name: splits for name, config in configs.items() if (splits := _stated(config, ordered))}
    if stated:
        named = [name for name, config in configs.items() if config.get("default") is True and name in stated]
        default = named[0] if named else (DEFAULT if DEFAULT in stated else None)
        return Layout(stated, default or _only(stated))
    folders = {name: _by_words(inside, name) for name, inside in _by_folder(ordered).items()}
    return Layout(folders, DEFAULT if DEFAULT in folders else _only(folders))


def choose_files(
    layout: Layout, what: str, subset: Sequence[str] = (), split: str | None = None, *, every_subset: bool = False
) -> list[str]:
    """Files of the wanted subsets and split.

    Args:
        layout: From `layout_of`.
        what: Name of the data set, for messages.
        subset: Subsets by name; ("all",) means every one; a lone name may also be that of a split.
        split: The split; where it is none, but a subset, it is a further subset.
        every_subset: Take all subsets where none is named, instead of the default.

    Raises:
        DataError: One must be named, or there is none of that name.
    """
    wanted, split = _meaning(layout, tuple(subset), split)
    if not wanted:
        if every_subset:
            wanted = tuple(layout.subsets)
        elif layout.default is None:
            raise DataError(
                f"{what} has {len(layout.subsets)} subsets: name one",
                hint=f"as in {what}:{next(iter(layout.subsets))}, or {what}:all; there are {_some(layout.subsets)}",
            )
        else:
            wanted = (layout.default,)
    chosen: list[str] = []
    for name in wanted:
        if name not in layout.subsets:
            raise UnknownNameError(f"subset of {what}", name, list(layout.subsets), hint=_there(layout.subsets))
        chosen += _of_split(layout.subsets[name], what, split)
    return list(dict.fromkeys(chosen))


def _meaning(layout: Layout, subset: tuple[str, ...], split: str | None) -> tuple[tuple[str, ...], str | None]:
    if subset == ("all",):
        return tuple(layout.subsets), split
    splits = {name for inside in layout.subsets.values() for name in inside}
    if split is None and len(subset) == 1 and subset[0] not in layout.subsets and subset[0] in splits:
        return (), subset[0]
    if split is not None and split not in splits and split in layout.subsets:
        return (*subset, split), None
    return subset, split


def _of_split(splits: Mapping[str, tuple[str, ...]], what: str, split: str | None) -> tuple[str, ...]:
    if split is None:
        split = "train" if "train" in splits else _only(splits)
        if split is None:
            raise DataError(f"{what} has no train split: name one of its splits", hint=_there(splits))
    if split not in splits:
        raise UnknownNameError(f"split of {what}", split, list(splits), hint=_there(splits))
    return splits[split]


def _configs(readme: str) -> dict[str, Mapping[str, Any]]:
    match = re.match(r"\ufeff?---\r?\n(.*?)\r?\n---\s*(\n|$)", readme, re.DOTALL)
    if not match:
        return {}
    try:
        front = yaml.safe_load(match[1])
    except yaml.YAMLError:
        return {}  # a card that only the hub's own page can show says nothing about files
    configs = front.get("configs") if isinstance(front, dict) else None
    if not isinstance(configs, list):
        return {}
    return {str(config.get("config_name", DEFAULT)): config for config in configs if isinstance(config, dict)}


def _stated(config: Mapping[str, Any], files: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Splits of one entry of `configs:` that have files."""
    folder = str(config.get("data_dir") or "").strip("./")
    inside = [path for path in files if not folder or path.startswith(f"{folder}/")]
    stated = config.get("data_files")
    if stated is None:
        return _by_words(inside, folder) if folder else {}
    if isinstance(stated, str) or (isinstance(stated, list) and all(isinstance(item, str) for item in stated)):
        stated = [{"split": "train", "path": stated}]
    if isinstance(stated, dict):
        stated = [{"split": split, "path": path} for split, path in stated.items()]
    splits: dict[str, tuple[str, ...]] = {}
    for item in stated if isinstance(stated, list) else []:
        if isinstance(item, dict) and "path" in item:
            paths = item["path"] if isinstance(item["path"], list) else [item["path"]]
            found = _matching([f"{folder}/{path}" if folder else str(path) for path in paths], inside)
            if found:
                splits[str(item.get("split", "train"))] = tuple(found)
    return splits


def _matching(patterns: Iterable[str], files: Sequence[str]) -> list[str]:
    rules = [_glob(pattern.removeprefix("./")) for pattern in patterns]
    return [path for path in files if any(rule.fullmatch(path) for rule in rules)]


def _glob(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression: `**/` any folders, `*` and `?` within one name, `[...]` a class."""
    out = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            out.append(".*")
            at += 2
        elif pattern[at] in "*?":
            out.append("[^/]*" if pattern[at] == "*" else "[^/]")
            at += 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            out.append("[" + pattern[at + 1 : end].replace("!", "^", 1).replace("\\", r"\\") + "]")
            at = end + 1
        else:
            out.append(re.escape(pattern[at]))
            at += 1
    return re.compile("".join(out))


def _by_folder(files: Sequence[str]) -> dict[str, list[str]]:
    """Files by their top folder, where that names neither a split nor just `data`."""
    folders: dict[str, list[str]] = {}
    for path in files:
        top, slash, _ = path.partition("/")
        plain = not slash or top.lower() == "data" or _word(top) is not None
        folders.setdefault(DEFAULT if plain else top, []).append(path)
    return folders


def _by_words(files: Sequence[str], folder: str) -> dict[str, tuple[str, ...]]:
    """Files by the split that their names speak of; where none does, all are train."""
    splits: dict[str, list[str]] = {}
    for path in files:
        split = _word(path.removeprefix(f"{folder}/"))
        if split is not None:
            splits.setdefault(split, []).append(path)
    return {split: tuple(paths) for split, paths in splits.items()} if splits else {"train": tuple(files)}


def _word(path: str) -> str | None:
    """The split that a path speaks of; the file's own name counts before its folders."""
    for part in reversed(path.lower().split("/")):
        for split, word in _WORDS:
            if word.search(part):
                return split
    return None


def _only(items: Mapping[str, Any]) -> str | None:
    return next(iter(items)) if len(items) == 1 else None


def _there(items: Iterable[str]) -> str:
    return f"there are {_some(items)}"


def _some(items: Iterable[str]) -> str:
    names = list(items)
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
