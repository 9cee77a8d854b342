"""Quantizes a model by llm-compressor; run as a file, by the interpreter of the environment `llmcompressor`.

`compressor.py JOB`, where JOB is a JSON file:

    source, target   folders in Hugging Face's layout: what is read, and where weights and config.json go
    rows             a file of int32 token ids, all rows behind each other; empty for methods that need none
    lengths          how many of them each row has
    media            a safetensors file for each row with what else the model gets, such as pixels; empty for text
    method           gptq, awq, int8, fp8 or fp4
    groups           of the linear layers that get quantized, each with
                       layers   their full names
                       scheme   weights and, where they are rounded too, inputs: arguments of compressed-tensors'
                                QuantizationArgs
    smoothing        of int8: strength; 0 for none
    dampening        of gptq
    done             of gptq and awq: a folder for the layers that are done, which a job that begins again does not do
                     again; empty for none
    device           cpu, or an accelerator
    shard            largest weights file

Standard output carries one JSON object a line: `{"done": 3, "total": 30}` as decoder layers are reached, and at the end
`{"versions": {...}}` or `{"error": "..."}`. What libraries say goes to standard error.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import inspect
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

_OUT = sys.stdout


def tell(**values: Any) -> None:
    """A line for who has started this."""
    _OUT.write(json.dumps(values) + "\n")
    _OUT.flush()


class _Unpinned(TorchFunctionMode):
    """Without an accelerator, memory stays as it is where it would be pinned for one: AWQ asks for that always."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.pin_memory and not torch.accelerator.is_available():
            return args[0]
        return func(*args, **(kwargs or {}))


def rows_of(job: dict[str, Any], model: torch.nn.Module) -> Any:
    """The rows, each as a batch of one."""
    from safetensors.torch import load_file

    taken = inspect.signature(model.forward).parameters
    kind = next(value.dtype for value in model.parameters() if value.is_floating_point())
    ids = np.fromfile(job["rows"], dtype=np.int32) if job["rows"] else np.empty(0, np.int32)
    rows, start = [], 0
    for number, length in enumerate(job["lengths"]):
        row = torch.from_numpy(ids[start : start + length].astype(np.int64)).unsqueeze(0)
        media = load_file(job["media"][number]) if job["media"] else {}
        shown = {name: value for name, value in media.items() if name in taken}
        shown |= {name: value.to(kind) for name, value in shown.items() if value.is_floating_point()}
        rows.append({"input_ids": row, "attention_mask": torch.ones_like(row), **shown})
        start += length
    return rows


def resumable_gptq() -> Any:
    """llm-compressor's GPTQ, which keeps each layer that is done in a file, and takes those that are there from them.

    The rows still go through these layers, since the next ones see what they put out.
    """
    from llmcompressor.modifiers.gptq import GPTQModifier
    from safetensors.torch import load_file, save_file

    class ResumableGPTQ(GPTQModifier):  # type: ignore[misc]
        done: str

        def file(self, module: Any) -> Path:
            return Path(self.done) / f"{self._module_names[module]}.safetensors"

        def calibrate_module(self, module: Any, args: Any, output: Any) -> None:
            if not self.file(module).is_file():
                super().calibrate_module(module, args, output)

        def on_sequential_epoch_end(self, state: Any, event: Any, modules: Any, **kwargs: Any) -> None:
            wanted = [module for module in modules if module in self._module_names]
            known = [module for module in wanted if self.file(module).is_file()]
            for module in known:
                module.load_state_dict(load_file(self.file(module)), strict=False)
            fresh = [module for module in wanted if module not in known]
            super().on_sequential_epoch_end(state, event, fresh, **kwargs)
            for module in fresh:
                values = {name: value.contiguous() for name, value in module.state_dict().items() if "." not in name}
                unfinished = self.file(module).with_suffix(".part")
                save_file(values, unfinished)
                unfinished.rename(self.file(module))
            if known:
                tell(kept=len(known))

    return ResumableGPTQ


def save_part(file: Path, modules: dict[str, Any]) -> None:
    """Keep what modules, by name, hold themselves; the file is there as a whole or not at all."""
    from safetensors.torch import save_file

    values = {
        f"{name}.{key}": value.contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
        if "." not in key
    }
    unfinished = file.with_suffix(".part")
    save_file(values, unfinished)
    unfinished.rename(file)


def load_part(file: Path, modules: dict[str, Any]) -> None:
    """Give modules what `save_part` kept of them."""
    from safetensors.torch import load_file

    kept = load_file(file)
    for name, module in modules.items():
        own = {key: kept[f"{name}.{key}"] for key in module.state_dict() if f"{name}.{key}" in kept}
        module.load_state_dict(own, strict=False)


def resumable_awq(done: str, layers: set[str], common: dict[str, Any]) -> list[Any]:
    """llm-compressor's AWQ, which keeps each part of the model that is done in a file, and does not do it again.

    A part is what rows go through between two decoder layers' ends: AWQ changes its linear layers and its norms.

    Args:
        done: The folder for the files.
        layers: Full names of the layers that get quantized.
        common: What is said to the modifier that rounds.
    """
    from llmcompressor.modifiers import Modifier
    from llmcompressor.modifiers.quantization import QuantizationModifier
    from llmcompressor.modifiers.transform.awq import AWQModifier

    class Parts(Modifier):  # type: ignore[misc]
        part: int = 0

        @property
        def file(self) -> Path:
            return Path(done) / f"{self.part}.safetensors"

    class ResumableAWQ(AWQModifier, Parts):  # type: ignore[misc]
        def on_sequential_epoch_end(self, state: Any, event: Any, **kwargs: Any) -> None:
            if self.file.is_file():
                for mapping in self._resolved_mappings:
                    if mapping.smooth_name in self._smooth_activation_stats:
                        self._parent_args_cache.pop(mapping.parent, None)
                self._smooth_activation_stats.clear()
            else:
                super().on_sequential_epoch_end(state, event, **kwargs)
            self.part += 1

    class Keeper(Parts):
        def on_initialize(self, state: Any, **kwargs: Any) -> bool:
            return True

        def on_sequential_epoch_end(self, state: Any, event: Any, modules: Any, **kwargs: Any) -> None:
            inside = {module for layer in decoder_layers(state.model, layers) for module in layer.modules()}
            mine = {name: module for name, module in state.model.named_modules() if module in inside & set(modules)}
            if self.file.is_file():
                load_part(self.file, mine)
                tell(kept=len(layers & set(mine)))
            elif mine:
                save_part(self.file, mine)
            self.part += 1

    return [ResumableAWQ(), QuantizationModifier(**common), Keeper()]


def recipe_of(job: dict[str, Any], ignored: list[str]) -> list[Any]:
    """The modifiers, in order."""
    from llmcompressor.modifiers.quantization import QuantizationModifier

    common: dict[str, Any] = {"config_groups": groups_of(job), "ignore": ignored}
    if job["method"] == "gptq":
        return [resumable_gptq()(**common, dampening_frac=job["dampening"], done=job["done"])]
    if job["method"] == "awq":
        return resumable_awq(job["done"], wanted_layers(job), common)
    recipe: list[Any] = [QuantizationModifier(**common)]
    if job["method"] == "int8" and job["smoothing"] > 0:
        from llmcompressor.modifiers.transform.smoothquant import SmoothQuantModifier

        recipe.insert(0, SmoothQuantModifier(smoothing_strength=job["smoothing"]))
    return recipe


def wanted_layers(job: dict[str, Any]) -> set[str]:
    """Full names of the layers that get quantized."""
    return {name for group in job["groups"] for name in group["layers"]}


def groups_of(job: dict[str, Any]) -> dict[str, Any]:
    """How each group of layers is rounded; a single one is all linear layers that are not ignored."""
    from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme

    found = {}
    for number, group in enumerate(job["groups"]):
        parts = {name: QuantizationArgs(**values) for name, values in group["scheme"].items()}
        targets = ["Linear"] if len(job["groups"]) == 1 else group["layers"]
        found[f"group_{number}"] = QuantizationScheme(targets=targets, **parts)
    return found


def decoder_layers(model: torch.nn.Module, wanted: set[str]) -> list[torch.nn.Module]:
    """Those that the layers which get quantized lie in; towers have none."""
    names = (re.match(r"(.+?\.\d+)\.", name) for name in sorted(wanted))
    return [model.get_submodule(name) for name in dict.fromkeys(match[1] for match in names if match is not None)]


def watch(layers: list[torch.nn.Module]) -> None:
    """Tell each time that a further decoder layer is reached."""
    reached: set[int] = set()

    def note(number: int) -> None:
        if number not in reached:
            reached.add(number)
            tell(done=len(reached), total=len(layers))

    for number, layer in enumerate(layers):
        layer.register_forward_pre_hook(lambda *_, number=number: note(number))


def loaded(job: dict[str, Any]) -> Any:
    """The model, in the type that it is stored in."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(job["source"], local_files_only=True)
    names = config.architectures or []
    kind = next((found for name in names if (found := getattr(transformers, name, None)) is not None), None)
    if kind is None:
        raise ValueError(f"transformers {transformers.__version__} does not know {', '.join(names) or 'this model'}")
    model = kind.from_pretrained(job["source"], dtype="auto", local_files_only=True)
    return model.to(job["device"]).eval()


def packed(model: torch.nn.Module, stored: dict[str, torch.dtype]) -> None:
    """Round and pack the layers in the type that was computed in, and only then take back the types of the files.

    Whole numbers are found by dividing by scales: in bfloat16 those of 8 bits would be wrong by as much as one.

    Args:
        stored: Types of the parameters as they were read; scales get that of their layer's weights.
    """
    from compressed_tensors import ModelCompressor

    ModelCompressor.from_pretrained_model(model).compress_model(model)
    for name, value in model.named_parameters():
        kind = stored.get(name) or stored.get(f"{name.rpartition('.')[0]}.weight")
        if kind is not None and value.dtype == torch.float32:
            value.data = value.data.to(kind)


def compress(job: dict[str, Any]) -> None:
    """Do the job."""
    import transformers
    from llmcompressor import oneshot

    model = loaded(job)
    wanted = wanted_layers(job)
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    missing = wanted - set(linear)
    if missing:
        raise ValueError(f"the model has no layer {min(missing)} here")
    watch(decoder_layers(model, wanted))
    stored = {name: value.dtype for name, value in model.named_parameters()}
    # Many CPUs are many times slower in 16 bits than in 32, and what is summed up of the rows is finer in 32.
    wide = bool(job["rows"]) and job["device"] == "cpu"
    if wide:
        model.float()
    rows = rows_of(job, model)
    options: dict[str, Any] = {}
    if rows:
        # It insists on one with rows, makes no use of it, and its own choice may need libraries that are not here.
        options["processor"] = transformers.AutoTokenizer.from_pretrained(job["source"], local_files_only=True)
        options["dataset"] = torch.utils.data.DataLoader(rows, batch_size=None)
        options["num_calibration_samples"] = len(rows)
        options["sequential_targets"] = sorted({type(layer).__name__ for layer in decoder_layers(model, wanted)})
    ignored = [name for name in linear if name not in wanted]
    recipe = recipe_of(job, ignored)
    with _Unpinned() if job["method"] == "awq" else contextlib.nullcontext():
        oneshot(model=model, recipe=recipe, **options)
    if wide:
        packed(model, stored)
    model.save_pretrained(job["target"], save_compressed=True, max_shard_size=job["shard"])
    shifted = any(not group["scheme"]["weights"]["symmetric"] for group in job["groups"])
    finish_config(ignored, Path(job["target"]) / "config.json", shifted=shifted)


def finish_config(ignored: list[str], file: Path, *, shifted: bool) -> None:
    """Say in config.json what transformers needs to know to read the folder.

    Args:
        ignored: Layers that stay as they are, by the model's own names. Those that llm-compressor writes are the
            weights' in the file; in multimodal models the two differ, and transformers goes by the model's.
        file: The config.json.
        shifted: Whether scales have zero points. transformers makes room for them unpacked, and then fails on the
            packed ones; told to unpack the weights while it reads them, and not at the first use, it gets both right.
    """
    values = json.loads(file.read_text(encoding="utf-8"))
    quantization = values["quantization_config"]
    quantization["ignore"] += [name for name in ignored if name not in quantization["ignore"]]
    if shifted:
        quantization["dequantize"] = True
    file.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def versions() -> Iterator[tuple[str, str]]:
    """What did the work."""
    for name in ("llmcompressor", "compressed-tensors", "transformers", "torch"):
        yield name, importlib.metadata.version(name)


def main(words: list[str]) -> int:
    """Run the job file; 1 where it failed, with the reason told."""
    with open(words[0], encoding="utf-8") as file:
        job = json.load(file)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # whatever libraries print: ours are the lines of `tell`
            compress(job)
    except Exception as error:  # whatever it is, who has started this is to be told in a line
        tell(error=f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
        raise
    tell(versions=dict(versions()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
