"""What a run ran on: versions of libraries, and the revision of the user's own code."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from pathlib import Path

_LIBRARIES = ("swift-finetune", "torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")
_QUANTIZERS = ("bitsandbytes", "hqq", "torchao")


def library_versions() -> dict[str, str]:
    """Versions of the program and of the libraries that decide its numbers; one that is not installed is left out."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    installed = {str(d.metadata["Name"]).lower() for d in metadata.distributions() if d.metadata["Name"]}
    return found | {name: metadata.version(name) for name in (*_LIBRARIES, *_QUANTIZERS) if name in installed}


def git_revision(folder: Path = Path()) -> str | None:
    """The commit of `folder` (default: here), with `-dirty` where tracked files changed; None outside a repository."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return f"{commit}-dirty" if _git(folder, "status", "--porcelain", "--untracked-files=no") else commit


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None  # No git, or a repository on a disk that hangs: the record has no revision then.
    return done.stdout.strip() if done.returncode == 0 else None
