"""Uploading a folder to Hugging Face or ModelScope, by their own libraries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from swift.errors import ConfigError, HubError, MissingExtraError
from swift.hub.cache import cache_root
from swift.hub.network import hf_endpoint, ms_endpoint, one_line, unreachable

_NAMES = {"hf": "Hugging Face", "ms": "ModelScope"}
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upload goes.

    Attributes:
        hub: hf or ms.
        id: OWNER/NAME.
        revision: A branch; None for the main one. On Hugging Face it is made where it is not there.
        private: Whether a repository that is made is private; one that is there must be.
        message: Of the commit.
        token: None for the one that the hub's own login has stored.
    """

    hub: Literal["hf", "ms"]
    id: str
    revision: str | None
    private: bool
    message: str
    token: str | None

    def __str__(self) -> str:
        branch = "" if self.revision is None else f", branch {self.revision}"
        return f"{self.id} on {_NAMES[self.hub]}{branch}"


def target_of(
    name: str, *, modelscope: bool, revision: str | None, private: bool, message: str, token: str | None
) -> Target:
    """Where `OWNER/NAME`, `hf://OWNER/NAME` or `ms://OWNER/NAME` is.

    Args:
        modelscope: Where a bare id is.

    Raises:
        ConfigError: That is no id.
    """
    plain = name.removeprefix("hf://").removeprefix("ms://")
    if not _ID.fullmatch(plain) or plain.endswith((".git", "-", ".")) or "--" in plain or ".." in plain:
        raise ConfigError(f"hub_model_id {name!r} is not OWNER/NAME", hint="such as --hub_model_id me/my-model")
    hub: Literal["hf", "ms"] = "ms" if name.startswith("ms://") or (modelscope and plain == name) else "hf"
    return Target(hub, plain, revision, private, message, token)


def require_hub(target: Target) -> None:
    """Make sure, before any work, that the hub answers.

    Raises:
        HubError: It does not.
        MissingExtraError: Its library is not installed.
    """
    if target.hub == "ms":
        _modelscope(target)
    reason = unreachable(hf_endpoint() if target.hub == "hf" else ms_endpoint())
    if reason is not None:
        raise HubError(
            f"the upload cannot begin, {_NAMES[target.hub]} cannot be reached: {one_line(reason)}",
            hint="export without --push_to_hub, and upload the folder later with --publish",
        )


def upload(folder: Path, files: list[str], target: Target) -> str:
    """Upload some files of a folder; returns an address. What has arrived before is not sent again.

    Raises:
        HubError: The hub refused or broke off, or the repository is there and not private; the folder stays.
    """
    send = _to_huggingface if target.hub == "hf" else _to_modelscope
    try:
        return send(folder, files, target)
    except HubError:
        raise
    except Exception as error:  # the libraries' transport errors have no common root of their own
        way = "log in with `hf auth login`" if target.hub == "hf" else "give --hub_token"
        raise HubError(
            f"{folder} could not be uploaded as {target.id}: {one_line(error)}",
            hint=f"{way}, or check the name; swift export --publish {folder} goes on where it stopped",
        ) from error


def _to_huggingface(folder: Path, files: list[str], target: Target) -> str:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hf_endpoint(), token=target.token)
    api.create_repo(target.id, private=target.private, exist_ok=True)
    if target.private and not api.model_info(target.id).private:
        raise _is_public(target)
    if target.revision is not None:
        api.create_branch(target.id, branch=target.revision, exist_ok=True)
    commit = api.upload_folder(
        repo_id=target.id,
        folder_path=folder,
        allow_patterns=list(files),
        commit_message=target.message,
        revision=target.revision,
    )
    there = {entry.path: getattr(entry, "size", None) for entry in
             api.list_repo_tree(target.id, revision=target.revision, recursive=True)}  # fmt: skip
    _require_arrived(folder, files, there, target)
    return str(commit.commit_url)


def _to_modelscope(folder: Path, files: list[str], target: Target) -> str:
    api = _modelscope(target)
    if api.repo_exists(target.id, "model"):
        if target.private and "private" not in str(api.get_repo(target.id, "model").visibility).lower():
            raise _is_public(target)
    else:
        api.create_repo(target.id, "model", visibility="private" if target.private else "public")
    progress = cache_root() / "uploads" / f"{target.id.replace('/', '--')}-{target.revision or 'master'}"
    progress.parent.mkdir(parents=True, exist_ok=True)
    api.upload_folder(
        target.id,
        "model",
        folder,
        commit_message=target.message,
        revision=target.revision,
        allow_patterns=list(files),
        disable_tqdm=True,
        use_cache=True,
        tracker_path=progress,
    )
    listed = api.list_repo_files(target.id, "model", revision=target.revision or "master")
    try:
        _require_arrived(folder, files, {entry.path: entry.size for entry in listed}, target)
    except HubError:
        progress.unlink(missing_ok=True)  # it says that they had arrived
        raise
    return f"{ms_endpoint()}/models/{target.id}"


def _require_arrived(folder: Path, files: list[str], there: dict[str, int | None], target: Target) -> None:
    """Make sure that the hub lists every file, each as long as it is here."""
    for name in files:
        size = (folder / name).stat().st_size
        if there.get(name) != size:
            found = "is not there" if name not in there else f"has {there[name]} bytes there"
            raise HubError(
                f"{name} {found} after the upload to {target}; here it has {size}",
                hint=f"swift export --publish {folder} sends what is missing",
            )


def _is_public(target: Target) -> HubError:
    return HubError(
        f"{target} is there already and public, and --hub_private_repo true is given: nothing was uploaded",
        hint="another --hub_model_id, or make it private on its page",
    )


def _modelscope(target: Target) -> Any:
    try:
        from modelscope_hub import HubApi
    except ImportError as error:
        raise MissingExtraError("modelscope-hub", extra="hub", why=f"uploading to {target}") from error
    return HubApi(endpoint=ms_endpoint(), token=target.token)
