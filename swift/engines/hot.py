"""LoRA adapters that come and go while the engine runs."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from swift.engines.adapters import AdapterSwitch, Switch
from swift.engines.base import BASE
from swift.engines.packed import pack_linears, unpack_linears
from swift.errors import CheckpointError, ConfigError
from swift.models.quiet import quiet
from swift.tuners.attach import read_adapter_config, set_adapter_type, tensors_of
from swift.tuners.extra import extra_config

WEIGHTS = "adapter_model.safetensors"
"""The file of an adapter's weights."""

_PLAIN_STARTS = (True, False, "gaussian")
_CHANGES_MORE = ("trainable_token_indices", "target_parameters", "layer_replication", "alora_invocation_tokens")
_FAILURES = (RuntimeError, ValueError, TypeError, KeyError, OSError, SafetensorError)
"""What PEFT raises for adapters that are damaged or belong to another model."""


class HotSwitch:
    """Adapters of which more can be loaded, and any unloaded, between forward passes.

    Each that is loaded gets a key of its own, which is never used again: so nothing that was computed under a name
    (keys and values of prompts, waiting answers) can be taken for that of another adapter with the same name.
    All but `key` is for the thread that computes.

    Args:
        model: The base model; layers are wrapped in place.
        switch: The adapters of the start; None for none.
        pack: Weights are kept packed for the CPU.

    Raises:
        ConfigError: There are adapters of another kind.
    """

    def __init__(self, model: PreTrainedModel, switch: Switch | None, *, pack: bool) -> None:
        tuned = switch.tuned if isinstance(switch, AdapterSwitch) else None
        if switch is not None and (tuned is None or any(not _is_lora(c) for c in tuned.peft_config.values())):
            raise ConfigError(
                "adapters can be loaded at run time only beside LoRA adapters", hint="take out --adapter_root"
            )
        self._model = model
        self._pack = pack
        self._tuned: Any = tuned
        self._keys: dict[str, str] = {} if switch is None else {name: name for name in switch.names}
        self._numbers = itertools.count(1)
        self.leaving: list[str] = []
        self._switch = self._fresh()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the adapters, in the order in which they were loaded."""
        return tuple(self._keys)

    def key(self, name: str) -> str | None:
        """What the adapter of a name is called here; None where there is none. May be called from any thread."""
        return BASE if name == BASE else self._keys.get(name)

    def holds(self, key: str) -> bool:
        """Whether a key can be computed with, one that is leaving included."""
        return key == BASE or key in self._keys.values() or key in self.leaving

    def activate(self, name: str) -> None:
        """Compute with the adapter of this key, or with the bare weights for `base`."""
        if self._switch is not None:
            self._switch.activate(name)

    def front(self, name: str) -> None:
        """None: these change weights."""

    def add(self, name: str, folder: Path) -> None:
        """Load an adapter.

        Args:
            name: Not taken yet.
            folder: Which `check_lora` has found good.

        Raises:
            ConfigError: The name is taken.
            CheckpointError: The adapter does not fit the model; everything is as before then.
        """
        if name == BASE or name in self._keys:
            raise ConfigError(f"there is a model called {name!r} already", hint="unload it first, or take another name")
        key = f"loaded-{next(self._numbers)}"
        with self._unpacked():
            base = tensors_of(self._model)
            try:
                with quiet(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    self._load(key, folder)
            except _FAILURES as error:
                self._clean(key)
                told = (" ".join(str(error).split()) or type(error).__name__)[:200]
                raise CheckpointError(f"the adapter {name!r} does not fit this model: {told}") from error
            set_adapter_type(self._tuned, self._model.dtype, base)
            self._tuned.eval()
        self._keys[name] = key
        self._switch = self._fresh()

    def retire(self, name: str) -> None:
        """Take a name away; what it means stays until `remove`.

        Raises:
            ConfigError: There is no such adapter.
        """
        key = self._keys.pop(name, None)
        if key is None:
            raise ConfigError(f"no adapter is called {name!r}", hint="/v1/models lists them")
        self.leaving.append(key)

    def remove(self, key: str) -> None:
        """Forget an adapter that is leaving, and free its memory."""
        self.leaving.remove(key)
        with self._unpacked():  # more can be packed than while it was there
            self._clean(key)
        self._switch = self._fresh()

    def _fresh(self) -> AdapterSwitch | None:
        """A switch that does not know what is active: PEFT changes it when adapters come or go."""
        return None if self._tuned is None else AdapterSwitch(self._tuned, self.names)

    def _load(self, key: str, folder: Path) -> None:
        from peft import PeftModel

        config = read_adapter_config(folder)
        config.inference_mode = True
        if self._tuned is None:
            self._tuned = PeftModel(self._model, config, adapter_name=key)
        else:
            self._tuned.add_adapter(key, config)
        device = str(next(self._model.parameters()).device)
        found = self._tuned.load_adapter(str(folder), adapter_name=key, torch_device=device)
        wrong = [*found.missing_keys, *found.unexpected_keys]
        if wrong:
            what = "lacks" if found.missing_keys else "has an unknown"
            raise ValueError(f"it {what} {wrong[0]}")

    def _clean(self, key: str) -> None:
        """Remove an adapter from every layer, as far as it is there."""
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PEFT tells that another one is active now; the next step chooses anyway
            for module in list(self._model.modules()):
                if isinstance(module, BaseTunerLayer):
                    module.delete_adapter(key)
                elif isinstance(module, AuxiliaryTrainingWrapper):
                    module.delete_adapter(key, new_active_adapters=None)
        if self._tuned is not None:
            self._tuned.peft_config.pop(key, None)
            self._tuned.base_model.active_adapter = []

    @contextmanager
    def _unpacked(self) -> Iterator[None]:
        """Within this, linear layers are plain ones, which PEFT knows."""
        if self._pack:
            unpack_linears(self._model)
        try:
            yield
        finally:
            if self._pack:
                pack_linears(self._model)


def check_lora(folder: Path) -> None:
    """Make sure that a folder holds a LoRA adapter that can stand beside others, and read its weights once.

    Raises:
        CheckpointError: It is damaged, has weights in another format, or some that are no numbers.
        ConfigError: It is of another kind, or changes the base weights, which others compute with too.
    """
    try:
        own, config = extra_config(folder), read_adapter_config(folder)
    except CheckpointError as error:  # which names the folder, and clients may be told of this
        raise CheckpointError("the adapter has no adapter_config.json, or a damaged one") from error
    if own is not None or not _is_lora(config):
        raise ConfigError("only LoRA adapters can be loaded at run time", hint="name others with --adapters")
    more = [name for name in _CHANGES_MORE if getattr(config, name, None)]
    if config.bias != "none":
        more.append("bias")
    if config.init_lora_weights not in _PLAIN_STARTS:
        more.append("init_lora_weights")
    if more:
        raise ConfigError(
            f"the adapter changes more than LoRA does ({', '.join(more)})", hint="name it with --adapters at the start"
        )
    path = folder / WEIGHTS
    if not path.is_file():
        raise CheckpointError(f"the adapter has no {WEIGHTS}", hint="save it as safetensors")
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                if not bool(torch.isfinite(file.get_tensor(name)).all()):
                    raise CheckpointError(f"the adapter is damaged: {name} is not finite", hint="train it again")
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{WEIGHTS} cannot be read: {error}", hint="save it again") from error


def _is_lora(config: Any) -> bool:
    return str(config.peft_type.value) == "LORA"
