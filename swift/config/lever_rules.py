"""Rules about what saves memory and time: what compiled layers go with."""

from __future__ import annotations

from collections.abc import Iterator

from swift.config.problems import Problem
from swift.config.quantization import NoQuantization
from swift.config.sft import SftConfig
from swift.config.tuner import FreezeConfig, FullConfig, LlamaProConfig, LongLoraConfig, LoraConfig

_COMPILED = (LoraConfig, FullConfig, FreezeConfig, LlamaProConfig)
"""Tuners that are proved to train the same over compiled layers."""


def training(config: SftConfig) -> Iterator[Problem]:
    """Rules of sft, pt, check and plan."""
    if not config.loop.compile_blocks:
        return
    flag, way_out = "--torch_compile", "take one of them out"
    tuner, quantization = config.tuner, config.model.quantization
    if not isinstance(tuner, _COMPILED) or isinstance(tuner, LongLoraConfig):
        yield Problem(flag, f"is not proved with --tuner_type {tuner.type}", "use lora, full, freeze or llamapro")
    if not isinstance(quantization, NoQuantization):
        yield Problem(flag, f"is not proved over the layers of --quant_method {quantization.type}", way_out)
    if config.qat.scheme != "none":
        yield Problem(flag, f"is not proved over the rounding of --qat {config.qat.scheme}", way_out)
