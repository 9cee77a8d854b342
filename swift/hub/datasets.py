"""Data sets of Hugging Face and ModelScope, brought to local files."""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from swift.errors import DataError, HubError, MissingExtraError
from swift.hub.cache import cache_root
from swift.hub.layout import choose_files, layout_of
from swift.hub.network import hf_endpoint, ms_endpoint, offline_error, one_line, unreachable

_SECONDS = 20.0
README = "README.md"


@dataclass(frozen=True)
class WantedDataset:
    """What is wanted of a hub.

    Attributes:
        hf: Id on Hugging Face; empty means not to look there.
        ms: Id on ModelScope; likewise. Where both are given, Hugging Face is asked first.
        revision: Branch, tag or commit.
        subset: Subsets by name.
        split: A split by name.
    """

    hf: str = ""
    ms: str = ""
    revision: str | None = None
    subset: tuple[str, ...] = ()
    split: str | None = None


@dataclass(frozen=True)
class LocatedDataset:
    """Local files of a data set.

    Attributes:
        folder: The repository's snapshot.
        files: Chosen files, relative to it, in order.
        hub: Where it came from.
        id: Its id there.
        revision: The commit, where the hub tells it.
    """

    folder: Path
    files: tuple[str, ...]
    hub: Literal["hf", "ms"]
    id: str
    revision: str


@dataclass(frozen=True)
class _Listing:
    """What a repository holds at one commit; kept, so that a cached data set can be proved complete offline."""

    files: tuple[str, ...]
    revision: str


class _Absent(HubError):
    """Not there, or nobody to ask: the next hub may have it."""


def locate_dataset(wanted: WantedDataset, readable: Callable[[str], bool]) -> LocatedDataset:
    """Download the files of the wanted subset and split, or find them in the hubs' caches.

    Args:
        wanted: What to look for.
        readable: Tells by its name whether a file is data that we can read.

    Raises:
        HubError: No hub has it, or none can be reached and it is not cached whole.
        DataError: No such subset or split, or no file of it can be read.
        MissingExtraError: ModelScope is asked for and its library is not installed.
    """
    problems: list[HubError] = []
    hubs: list[tuple[Literal["hf", "ms"], str]] = [("hf", wanted.hf), ("ms", wanted.ms)]
    for hub, name in hubs:
        if name:
            try:
                return _from_hub(hub, name, wanted, readable)
            except _Absent as problem:
                problems.append(problem)
    if len(problems) == 1:
        raise HubError(problems[0].message, hint=problems[0].hint)
    raise HubError("; ".join(problem.message for problem in problems), hint=problems[0].hint)


def _from_hub(
    hub: Literal["hf", "ms"], name: str, wanted: WantedDataset, readable: Callable[[str], bool]
) -> LocatedDataset:
    list_files, fetch = (_list_hf, _fetch_hf) if hub == "hf" else (_list_ms, _fetch_ms)
    reason = unreachable(hf_endpoint() if hub == "hf" else ms_endpoint())
    label = "Hugging Face" if hub == "hf" else "ModelScope"
    if reason is None:
        listing = list_files(name, wanted.revision)
        _remember(hub, name, wanted.revision, listing)
    else:
        known = _recall(hub, name, wanted.revision)
        if known is None:
            problem = offline_error(label, f"the data set {name}", reason)
            raise _Absent(problem.message, hint=problem.hint)
        listing = known
    offline = reason is not None
    readme = ""
    if README in listing.files:
        folder = fetch(name, listing.revision, [README], offline)
        readme = _read(folder / README)
    files = [path for path in listing.files if readable(path)]
    if not files:
        scripted = any(path.endswith(".py") for path in listing.files)
        raise DataError(
            f"the data set {name} on {label} holds no file that can be read",
            hint="it is a loading script, and no remote code is run" if scripted else "convert it to JSONL or Parquet",
        )
    chosen = choose_files(layout_of(files, readme), name, wanted.subset, wanted.split)
    folder = fetch(name, listing.revision, chosen, offline)
    missing = [path for path in chosen if not (folder / path).is_file()]
    if missing:
        problem = offline_error(label, f"{missing[0]} of the data set {name}", reason or "the download is incomplete")
        raise _Absent(problem.message, hint=problem.hint)
    return LocatedDataset(folder, tuple(chosen), hub, name, listing.revision)


def _list_hf(name: str, revision: str | None) -> _Listing:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().dataset_info(name, revision=revision, timeout=_SECONDS)
    except GatedRepoError as error:
        raise HubError(
            f"the data set {name} is gated", hint="accept its terms on its page, then hf auth login"
        ) from error
    except RevisionNotFoundError as error:
        raise HubError(f"the data set {name} has no revision {revision!r} on Hugging Face") from error
    except RepositoryNotFoundError as error:
        raise _Absent(
            f"no data set {name} on Hugging Face, or it is private",
            hint="check the name; a private one needs hf auth login; a local path must exist",
        ) from error
    except HfHubHTTPError as error:
        raise HubError(f"Hugging Face refuses the data set {name}: {one_line(error)}") from error
    return _Listing(tuple(item.rfilename for item in info.siblings or ()), info.sha or revision or "main")


def _fetch_hf(name: str, revision: str, files: Sequence[str], offline: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(
            name,
            repo_type="dataset",
            revision=revision,
            allow_patterns=[glob.escape(path) for path in files],
            local_files_only=offline,
        )
    except LocalEntryNotFoundError as error:
        raise _Absent(f"the data set {name} is not cached and Hugging Face cannot be reached") from error
    except HfHubHTTPError as error:
        raise HubError(f"the download of the data set {name} failed: {one_line(error)}", hint="try again") from error
    return Path(folder)


def _list_ms(name: str, revision: str | None) -> _Listing:
    api, errors = _modelscope(name)
    try:
        found = api.list_repo_files(name, "dataset", revision=revision)
    except errors.NotExistError as error:
        raise _Absent(f"no data set {name} on ModelScope", hint="check the name; a local path must exist") from error
    except errors.HubError as error:
        raise HubError(f"ModelScope refuses the data set {name}: {one_line(error)}") from error
    return _Listing(tuple(item.path for item in found), revision or "master")


def _fetch_ms(name: str, revision: str, files: Sequence[str], offline: bool) -> Path:
    api, errors = _modelscope(name)
    try:
        folder = api.download_repo(
            name,
            "dataset",
            revision=revision,
            allow_patterns=[glob.escape(path) for path in files],
            local_files_only=offline,
        )
    except errors.HubError as error:
        raise HubError(f"the download of the data set {name} failed: {one_line(error)}", hint="try again") from error
    return Path(folder)


def _modelscope(name: str) -> tuple[Any, Any]:
    try:
        from modelscope_hub import HubApi, errors
    except ImportError as error:
        raise MissingExtraError("modelscope", extra="hub", why=f"the data set {name} on ModelScope") from error
    return HubApi(), errors


def _note(hub: str, name: str, revision: str | None) -> Path:
    folder = cache_root() / "datasets" / hub / name.replace("/", "--")
    return folder / f"{(revision or 'latest').replace('/', '--')}.json"


def _remember(hub: str, name: str, revision: str | None, listing: _Listing) -> None:
    path = _note(hub, name, revision)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"files": listing.files, "revision": listing.revision}), encoding="utf-8")
    temporary.replace(path)


def _recall(hub: str, name: str, revision: str | None) -> _Listing | None:
    path = _note(hub, name, revision)
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8"))
    return _Listing(tuple(value["files"]), value["revision"])


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
