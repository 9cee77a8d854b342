"""Adapters of our own that PEFT does not have: small modules that change what other modules put out.

They hang on the model as one more child, `extra`, and work through forward hooks; the model's own modules stay what
they are. Saved as PEFT saves: `adapter_config.json` and `adapter_model.safetensors`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from swift.config.tuner import BottleneckConfig, ReftConfig
from swift.errors import CheckpointError, ConfigError
from swift.models.structure import decoder_layers, text_config
from swift.tuners.targets import ALL_LINEAR, ends_of_sublayers

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_TYPE = "SWIFT_"
_CHILD = "extra"
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "tanh": torch.tanh,
}
_CONFIGS: dict[str, type[BottleneckConfig] | type[ReftConfig]] = {"ADAPTER": BottleneckConfig, "REFT": ReftConfig}

ExtraConfig = BottleneckConfig | ReftConfig


class Bottleneck(nn.Module):
    """`h + up(f(down(h)))` (arXiv 1902.00751, figure 2); `up` begins at zero."""

    def __init__(self, size: int, config: BottleneckConfig) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(size, config.width), nn.Linear(config.width, size)
        self.activation = _ACTIVATIONS[config.activation]
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, states: Tensor) -> Tensor:
        """[..., size] -> [..., size]."""
        x = states.to(self.down.weight.dtype)
        changed: Tensor = self.up(self.activation(self.down(x)))
        return states + changed.to(states.dtype)


class LowRankEdit(nn.Module):
    """`h + R'(W h + b - R h)` with orthonormal rows of R (LoReFT, arXiv 2404.03592, eq. 2); begins as no edit.

    The rows are those of a QR factor, which is as orthonormal as rounding allows after any update.
    """

    def __init__(self, size: int, config: ReftConfig) -> None:
        super().__init__()
        self.basis = nn.Parameter(torch.empty(size, config.rank))
        nn.init.orthogonal_(self.basis)
        # W begins as R and b at zero, so that nothing is edited at first.
        self.weight = nn.Parameter(torch.linalg.qr(self.basis.detach()).Q.T.clone())
        self.bias = nn.Parameter(torch.zeros(config.rank))

    def forward(self, states: Tensor) -> Tensor:
        """[..., size] -> [..., size]."""
        wide = torch.promote_types(self.basis.dtype, torch.float32)  # there is no factorization in 16 bits
        rows = torch.linalg.qr(self.basis.to(wide)).Q.to(self.basis.dtype)
        x = states.to(rows.dtype)
        wanted = F.linear(x, self.weight, self.bias)
        edit: Tensor = (wanted - x @ rows) @ rows.T
        return states + edit.to(states.dtype)


class Extra(nn.Module):
    """Named adapters of one model.

    Attributes:
        active: Name of the one that works; None for the bare model.
        adapters: Name -> modules, in the order of the places.
    """

    def __init__(self) -> None:
        super().__init__()
        self.active: str | None = None
        self.adapters = nn.ModuleDict()

    def hook(self, name: str, part: nn.Module) -> Any:
        """What is called after a module of the model."""

        def change(module: nn.Module, inputs: object, output: Any) -> Any:
            if self.active != name:
                return output
            if isinstance(output, tuple):  # some layers put out more than states
                return (part(output[0]), *output[1:])
            return part(output)

        return change


def add_extra(model: PreTrainedModel, config: ExtraConfig, *, name: str = "default") -> Extra:
    """Freeze the model and add an adapter, which becomes the active one.

    Raises:
        ConfigError: A place is none of the model's.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = dict(model.named_children()).get(_CHILD)
    extra = found if isinstance(found, Extra) else Extra()
    size = int(text_config(model).hidden_size)
    parts = []
    for place in _places(model, config):
        part = _part(size, config)
        part.to(next(place.parameters()).device)
        place.register_forward_hook(extra.hook(name, part))
        parts.append(part)
    extra.adapters[name] = nn.ModuleList(parts)
    extra.active = name
    model.add_module(_CHILD, extra)
    return extra


def _part(size: int, config: ExtraConfig) -> nn.Module:
    return Bottleneck(size, config) if isinstance(config, BottleneckConfig) else LowRankEdit(size, config)


def save_extra(extra: Extra, config: ExtraConfig, folder: Path, base: str, *, name: str = "default") -> None:
    """Write an adapter into `folder`."""
    described = {"peft_type": f"{_TYPE}{config.type.upper()}", "base_model_name_or_path": base, **config.model_dump()}
    (folder / "adapter_config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in extra.adapters[name].state_dict().items()}
    save_file(tensors, folder / "adapter_model.safetensors")


def extra_config(folder: Path) -> ExtraConfig | None:
    """The configuration of the adapter in `folder`; None if it is of PEFT.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    try:
        values: Mapping[str, Any] = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} holds no adapter: adapter_config.json is missing", hint="name a folder that has one"
        ) from error
    except ValueError as error:
        raise CheckpointError(f"{folder / 'adapter_config.json'} is damaged: {error}", hint="save it again") from error
    kind = str(values.get("peft_type", ""))
    if not kind.startswith(_TYPE):
        return None
    cls = _CONFIGS.get(kind.removeprefix(_TYPE))
    if cls is None:
        raise CheckpointError(f"the adapter in {folder} is of the unknown type {kind}", hint="update this program")
    try:
        return cls.model_validate({key: value for key, value in values.items() if key in cls.model_fields})
    except ValidationError as error:
        raise CheckpointError(
            f"{folder / 'adapter_config.json'} is damaged: {error.errors()[0]['msg']}", hint="save it again"
        ) from error


def load_extra(model: PreTrainedModel, folder: Path, config: ExtraConfig, *, name: str = "default") -> Extra:
    """Add the adapter saved in `folder`.

    Raises:
        CheckpointError: It is of another model.
    """
    extra = add_extra(model, config, name=name)
    try:
        extra.adapters[name].load_state_dict(load_file(folder / "adapter_model.safetensors"))
    except (RuntimeError, OSError) as error:
        first = str(error).strip().splitlines()[0]
        raise CheckpointError(f"the adapter in {folder} does not fit this model: {first}") from error
    return extra


def _places(model: PreTrainedModel, config: ExtraConfig) -> Sequence[nn.Module]:
    if isinstance(config, ReftConfig):
        size = int(text_config(model).hidden_size)
        if config.rank > size:
            raise ConfigError(
                f"tuner.rank {config.rank} is more than the {size} dimensions of a hidden state",
                hint="lower --reft_rank",
            )
        layers = decoder_layers(model)
        wrong = [number for number in config.layers if not 0 <= number < len(layers)]
        if wrong:
            raise ConfigError(f"tuner.layers names {wrong[0]}, and the model has {len(layers)}", hint="count from 0")
        return [layers[number] for number in config.layers] if config.layers else list(layers)
    by_name = dict(model.named_modules())
    names = ends_of_sublayers(model)
    if config.targets != ALL_LINEAR:
        names = [name for name in names if name.rsplit(".", 1)[-1] in config.targets]
    if not names:
        raise ConfigError("tuner.targets matches no end of an attention or feed-forward network", hint="leave it out")
    return [by_name[name] for name in names]
