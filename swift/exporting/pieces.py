"""Merging a model that is larger than memory: a file of weights at a time, the model is never whole in memory."""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from swift.chat.media.files import copy_processor
from swift.config.export import ExportConfig
from swift.config.sizes import bytes_of
from swift.engines.folders import Plan
from swift.errors import CheckpointError, ConfigError, ModelError
from swift.exporting.folder import require_room
from swift.models.gguf import as_folder
from swift.models.load import load_config, load_tokenizer
from swift.models.locate import locate_model
from swift.models.quantize.method import skeleton
from swift.models.quiet import quiet
from swift.models.weights import check_safetensors, require_weights
from swift.tuners.attach import read_adapter_config

_PREFIX = "base_model.model."
_WAY = "take out --merge_in_pieces true: in memory it can be merged"


class Adapter:
    """A LoRA adapter, by the layers that it changes.

    Args:
        folder: In PEFT's format.

    Raises:
        ConfigError: It is of a kind that is merged in memory only.
        ModelError: Its file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        config = read_adapter_config(folder)
        said = config.to_dict()
        odd = [name for name in ("target_parameters", "trainable_token_indices", "lora_bias") if said.get(name)]
        if said["peft_type"] != "LORA" or odd or said.get("bias", "none") != "none":
            kind = ", ".join(odd) or f"{said['peft_type']}, bias {said.get('bias', 'none')}"
            raise ConfigError(f"the adapter in {folder} cannot be merged in pieces: {kind}", hint=_WAY)
        self.folder = folder
        self.config = config
        tensors = _weights_of(folder)
        self.parts: dict[str, dict[str, Tensor]] = {}
        self.whole: dict[str, Tensor] = {}
        for key, value in tensors.items():
            name = key.removeprefix(_PREFIX)
            layer, found, _ = name.partition(".lora_")
            if found:
                self.parts.setdefault(layer, {})[name] = value
            else:
                self.whole[name] = value

    def merged(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights of some layers with the adapter added, in float32: whoever stores them rounds, once.

        Args:
            weights: Layer to its weight [outputs, inputs].

        Raises:
            CheckpointError: The adapter is not finite, or of other shapes.
        """
        from peft import inject_adapter_in_model, set_peft_model_state_dict
        from peft.tuners.tuners_utils import BaseTunerLayer

        holder = _Holder()
        for name, weight in weights.items():
            outputs, inputs = weight.shape
            layer = nn.Linear(inputs, outputs, bias=False, device="meta")
            layer.weight = nn.Parameter(weight.float(), requires_grad=False)
            holder.put(name, layer)
        state = {key: value.float() for name in weights for key, value in self.parts[name].items()}
        try:
            inject_adapter_in_model(self.config, holder)
            set_peft_model_state_dict(holder, state)
            for name in weights:
                tuned = holder.get_submodule(name)
                assert isinstance(tuned, BaseTunerLayer)
                tuned.merge(safe_merge=True)
        except (RuntimeError, ValueError) as error:
            first = str(error).strip().splitlines()[0]
            raise CheckpointError(f"the adapter in {self.folder} cannot be merged: {first}") from error
        return {
            name: holder.get_submodule(f"{name}.base_layer").weight.detach()  # type: ignore[operator]
            for name in weights
        }


def _weights_of(folder: Path) -> dict[str, Tensor]:
    """Tensors of an adapter.

    Raises:
        ConfigError: They are of a format that is read in memory only.
        ModelError: Their file is damaged.
    """
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise ConfigError(f"the adapter in {folder} cannot be merged in pieces: it has no {path.name}", hint=_WAY)
    check_safetensors(path)
    return load_file(path)


class _Holder(nn.Module):
    """Layers at their full names, without the model around them."""

    def put(self, name: str, layer: nn.Module) -> None:
        """Add one."""
        path, _, last = name.rpartition(".")
        place: nn.Module = self
        for part in path.split(".") if path else ():
            if part not in dict(place.named_children()):
                place.add_module(part, nn.Module())
            place = place.get_submodule(part)
        place.add_module(last, layer)


class _Shards:
    """Files of weights, written as they fill up.

    Args:
        folder: Where they go.
        most: Bytes of each.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self._folder, self._most = folder, most
        self._tensors: dict[str, Tensor] = {}
        self._bytes = 0
        self._written: list[list[str]] = []
        self.total = 0

    def add(self, name: str, tensor: Tensor) -> None:
        """One more."""
        size = tensor.numel() * tensor.element_size()
        if self._tensors and self._bytes + size > self._most:
            self._flush()
        self._tensors[name] = tensor.contiguous()
        self._bytes += size
        self.total += size

    def finish(self) -> None:
        """Write the rest, and the index where there are several files."""
        self._flush()
        count = len(self._written)
        if count == 1:
            self._place(0).rename(self._folder / "model.safetensors")
            return
        names = [f"model-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
        for number, name in enumerate(names):
            self._place(number).rename(self._folder / name)
        where = {tensor: names[number] for number, tensors in enumerate(self._written) for tensor in tensors}
        index = {"metadata": {"total_size": self.total}, "weight_map": where}
        (self._folder / "model.safetensors.index.json").write_bytes(orjson.dumps(index, option=orjson.OPT_INDENT_2))

    def _flush(self) -> None:
        save_file(self._tensors, self._place(len(self._written)), metadata={"format": "pt"})
        self._written.append(list(self._tensors))
        self._tensors, self._bytes = {}, 0

    def _place(self, number: int) -> Path:
        return self._folder / f"piece-{number}.safetensors"


def write_in_pieces(config: ExportConfig, plan: Plan, folder: Path, wanted: torch.dtype) -> None:
    """Merge LoRA adapters into the files of a model, one file at a time, and write them in another type and size.

    The largest file of the model, in float32, is what has to fit into memory.

    Raises:
        ConfigError: An adapter is of a kind that is merged in memory only.
        ModelError: The files' names are not those of the model's layers, so that transformers would have to load it.
    """
    source = as_folder(locate_model(plan.model))
    adapters = [Adapter(path) for path in plan.adapters.values()]
    files = require_weights(source)
    if files[0].suffix != ".safetensors":
        raise ModelError(f"{source} has no safetensors weights", hint=_WAY)
    _require_names(plan, source, files, adapters)
    require_room(folder, sum(math.prod(shape) for _, shape in _shapes(files)) * wanted.itemsize)
    shards = _Shards(folder, bytes_of(config.max_shard_size))
    for number, file in enumerate(files, 1):
        sys.stderr.write(f"merging file {number} of {len(files)}\n")
        tensors = _merged_file(load_file(file), adapters)
        for name in sorted(tensors):
            tensor = tensors[name].to(wanted) if tensors[name].is_floating_point() else tensors[name]
            if not tensor.isfinite().all():
                raise ModelError(f"{name} is not finite in {str(wanted).removeprefix('torch.')}")
            shards.add(name, tensor)
    shards.finish()
    _copy_rest(plan, source, folder, wanted)


def _merged_file(tensors: dict[str, Tensor], adapters: list[Adapter]) -> dict[str, Tensor]:
    """A file's tensors with the adapters in them; what they change is not rounded yet."""
    for adapter in adapters:
        layers = {name: tensors[f"{name}.weight"] for name in adapter.parts if f"{name}.weight" in tensors}
        if layers:
            tensors |= {f"{name}.weight": weight for name, weight in adapter.merged(layers).items()}
        tensors |= {name: value for name, value in adapter.whole.items() if name in tensors}
    return tensors


def _require_names(plan: Plan, source: Path, files: list[Path], adapters: list[Adapter]) -> None:
    """Every layer that an adapter changes is a plain linear one, and stands in the files under its own name."""
    trust = plan.model.trust_remote_code
    model = skeleton(load_config(locate_model(plan.model), trust_remote_code=trust), trust_remote_code=trust)
    bare = dict(model.named_modules())
    shapes = dict(_shapes(files))
    for adapter in adapters:
        _require_apart(model, adapter)
        for name in adapter.parts:
            if type(bare.get(name)) is not nn.Linear or f"{name}.weight" not in shapes:
                raise ModelError(f"{name} is no linear layer with a weight of that name in {source}", hint=_WAY)
            _require_fit(adapter, name, shapes[f"{name}.weight"])
        for name, value in adapter.whole.items():
            if shapes.get(name) != tuple(value.shape):
                raise ModelError(f"{name} of the adapter is not in {source} in that shape", hint=_WAY)


def _require_apart(model: PreTrainedModel, adapter: Adapter) -> None:
    """Embeddings that an adapter changes are not the head's, too: the files hold one weight, and need two then.

    Raises:
        ModelError: They are.
    """
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    if head is None or head.weight is not embeddings.weight:
        return
    tied = {id(embeddings), id(head)}
    changed = adapter.parts.keys() | {name.rpartition(".")[0] for name in adapter.whole}
    for name, module in model.named_modules():
        if id(module) in tied and name in changed:
            why = f"the adapter in {adapter.folder} changes {name}, and the model's embeddings are tied to its head"
            raise ModelError(f"{why}: these have to part", hint=_WAY)


def _require_fit(adapter: Adapter, layer: str, shape: tuple[int, ...]) -> None:
    """The two factors of a layer's update have the sizes of its weight [outputs, inputs].

    Raises:
        CheckpointError: They have others.
    """
    for name, value in adapter.parts[layer].items():
        sides = {".lora_A.": (value.shape[-1], shape[1]), ".lora_B.": (value.shape[0], shape[0])}
        if any(kind in name and found != wanted for kind, (found, wanted) in sides.items()):
            raise CheckpointError(
                f"the adapter in {adapter.folder} does not fit this model: {name} has the shape {list(value.shape)}, "
                f"and the layer's weight {list(shape)}",
                hint="name the model that it was trained on: --model",
            )


def _shapes(files: list[Path]) -> Iterator[tuple[str, tuple[int, ...]]]:
    for file in files:
        with safe_open(file, "pt") as shard:
            for name in shard.keys():  # noqa: SIM118
                yield name, tuple(shard.get_slice(name).get_shape())


def _copy_rest(plan: Plan, source: Path, folder: Path, wanted: torch.dtype) -> None:
    """Everything but weights."""
    located = locate_model(plan.model)
    config = load_config(located, trust_remote_code=plan.model.trust_remote_code)
    config.dtype = wanted
    text = source if plan.tokenizer is None else plan.tokenizer
    with quiet():
        config.save_pretrained(folder)
        load_tokenizer(type(located)(text, "folder", str(text), None)).save_pretrained(folder)
    copy_processor(source, folder)
    for place in (text, source):
        if (place / "generation_config.json").is_file():
            shutil.copyfile(place / "generation_config.json", folder / "generation_config.json")
            break
