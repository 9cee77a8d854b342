"""Rules about weights in few bits: options of one method, and what can be trained on top of it."""

from __future__ import annotations

from collections.abc import Iterator

from swift.config.export import AwqConfig, ExportConfig, GptqConfig, Int8Config
from swift.config.problems import Problem
from swift.config.quantization import BnbConfig, HqqConfig, NoQuantization, QuantizationConfig, TorchaoConfig
from swift.config.runs import InferConfig
from swift.config.sft import SftConfig
from swift.config.tuner import AdapterConfig, LoraConfig

_PLAIN_STARTS = ("true", "false", "gaussian", "orthogonal")
"""Initialisations of LoRA that leave the base weights as they are; others would have to write into quantized ones."""
_MAKING_UP = ("loftq", "qera")
"""Those that are for quantized weights."""


def training(config: SftConfig) -> Iterator[Problem]:
    """Rules of sft, pt, check and plan."""
    tuner, quantization = config.tuner, config.model.quantization
    yield from _method(quantization)
    quantized = not isinstance(quantization, NoQuantization)
    if quantized:
        method = f"--quant_method {quantization.type}"
        if isinstance(quantization, TorchaoConfig) and quantization.scheme == "int8-dynamic":
            why = "int8-dynamic rounds what goes into a layer, too, and is not proved for training"
            yield Problem("--torchao_scheme", why, "use int or float8, which round weights only")
        if not isinstance(tuner, LoraConfig):
            way = "use --tuner_type lora (with --full_parts for an aligner), or take out --quant_method"
            why = f"{tuner.type} is not proved over the weights of {method}"
            if not isinstance(tuner, AdapterConfig):
                why = f"{tuner.type} trains weights, and those of {method} cannot be trained"
            yield Problem("--tuner_type", why, way)
        elif tuner.init.lower() not in (*_PLAIN_STARTS, *_MAKING_UP):
            why = f"{tuner.init} changes the base weights, and those of {method} cannot be changed"
            yield Problem("--init_weights", why, f"one of {', '.join((*_PLAIN_STARTS, *_MAKING_UP))}")
    elif isinstance(tuner, LoraConfig) and tuner.init.lower() in _MAKING_UP:
        why = f"{tuner.init} makes up for what --quant_method rounds off, and the weights here are plain numbers"
        yield Problem("--init_weights", why, "add --quant_method bnb, or use --init_weights true")
    if config.qat.scheme == "none":
        return
    scheme = config.qat.scheme
    if quantized:
        why = f"{scheme} rounds weights while they are trained, and these are quantized already"
        yield Problem("--qat", why, "take out --qat or --quant_method")
    elif isinstance(tuner, AdapterConfig):
        why = f"{scheme} rounds the weights that are trained, and {tuner.type} trains none of them"
        yield Problem("--qat", why, "use --tuner_type full or freeze; adapters over quantized weights: --quant_method")


def inference(config: InferConfig) -> Iterator[Problem]:
    """Rules of infer."""
    if config.model is None:
        return
    quantization = config.model.quantization
    yield from _method(quantization)
    if config.merge_lora and not isinstance(quantization, NoQuantization):
        why = f"an adapter cannot be merged into weights of --quant_method {quantization.type}"
        yield Problem("--merge_lora", why, "take one of them out")


def export(config: ExportConfig) -> Iterator[Problem]:
    """Rules of export."""
    wanted = config.quantize
    if isinstance(wanted, BnbConfig | HqqConfig | TorchaoConfig):
        yield from _method(wanted)
    if isinstance(wanted, GptqConfig | AwqConfig) and wanted.group_size & (wanted.group_size - 1):
        yield Problem("--group_size", f"{wanted.group_size} is no power of two", "such as 32, 64 or 128")
    if isinstance(wanted, GptqConfig | AwqConfig | Int8Config) and not config.data.train:
        why = f"{wanted.type} looks at rows of yours, and there are none"
        yield Problem("--quant_method", why, "name some with --dataset, or use --quant_method hqq, which needs none")
    if config.to == "peft" and not isinstance(wanted, NoQuantization):
        yield Problem("--quant_method", "--to peft writes an adapter, which is not quantized", "take one of them out")
    elif config.to != "hf" and not isinstance(wanted, NoQuantization):
        why = f"is for folders, and --to {config.to} writes a GGUF file"
        yield Problem("--quant_method", why, "use --gguf_quantize q8_0, q4_k_m and the like")
    if config.to in ("hf", "peft") and config.gguf_type != "none":
        yield Problem("--gguf_quantize", "is for GGUF files", "add --to gguf, or use --quant_method")


def _method(quantization: QuantizationConfig) -> Iterator[Problem]:
    """Options of one method that do not go together."""
    if isinstance(quantization, BnbConfig) and quantization.bits == 8 and quantization.compute_dtype != "auto":
        yield Problem("--bnb_4bit_compute_dtype", "8-bit layers compute in the model's type", "take it out")
    if isinstance(quantization, BnbConfig) and quantization.bits == 4 and quantization.threshold > 0:
        yield Problem("--llm_int8_threshold", "4-bit layers have no threshold", "use --quant_bits 8, or take it out")
    if isinstance(quantization, HqqConfig | TorchaoConfig) and quantization.group_size & (quantization.group_size - 1):
        yield Problem("--group_size", f"{quantization.group_size} is no power of two", "such as 32, 64 or 128")
    elif isinstance(quantization, TorchaoConfig) and quantization.group_size != TorchaoConfig().group_size:
        yield from _ungrouped(quantization)
    if isinstance(quantization, TorchaoConfig) and quantization.scheme != "int" and quantization.bits != 8:
        why = f"--torchao_scheme {quantization.scheme} has its own number of bits"
        yield Problem("--quant_bits", why, "take out one of them")


def _ungrouped(quantization: TorchaoConfig) -> Iterator[Problem]:
    """Groups were asked for where a row shares one scale."""
    if quantization.scheme in ("float8", "int8-dynamic"):
        why = f"--torchao_scheme {quantization.scheme} has no groups"
        yield Problem("--group_size", why, "take it out, or use --torchao_scheme int with --quant_bits 4")
    elif quantization.scheme == "int" and quantization.bits == 8:
        yield Problem("--group_size", "with 8 bits a row shares a scale", "take it out, or add --quant_bits 4")
