"""Models of the Hugging Face hub. Resuming and verification are the library's."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from swift.errors import HubError
from swift.hub.files import choose_model_files, missing_file
from swift.hub.located import Located, say
from swift.hub.network import hf_endpoint, offline_error, one_line, unreachable

_NAME = "Hugging Face"
_SECONDS = 10.0
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubUnreachableError(HubError):
    """Nobody to ask, and nothing complete in the cache."""


def from_huggingface(
    name: str, revision: str | None, *, weights: bool, code: bool, token: str | None, progress: bool
) -> Located:
    """Download what loading the model `name` needs, or find it in the hub's cache.

    Args:
        revision: Branch, tag or commit; None is the main branch.
        weights: False leaves the weights out.
        code: Whether Python files come too.

    Raises:
        HubUnreachableError: The hub cannot be reached and the cache has not everything.
        HubError: No such model or revision, no access, or the download broke off.
    """
    if revision and _COMMIT.fullmatch(revision):
        cached = _cached(name, revision, weights=weights)
        if cached is not None:  # a commit never changes: nobody needs to be asked
            return _located(cached, name)
    reason = unreachable(hf_endpoint())
    if reason is not None:
        cached = _cached(name, revision, weights=weights)
        if cached is None:
            problem = offline_error(_NAME, f"the model {name}", reason)
            raise HubUnreachableError(problem.message, hint=problem.hint)
        if progress:
            say(f"{_NAME} cannot be reached: using the cached copy of {name}")
        return _located(cached, name)
    files = _list(name, revision, token)
    chosen = choose_model_files(files, weights=weights, code=code, where=f"the model {name} on {_NAME}")
    return _located(_fetch(name, revision, chosen, token, progress), name)


def _located(folder: Path, name: str) -> Located:
    """A snapshot folder is named after its commit."""
    single = _single_gguf(folder)
    if single is not None:
        return Located(single, "gguf", name, folder.name)
    return Located(folder, "folder", name, folder.name)


def _single_gguf(folder: Path) -> Path | None:
    files = list(folder.glob("*.gguf"))
    return files[0] if len(files) == 1 and not (folder / "config.json").is_file() else None


def _cached(name: str, revision: str | None, *, weights: bool) -> Path | None:
    """The snapshot of `revision` in the hub's cache, if it is complete for this purpose."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, revision=revision, local_files_only=True, allow_patterns=["config.json"]))
    except LocalEntryNotFoundError:
        return None
    complete = _single_gguf(folder) is not None or missing_file(folder, weights=weights) is None
    return folder if complete else None


def _list(name: str, revision: str | None, token: str | None) -> list[str]:
    """Names of the repository's files."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(name, revision=revision, timeout=_SECONDS, token=token)
    except GatedRepoError as error:
        raise _gated(name) from error
    except RevisionNotFoundError as error:
        raise HubError(f"the model {name} has no revision {revision!r} on {_NAME}", hint="see its page") from error
    except RepositoryNotFoundError as error:
        raise HubError(
            f"no model {name} on {_NAME}, or it is private",
            hint="check the name; a private one needs --hub_token; a local folder must exist",
        ) from error
    except HfHubHTTPError as error:
        raise HubError(f"{_NAME} refuses the model {name}: {one_line(error)}", hint="try again later") from error
    return [file.rfilename for file in info.siblings or ()]


def _fetch(name: str, revision: str | None, files: list[str], token: str | None, progress: bool) -> Path:
    """The snapshot with these files; by its branch or tag, so that the library keeps where that stood."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    patterns = [glob.escape(file) for file in files]
    silence = not progress and not are_progress_bars_disabled()
    if silence:
        disable_progress_bars()
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, token=token))
    except GatedRepoError as error:
        raise _gated(name) from error
    except Exception as error:  # the library's transport errors have no common root of their own
        raise HubError(
            f"the download of {name} broke off: {one_line(error)}", hint="try again: it resumes where it stopped"
        ) from error
    finally:
        if silence:
            enable_progress_bars()


def _gated(name: str) -> HubError:
    return HubError(
        f"the model {name} is gated on {_NAME}",
        hint="accept its terms on its page, then run `hf auth login` or give --hub_token",
    )
