"""Uploading an exported folder."""

from __future__ import annotations

import sys
from pathlib import Path

from swift.errors import HubError
from swift.hub.network import hf_endpoint, one_line, unreachable


def require_hub() -> None:
    """Make sure, before any work, that the hub answers.

    Raises:
        HubError: It does not.
    """
    reason = unreachable(hf_endpoint())
    if reason is not None:
        raise HubError(
            f"the upload cannot begin, Hugging Face cannot be reached: {one_line(reason)}",
            hint="export without --push_to_hub, and upload the folder later",
        )


def push(folder: Path, name: str, *, private: bool, message: str, token: str | None) -> None:
    """Upload a folder as the repository `name`, which is made where it does not exist.

    Raises:
        HubError: The hub refused or broke off; the folder stays.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    api = HfApi(token=token)
    try:
        api.create_repo(name, private=private, exist_ok=True)
        commit = api.upload_folder(repo_id=name, folder_path=folder, commit_message=message)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise HubError(
            f"{folder} could not be uploaded as {name}: {one_line(error)}",
            hint="log in with `hf auth login`, or check the name; the folder is complete and can be uploaded later",
        ) from error
    sys.stderr.write(f"uploaded: {commit.commit_url}\n")
