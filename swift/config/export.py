"""What `swift export` does to a model's weights, and by what the result is proved."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from swift.config.chat import ChatConfig
from swift.config.data import DataConfig
from swift.config.model import ModelConfig
from swift.config.option import Config, option
from swift.config.quantization import BnbConfig, HqqConfig, NoQuantization, QuantizedConfig, TorchaoConfig, one_of
from swift.config.sizes import require_size


class ExportedModelConfig(ModelConfig):
    """The model. What its adapter was trained on, its run knows."""

    quantization: NoQuantization = option(NoQuantization, "Weights are read as plain numbers.")


class _Calibrated(QuantizedConfig):
    """What methods share that look at the model's inputs, and run from the environment `llmcompressor`."""

    samples: int = option(
        128,
        "Rows of --dataset, rendered by the model's own template, that the method looks at.",
        "quant_n_samples",
        ge=1,
    )


class _Grouped(_Calibrated):
    """Weights in groups that share a scale."""

    group_size: int = option(128, "Weights that share a scale.", "group_size", ge=8)
    symmetric: bool | None = option(
        None,
        "Scales without zero points, for servers that do not read them; groups err more. Default: false, but true "
        "in mixtures of experts and where --bits_rule gives layers 4 and 8 bits: transformers reads none there.",
        "quant_symmetric",
    )
    scales: Literal["mse", "minmax"] = option(
        "mse",
        "How a group's scale is found: mse tries smaller ones and takes the one that errs least; minmax fits the "
        "largest weight, which is faster.",
        "quant_scales",
    )
    bits_rule: tuple[str, ...] = option(
        (),
        "Other bits for some layers: PART=BITS, such as layers.0-1=8 down_proj=8; the last that matches counts, and "
        "16 leaves a layer as it is.",
        "bits_rule",
    )


class GptqConfig(_Grouped):
    """GPTQ: weights in groups, each column's rounding made up for by the next (arXiv 2210.17323)."""

    type: Literal["gptq"] = "gptq"
    bits: int = option(4, "Bits of a weight: 4 or 8.", "quant_bits")
    dampening: float = option(0.01, "Share of the Hessian's mean added to its diagonal.", "quant_dampening", gt=0)

    _bits = field_validator("bits")(lambda value: one_of(value, 4, 8))


class AwqConfig(_Grouped):
    """AWQ: 4 bits, where channels that matter are scaled up before rounding (arXiv 2306.00978)."""

    type: Literal["awq"] = "awq"
    bits: int = option(4, "Bits of a weight: 4.", "quant_bits")

    _bits = field_validator("bits")(lambda value: one_of(value, 4))


class Int8Config(_Calibrated):
    """INT8: weights and inputs in 8 bits, outliers moved into weights first (SmoothQuant, arXiv 2211.10438)."""

    type: Literal["int8"] = "int8"
    bits: int = option(8, "Bits of a weight and of an input: 8.", "quant_bits")
    smoothing: float = option(
        0.5, "How much of an outlier moves into the weights: 0 for none.", "quant_smoothing", ge=0, le=1
    )

    _bits = field_validator("bits")(lambda value: one_of(value, 8))


class Fp8Config(QuantizedConfig):
    """FP8: weights and inputs in 8-bit floating point; inputs get their scale when they come, so no rows are needed."""

    type: Literal["fp8"] = "fp8"
    bits: int = option(8, "Bits of a weight: 8.", "quant_bits")
    blocks: bool = option(False, "A scale for each 128 x 128 weights, not for each row.", "fp8_blocks")

    _bits = field_validator("bits")(lambda value: one_of(value, 8))


class Fp4Config(QuantizedConfig):
    """FP4: weights in 4-bit floating point, 16 (NVFP4) or 32 (MXFP4) to a scale; inputs stay in 16 bits."""

    type: Literal["fp4"] = "fp4"
    bits: int = option(4, "Bits of a weight: 4.", "quant_bits")
    layout: Literal["nvfp4", "mxfp4"] = option("nvfp4", "Whose groups and scales.", "fp4_layout")

    _bits = field_validator("bits")(lambda value: one_of(value, 4))


CalibratedConfig = GptqConfig | AwqConfig | Int8Config
"""Methods that look at rows."""

CompressorConfig = GptqConfig | AwqConfig | Int8Config | Fp8Config | Fp4Config
"""Methods of llm-compressor, which runs in an environment of its own."""

ExportQuantization = Annotated[
    NoQuantization
    | BnbConfig
    | HqqConfig
    | TorchaoConfig
    | GptqConfig
    | AwqConfig
    | Int8Config
    | Fp8Config
    | Fp4Config,
    Field(discriminator="type"),
]
"""Chosen by `quantize.type` (flag `--quant_method`)."""

GgufType = Literal["none", "q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k"]


class CertificateConfig(Config):
    """The proof: what is exported and what it was made of, on rows that neither has seen."""

    enabled: bool = option(
        True, "Measure the result against its source, and fail where it is something else.", "certificate"
    )
    max_kl: float | None = option(
        None,
        "Largest mean KL divergence of next tokens from the source, in nats; default: what rounding to its type "
        "explains, and 0.5 for fewer bits.",
        "max_kl",
        ge=0,
    )
    min_stop: float = option(
        0.01,
        "Smallest mean probability of the stop token where an answer ends. 0 lets a model pass that was never taught "
        "to stop.",
        "min_stop_probability",
        ge=0,
        le=1,
    )
    rows: int = option(32, "Held-out rows that are looked at.", "certificate_rows", ge=1)
    positions: int = option(1024, "Tokens of them whose predictions are compared.", "certificate_tokens", ge=1)
    answers: int = option(8, "Prompts of them that are answered.", "certificate_answers", ge=0)
    new_tokens: int = option(64, "Longest of those answers, in tokens.", "certificate_new_tokens", ge=1)


class ExportConfig(Config):
    """`swift export`: turn a checkpoint into something that others load."""

    model: ExportedModelConfig | None = option(None, "The model; default: what the adapter was trained on.")
    adapters: tuple[str, ...] = option((), "Adapter folders or run folders.", "adapters")
    merge_lora: bool = option(False, "Merge the adapter into the weights.", "merge_lora")
    in_pieces: bool = option(
        False,
        "Merge a file of weights at a time, for models larger than memory. LoRA, in layers that the files name. The "
        "certificate needs the whole model: --certificate false.",
        "merge_in_pieces",
    )
    to: Literal["hf", "peft", "gguf", "ollama"] = option(
        "hf",
        "hf: a folder for transformers and vLLM. peft: the adapter by itself, for PEFT and vLLM. gguf: a file for "
        "llama.cpp. ollama: that file, and a Modelfile.",
        "to",
    )
    gguf_type: GgufType = option("none", "In how few bits the weights are written into the GGUF file.", "gguf_quantize")
    quantize: ExportQuantization = option(NoQuantization, "In how few bits weights are written.", "quant_method")
    data: DataConfig = option(DataConfig, "data.train calibrates; data.validation is held out, for the certificate.")
    chat: ChatConfig = option(ChatConfig, "Rendering of those rows.")
    certificate: CertificateConfig = option(CertificateConfig, "The proof.")
    certify: str | None = option(
        None, "Write nothing: measure this folder or GGUF file, which was made of the model elsewhere.", "certify"
    )
    output_dir: str | None = option(None, "Where it goes; default: the checkpoint's name with -merged.", "output_dir")
    max_shard_size: str = option("5GB", "Largest weights file.", "max_shard_size")
    overwrite: bool = option(False, "Replace an existing folder.", "exist_ok", "overwrite_output_dir")
    environment_dir: str | None = option(
        None, "Folder of environments, as in `swift env add --dir`; default: in the cache.", "env_dir"
    )
    push_to: str | None = option(
        None, "Upload the result to this hub id: OWNER/NAME, or ms://OWNER/NAME on ModelScope.", "hub_model_id"
    )
    push_to_hub: bool = option(False, "Upload the result to the hub.", "push_to_hub")
    publish: str | None = option(
        None, "Write nothing: upload this folder, which swift export has written, or go on with it.", "publish"
    )
    dry_run: bool = option(
        False,
        "Upload nothing: print the files, their sizes and the card that would go. Needs no network.",
        "dry_run",
    )
    hub_revision: str | None = option(None, "Branch that is uploaded to; default: the main one.", "hub_revision")
    private: bool = option(False, "Make the hub repository private.", "hub_private_repo")
    commit_message: str = option("Upload model", "Message of the upload.", "commit_message")
    licence: str | None = option(
        None, "Licence of the base model for the card; default: what the model's README.md states.", "license"
    )

    _shard = field_validator("max_shard_size")(require_size)


def is_gguf(config: ExportConfig) -> bool:
    """Whether a GGUF file is written."""
    return config.to in ("gguf", "ollama")


def plain(config: ExportConfig) -> bool:
    """Whether weights are written in 16 or 32 bits."""
    return isinstance(config.quantize, NoQuantization) and config.gguf_type == "none"


def method_name(config: Any) -> str:
    """The value of `quantize.type`."""
    return str(config.type)
