"""All of an export that is decided before weights are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.config.chat import ChatConfig
from swift.config.export import AwqConfig, CalibratedConfig, ExportConfig, GptqConfig, is_gguf
from swift.config.quantization import NoQuantization, QuantizedConfig
from swift.engines import llamacpp
from swift.engines.folders import Plan
from swift.engines.merged import text_side
from swift.environments.store import home, require
from swift.errors import ConfigError
from swift.exporting.merge import require_plain, stored_type, wanted_type
from swift.exporting.quantize.bits import WHOLE, bits_of, is_symmetric
from swift.exporting.quantize.method import Method, methods
from swift.exporting.rows import ExportRows, capped, export_rows
from swift.hub import Located
from swift.hub.located import say
from swift.models.load import load_config, resolve_device
from swift.models.locate import locate_model
from swift.models.quantize.layers import sizes
from swift.models.quantize.method import layers_to_quantize, skeleton
from swift.models.structure import has_experts


@dataclass(frozen=True, slots=True)
class Quantized:
    """What gets fewer bits.

    Attributes:
        method: How.
        layers: Full names of the layers.
        bits: Of each of them, where the method leaves a choice.
        symmetric: Whether their scales have no zero points.
    """

    method: Method
    layers: tuple[str, ...]
    bits: Mapping[str, int]
    symmetric: bool


@dataclass(frozen=True, slots=True)
class Job:
    """An export.

    Attributes:
        config: What is wanted.
        plan: The model and its adapters.
        located: Its files.
        text: How its text becomes tokens; None where no row is looked at.
        chat: How rows are rendered.
        rows: What calibrates, and what is measured by.
        device: Where work is done.
        dtype: Type of the weights that stay as they are.
        quantized: What gets fewer bits; None where weights stay plain, or a GGUF file is wanted.
        environments: The folder of environments.
    """

    config: ExportConfig
    plan: Plan
    located: Located
    text: Codec | None
    chat: ChatConfig
    rows: ExportRows
    device: torch.device
    dtype: torch.dtype
    quantized: Quantized | None
    environments: Path

    @property
    def codec(self) -> Codec:
        """How its text becomes tokens, where rows are looked at."""
        assert self.text is not None
        return self.text


def prepare(config: ExportConfig, plan: Plan) -> Job:
    """Find out whether it can be done, and with what.

    Raises:
        SwiftError: It cannot: a library or environment is missing, the device is not one that a method runs on, weights
            are quantized already, no row can be used.
    """
    device = resolve_device(plan.model.device)
    environments = home(config.environment_dir)
    located = locate_model(plan.model)
    require_plain(plan, located)
    wanted = config.quantize
    quantized = None
    if not isinstance(wanted, NoQuantization):
        method = methods.get(wanted.type)
        method.require(wanted, device, environments)
        quantized = _quantized(method, wanted, plan, located)
    if is_gguf(config):
        require(llamacpp.ENVIRONMENT, environments)
    chat = capped(plan.chat)
    calibrate = wanted.samples if isinstance(wanted, CalibratedConfig) else 0
    measure = config.certificate.rows if config.certificate.enabled else 0
    text, rows = None, ExportRows((), (), own=False)
    if calibrate or measure or config.to == "ollama":
        text = text_side(plan).codec
        rows = export_rows(config.data, chat, text, calibrate=calibrate, measure=measure)
    dtype = wanted_type(config.model) or stored_type(plan)
    return Job(config, plan, located, text, chat, rows, device, dtype, quantized, environments)


def _quantized(method: Method, wanted: QuantizedConfig, plan: Plan, located: Located) -> Quantized:
    """What gets fewer bits; says how much of the model that is.

    Raises:
        SwiftError: It is nothing, or not what the method can do.
    """
    trust = plan.model.trust_remote_code
    bare = skeleton(load_config(located, trust_remote_code=trust), trust_remote_code=trust)
    layers = tuple(layers_to_quantize(bare, wanted))
    bits: dict[str, int] = {}
    symmetric = True
    if isinstance(wanted, GptqConfig | AwqConfig):
        every = bits_of(wanted.bits_rule, layers, wanted.bits, (4, 8))
        bits = {name: count for name, count in every.items() if count != WHOLE}
        layers = tuple(bits)
        if not layers:
            raise ConfigError("--bits_rule leaves every layer as it is", hint="take it out, or name less in it")
        symmetric = is_symmetric(wanted.symmetric, bits.values(), experts=has_experts(bare))
    _require_groups(bare, layers, method.groups(wanted))
    share = sum(bare.get_parameter(f"{name}.weight").numel() for name in layers) / bare.num_parameters()
    say(f"{wanted.type}: {len(layers)} linear layers, {share:.0%} of the weights; the others stay as they are")
    return Quantized(method, layers, bits, symmetric)


def _require_groups(model: PreTrainedModel, layers: Iterable[str], size: int) -> None:
    """Make sure that rows of weights can be cut into groups.

    Raises:
        ConfigError: They cannot; the layer is named.
    """
    for name in layers:
        inputs, _ = sizes(model.get_submodule(name))
        if inputs % size:
            raise ConfigError(
                f"groups of {size} do not divide the {inputs} inputs of {name}",
                hint="a smaller --group_size, or name the layer in --modules_to_not_convert",
            )
