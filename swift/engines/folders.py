"""What the user's `--model` and `--adapters` mean: run folders, checkpoints, adapters, and the run behind them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from swift.config.chat import ChatConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.config.runs import FROM_ADAPTER
from swift.config.sft import SftConfig
from swift.errors import CheckpointError, ConfigError

_RECORD = "run.json"
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A folder with weights.

    Attributes:
        path: The folder.
        adapter: It holds an adapter, not a whole model.
        run: The configuration of the run that made it; None where that is not known.
        name: A short name, from the folder's.
    """

    path: Path
    adapter: bool
    run: SftConfig | None
    name: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be loaded.

    Attributes:
        model: The base or full model.
        adapters: Adapter folders by name, in order.
        chat: How conversations are rendered.
        media: How large media become, as in training, and where they may come from.
        tokenizer: A checkpoint that carries the tokenizer and template that training used; None: the model's own.
    """

    model: ModelConfig
    adapters: Mapping[str, Path]
    chat: ChatConfig
    tokenizer: Path | None
    media: MediaConfig = field(default_factory=MediaConfig)


def plan_model(
    model: ModelConfig | None, adapters: Sequence[str], chat: ChatConfig, media: MediaConfig | None = None
) -> Plan:
    """Find out what to load from what the user named.

    A run folder stands for its best checkpoint, or else its last. A checkpoint brings what its run knew:
    the model, how it was loaded, and how conversations were rendered. What the user says wins.

    Args:
        model: The model, or None for the one that the adapters were trained on.
        adapters: Folders, or NAME=FOLDER.
        chat: The user's rendering options.
        media: The user's limits of media.

    Raises:
        ConfigError: Nothing names a model, or the adapters are of different models.
        CheckpointError: A folder holds neither an adapter nor a model.
    """
    found = _adapters(adapters)
    whole = {name: item for name, item in found.items() if not item.adapter}
    if model is not None and model.id != FROM_ADAPTER:
        base = read_checkpoint(model.id) if _is_ours(Path(model.id)) else None
        if base is not None and base.adapter:
            found = {base.name: base, **found}
            model = model.model_copy(update={"id": FROM_ADAPTER})
        elif base is not None:
            model = model.model_copy(update={"id": str(base.path)})
    else:
        base = None
    if whole:
        if len(found) > 1 or base is not None or (model is not None and model.id != FROM_ADAPTER):
            raise ConfigError(
                f"{next(iter(whole.values())).path} is a whole model, not an adapter", hint="give it as --model, alone"
            )
        base = next(iter(whole.values()))
        model = _with(
            model,
            ModelConfig(id=str(base.path))
            if base.run is None
            else base.run.model.model_copy(update={"id": str(base.path), "revision": None}),
        )
        found = {}
    model = _base_model(model, found)
    first = base or next(iter(found.values()), None)
    return _plan(model, {name: item.path for name, item in found.items()}, first, chat, media or MediaConfig())


def _plan(
    model: ModelConfig, adapters: Mapping[str, Path], first: Checkpoint | None, chat: ChatConfig, media: MediaConfig
) -> Plan:
    """What to load, with what the run of the first checkpoint knew."""
    run = first.run if first is not None else None
    carries = first is not None and (first.path / "tokenizer_config.json").is_file()
    return Plan(
        model=model,
        adapters=adapters,
        chat=_chat(chat, run, carries=carries),
        tokenizer=first.path if first is not None and carries else None,
        media=_media(media, run),
    )


def read_checkpoint(text: str | Path) -> Checkpoint:
    """The weights that a folder stands for.

    Raises:
        CheckpointError: It holds none.
    """
    path = Path(text)
    if not path.is_dir():
        raise CheckpointError(f"no such folder: {path}", hint="give a run folder, a checkpoint or an adapter folder")
    folder = path.resolve() if path.is_symlink() else path
    if not _has_weights(path):
        links = [path / name for name in ("best", "last") if (path / name).is_dir()]
        if not links:
            raise CheckpointError(
                f"{path} holds neither an adapter ({_ADAPTER}) nor a model (config.json)",
                hint="a run folder has them once its first checkpoint is saved",
            )
        folder = links[0].resolve()
    name = folder.name if _has_weights(path) else path.resolve().name
    return Checkpoint(folder, (folder / _ADAPTER).is_file(), _run(folder), name.replace(".", "_"))


def _has_weights(path: Path) -> bool:
    return (path / _ADAPTER).is_file() or (path / "config.json").is_file()


def _is_ours(path: Path) -> bool:
    """A local folder that is more than a plain model: a run folder, or one that our runs or PEFT wrote."""
    return path.is_dir() and (not (path / "config.json").is_file() or _record(path) is not None)


def _record(folder: Path) -> Path | None:
    places = [folder / _RECORD, folder.parent / _RECORD]
    return next((place for place in places if place.is_file()), None)


def _run(folder: Path) -> SftConfig | None:
    record = _record(folder)
    if record is None:
        return None
    try:
        return SftConfig.model_validate(json.loads(record.read_bytes())["config"])
    except (ValueError, KeyError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"{record} cannot be read: {first}", hint="restore it, or remove it and give --model"
        ) from error


def _adapters(texts: Sequence[str]) -> dict[str, Checkpoint]:
    found: dict[str, Checkpoint] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        named = bool(equals) and "/" not in name and not Path(text).exists()
        item = read_checkpoint(folder if named else text)
        key = name if named else item.name
        if key in found:
            if named:
                raise ConfigError(f"two adapters are called {key!r}", hint="give each a name of its own")
            key = f"{key}-{len(found) + 1}"
        found[key] = item
    return found


def _base_model(model: ModelConfig | None, adapters: Mapping[str, Checkpoint]) -> ModelConfig:
    """The model under the adapters, as the user or their runs say."""
    if model is not None and model.id != FROM_ADAPTER:
        return model
    bases = {name: _trained_on(item) for name, item in adapters.items()}
    if not bases:
        raise ConfigError("no model is named", hint="give --model, or --adapters with a run folder")
    first = next(iter(bases.values()))
    for name, base in bases.items():
        if base.id != first.id or base.revision != first.revision:
            raise ConfigError(
                f"adapter {name!r} was trained on {base.id}, the first one on {first.id}",
                hint="run them one after another, or name the model that fits both with --model",
            )
    return _with(model, first)


def _trained_on(item: Checkpoint) -> ModelConfig:
    if item.run is not None:
        return item.run.model
    values: dict[str, Any] = json.loads((item.path / _ADAPTER).read_bytes())
    base = values.get("base_model_name_or_path")
    if not base:
        raise ConfigError(f"{item.path} does not say which model it was trained on", hint="name it with --model")
    return ModelConfig(id=str(base), revision=values.get("revision"))


def _with(said: ModelConfig | None, base: ModelConfig) -> ModelConfig:
    """`base`, changed by what the user said explicitly."""
    if said is None:
        return base
    return base.model_copy(update={name: getattr(said, name) for name in said.model_fields_set - {"id"}})


def _chat(said: ChatConfig, run: SftConfig | None, *, carries: bool) -> ChatConfig:
    """The run's rendering, changed by what the user said; a template that the checkpoint carries needs no file."""
    if run is None:
        return said
    # Weights are for training; their file need not be there any more.
    chat = run.chat.model_copy(update={"loss_scale": "default", **({"template": None} if carries else {})})
    return chat.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})


def _media(said: MediaConfig, run: SftConfig | None) -> MediaConfig:
    """The run's limits, changed by what the user said. Where files lie is another matter each time."""
    if run is None:
        return said
    limits = run.media.model_copy(update={"root": None, "hosts": ()})
    return limits.model_copy(update={name: getattr(said, name) for name in said.model_fields_set})
