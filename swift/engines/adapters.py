"""Adapters over one base model, chosen by name for each request."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import PreTrainedModel

from swift.engines.base import BASE
from swift.errors import CheckpointError, ConfigError
from swift.models.quiet import quiet
from swift.tuners.attach import read_adapter_config, set_adapter_type, tensors_of
from swift.tuners.extra import Extra, ExtraConfig, extra_config, load_extra
from swift.tuners.prompt import Front, is_front, load_front

_NOWHERE = r"(?s).*Found missing adapter keys"
"""How PEFT warns of weights of an adapter that its files do not have, under the names that this model gives them."""


class Switch(Protocol):
    """Chooses what a model computes with."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the adapters, in the order in which they were loaded."""

    def activate(self, name: str) -> None:
        """Compute with this adapter, or with the bare weights for `base`."""

    def front(self, name: str) -> Front | None:
        """What this adapter puts in front of every row; None where it changes weights, and for `base`."""


class ExtraSwitch:
    """The same for adapters that PEFT does not have.

    Args:
        extra: The modules that work beside the model's own.
    """

    def __init__(self, extra: Extra) -> None:
        self._extra = extra
        self.names = tuple(extra.adapters)

    def activate(self, name: str) -> None:
        """Compute with this adapter, or with the bare weights for `base`."""
        self._extra.active = None if name == BASE else name

    def front(self, name: str) -> None:
        """None: these change what modules put out."""


class AdapterSwitch:
    """Makes one of several adapters, or none, the one that the model computes with.

    Args:
        tuned: The PEFT model that holds them.
        names: Their names, in the order in which they were loaded.
    """

    def __init__(self, tuned: Any, names: tuple[str, ...]) -> None:
        self.tuned = tuned
        self.names = names
        self._active: str | None = None

    def activate(self, name: str) -> None:
        """Compute with this adapter, or with the bare weights for `base`; free where that is so already."""
        if name == self._active:
            return
        tuner = self.tuned.base_model
        if name == BASE:
            tuner.disable_adapter_layers()
        else:
            tuner.enable_adapter_layers()
            tuner.set_adapter(name, inference_mode=True)
        self._active = name

    def front(self, name: str) -> None:
        """None: these change weights."""


class FrontSwitch:
    """Adapters that put something in front of rows, beside those of another switch.

    Args:
        fronts: By name.
        others: The switch of the others; None where there are none.
        names: All names, in the order in which they were named.
    """

    def __init__(self, fronts: Mapping[str, Front], others: Switch | None, names: tuple[str, ...]) -> None:
        self._fronts = fronts
        self._others = others
        self.names = names

    def activate(self, name: str) -> None:
        """Compute with this adapter, or with the bare weights for `base`, which stand behind every front, too."""
        if self._others is not None:
            self._others.activate(BASE if name in self._fronts else name)

    def front(self, name: str) -> Front | None:
        """What this adapter puts in front of every row."""
        return self._fronts.get(name)


def require_together(folders: Mapping[str, Path]) -> None:
    """Make sure that adapters can be loaded beside each other, from their files alone.

    Those that stand in front of rows go with all; of the others, all must be of swift, or all of one type of PEFT.

    Raises:
        ConfigError: The kinds are mixed, or a name is taken.
        CheckpointError: A folder holds no adapter.
    """
    kinds: dict[str, str] = {}
    for name, folder in folders.items():
        _require_free(name, folder)
        own = extra_config(folder)
        saved = None if own is not None else read_adapter_config(folder)
        if saved is None or not saved.is_prompt_learning:
            kinds.setdefault("adapter or reft" if saved is None else saved.peft_type.value.lower(), name)
    if len(kinds) > 1:
        told = " and ".join(f"{name} ({kind})" for kind, name in kinds.items())
        raise ConfigError(
            f"adapters that change layers in different ways cannot be loaded together: {told}",
            hint="run them one after another",
        )


def attach_any(model: PreTrainedModel, folders: Mapping[str, Path], *, dtype: torch.dtype) -> Switch:
    """Load adapters of whatever kind into a model.

    Raises:
        ConfigError: They do not go together (see `require_together`), or one does not go with the model.
        CheckpointError: A folder holds no adapter, or one for another model.
    """
    require_together(folders)
    own = {name: extra_config(folder) for name, folder in folders.items()}
    # Before the others wrap the model's layers.
    fronts = {
        name: load_front(model, folders[name]) for name, config in own.items() if not config and is_front(folders[name])
    }
    rest = {name: folder for name, folder in folders.items() if name not in fronts}
    others = _attach_rest(model, rest, own, dtype) if rest else None
    if not fronts:
        assert others is not None
        return others
    return FrontSwitch(fronts, others, tuple(folders))


def _attach_rest(
    model: PreTrainedModel, folders: Mapping[str, Path], own: Mapping[str, ExtraConfig | None], dtype: torch.dtype
) -> Switch:
    """Adapters that change what the model computes."""
    extra: Extra | None = None
    for name, folder in folders.items():
        config = own[name]
        if config is None:
            return attach(model, folders, dtype=dtype)
        extra = load_extra(model, folder, config, name=name)
    assert extra is not None
    extra.to(dtype).eval()
    return ExtraSwitch(extra)


def attach(model: PreTrainedModel, folders: Mapping[str, Path], *, dtype: torch.dtype) -> AdapterSwitch:
    """Load adapters into a model.

    Args:
        model: The base model; its linear layers are wrapped in place.
        folders: Adapter folders in PEFT's format, by name; at least one.
        dtype: Type of the adapters' weights. The model's own is what training computed with.

    Raises:
        ConfigError: A name is taken, or the adapter adds prompt tokens instead of weights.
        CheckpointError: A folder holds no adapter, or one for another model.
    """
    tuned: Any = None
    base = tensors_of(model)
    for name, folder in folders.items():
        _require_free(name, folder)
        _require_weights(folder)
        try:
            with quiet(), warnings.catch_warnings():
                # what PEFT uses and transformers will rename is no news to the user
                warnings.simplefilter("ignore", FutureWarning)
                # an adapter whose weights go nowhere would do nothing, and nobody would see it
                warnings.filterwarnings("error", _NOWHERE)
                tuned = _add(model, tuned, name, folder)
        except (RuntimeError, ValueError, OSError, UserWarning) as error:
            first = str(error).strip().splitlines()[0]
            raise CheckpointError(f"the adapter in {folder} does not fit this model: {first}") from error
    set_adapter_type(tuned, dtype, base)
    tuned.eval()
    return AdapterSwitch(tuned, tuple(folders))


def _require_free(name: str, folder: Path) -> None:
    if name == BASE or "." in name:
        raise ConfigError(f"an adapter cannot be called {name!r}", hint=f"name it: --adapters other={folder}")


def _add(model: PreTrainedModel, tuned: Any, name: str, folder: Path) -> Any:
    """The PEFT model with one more adapter, in float32: PEFT would else round it to the base weights' type."""
    from peft import PeftModel

    if tuned is None:
        return PeftModel.from_pretrained(model, str(folder), adapter_name=name, autocast_adapter_dtype=True)
    report = tuned.load_adapter(str(folder), adapter_name=name, autocast_adapter_dtype=True)
    if report.missing_keys:
        raise ValueError(f"its files lack {report.missing_keys[0]}")
    return tuned


def _require_weights(folder: Path) -> None:
    from peft import PeftConfig

    if not (folder / "adapter_config.json").is_file():
        raise CheckpointError(f"{folder} holds no adapter: adapter_config.json is missing")
    config = PeftConfig.from_pretrained(str(folder))
    if config.is_prompt_learning:
        raise ConfigError(
            f"the adapter in {folder} is of type {config.peft_type}, which adds prompt tokens to the input",
            hint="only adapters that change weights, such as LoRA, can be merged or attached here",
        )
