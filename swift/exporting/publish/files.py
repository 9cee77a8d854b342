"""Which files of a folder are published, and whether they are the ones that were certified."""

from __future__ import annotations

import fnmatch
import hashlib
from dataclasses import dataclass
from pathlib import Path

from swift.errors import ModelError
from swift.exporting.certificate.certificate import FILE, PAGE, certified_files, failed

CARD = "README.md"
_KINDS = ("*.safetensors", "*.gguf", "*.json", "*.jinja", "*.model", "*.tiktoken", "*.txt", "*.py", "Modelfile", CARD)
PAPERS = ("LICENSE*", "LICENCE*", "NOTICE*")
"""What a base model's licence wants to be passed on with it."""

_UNCERTIFIED = (CARD, *PAPERS, "certificate.*")
"""Words about a model, not the model."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What goes.

    Attributes:
        files: Names relative to the folder, and bytes, in order.
        left: Names of what is there and stays here.
    """

    files: tuple[tuple[str, int], ...]
    left: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.files)


def outgoing(folder: Path) -> Outgoing:
    """The files of an export: weights, configuration, tokenizer, template, card, certificate, licence.

    Raises:
        ModelError: The folder is no export: it holds no model, or is a training checkpoint.
    """
    if not folder.is_dir():
        raise ModelError(f"no such folder: {folder}", hint="name the folder that swift export has written")
    if (folder / "state").is_dir() or (folder / "run.json").is_file():
        hint = f"swift export --adapters {folder} with --to peft, or with --merge_lora true"
        raise ModelError(f"{folder} is a run or a training checkpoint, not an export", hint=hint)
    names = _names(folder)
    if not any(name.endswith((".safetensors", ".gguf")) for name in names):
        raise ModelError(f"{folder} holds no weights (safetensors or GGUF)", hint="name an export's folder")
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    left = tuple(name for name in there if name not in names)
    return Outgoing(tuple((name, (folder / name).stat().st_size) for name in names), left)


def require_certified(folder: Path, going: Outgoing) -> bool:
    """Make sure that nothing goes whose certificate failed, or that has changed since; whether there is one.

    Raises:
        ModelError: It failed, or a file is not the one that it is about.
    """
    if failed(folder):
        raise ModelError(f"{folder} did not pass its certificate", hint=f"see {folder / PAGE}; export it anew")
    if not (folder / FILE).is_file():
        return False
    known = certified_files(folder)
    for name, _ in going.files:
        if _is_like(name, _UNCERTIFIED):
            continue
        if known.get(name) != sha256(folder / name):
            what = "was not there when the folder was certified" if name not in known else "has changed since"
            hint = "measure it again with --certify, or export it anew"
            raise ModelError(f"{folder / name} {what}: its certificate is not about it", hint=hint)
    return True


def fingerprints(folder: Path, file: Path | None, *, alone: bool = False) -> dict[str, str]:
    """SHA-256 of the files that a certificate is about, by name.

    Args:
        file: The GGUF file that was measured; None where the folder was. Others are weights that nobody has looked at.
        alone: The rest of the folder is none of its business.
    """
    if alone and file is not None:
        return {file.name: sha256(file)}
    names = [name for name in _names(folder) if not _is_like(name, _UNCERTIFIED)]
    measured = "" if file is None else file.name
    return {name: sha256(folder / name) for name in names if name == measured or not _is_like(name, ("*.gguf",))}


def sha256(path: Path) -> str:
    """Hexadecimal digits of a file's hash."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _names(folder: Path) -> list[str]:
    """What an export may consist of, of the files that are there."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    names = [name for name in names if _is_like(name, (*_KINDS, *_UNCERTIFIED))]
    extra = sorted(path for path in folder.glob("additional_chat_templates/*.jinja") if path.is_file())
    return names + [path.relative_to(folder).as_posix() for path in extra]


def _is_like(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
