"""Models of the ModelScope hub, through its own library."""

from __future__ import annotations

import glob
import importlib.util
from pathlib import Path
from typing import Any

from swift.errors import HubError, MissingExtraError
from swift.hub.files import choose_model_files, missing_file
from swift.hub.located import Located, say
from swift.hub.network import ms_endpoint, offline_error, one_line, unreachable

_NAME = "ModelScope"


def from_modelscope(
    name: str, revision: str | None, *, weights: bool, code: bool, token: str | None, progress: bool
) -> Located:
    """Download what loading the model `name` needs, or find it in that hub's cache.

    Raises:
        MissingExtraError: The library is not installed.
        HubError: No such model, no access, no network and nothing complete cached, or the download broke off.
    """
    api, errors = _library(name, token)
    reason = unreachable(ms_endpoint())
    if reason is not None:
        folder = _cached(api, errors, name, revision)
        if folder is None or missing_file(folder, weights=weights) is not None:
            raise offline_error(_NAME, f"the model {name}", reason)
        if progress:
            say(f"{_NAME} cannot be reached: using the cached copy of {name}")
        return Located(folder, "folder", name, revision)
    try:
        files = [file.path for file in api.list_repo_files(name, "model", revision=revision)]
        chosen = choose_model_files(files, weights=weights, code=code, where=f"the model {name} on {_NAME}")
        patterns = [glob.escape(file) for file in chosen]
        folder = Path(api.download_repo(name, "model", revision=revision, allow_patterns=patterns))
    except errors.NotExistError as error:
        raise HubError(
            f"no model {name} on {_NAME}, or it is private", hint="check the name; a local folder must exist"
        ) from error
    except errors.HubError as error:
        raise HubError(f"{_NAME}: {name}: {one_line(error)}", hint="try again: downloads resume") from error
    if chosen[0].endswith(".gguf"):
        return Located(folder / chosen[0], "gguf", name, revision)
    return Located(folder, "folder", name, revision)


def has_modelscope() -> bool:
    """Whether the hub's library is installed."""
    return importlib.util.find_spec("modelscope_hub") is not None


def _library(name: str, token: str | None) -> tuple[Any, Any]:
    try:
        from modelscope_hub import HubApi, errors
    except ImportError as error:
        raise MissingExtraError("modelscope-hub", extra="hub", why=f"the model {name} on {_NAME}") from error
    return HubApi(token=token), errors


def _cached(api: Any, errors: Any, name: str, revision: str | None) -> Path | None:
    try:
        return Path(api.download_repo(name, "model", revision=revision, local_files_only=True))
    except errors.HubError:
        return None
