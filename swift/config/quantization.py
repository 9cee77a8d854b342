"""In how few bits the model's weights are held while it is tuned or used: a tagged union, one class a library."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from swift.config.option import Config, option


class NoQuantization(Config):
    """Weights in 16 or 32 bits, or as the checkpoint holds them."""

    type: Literal["none"] = option("none", "The only way to hold them here.")


class QuantizedConfig(Config):
    """What every library's options share."""

    type: str
    modules_to_not_convert: tuple[str, ...] = option(
        (),
        "Names, or parts of names, of layers that stay as they are. The output head, the embeddings, and of a "
        "multimodal model all but the language model do anyway.",
        "modules_to_not_convert",
        "llm_int8_skip_modules",
    )


class BnbConfig(QuantizedConfig):
    """bitsandbytes: blocks of 4 bits (QLoRA, arXiv 2305.14314), or rows of 8 (LLM.int8, arXiv 2208.07339)."""

    type: Literal["bnb"] = "bnb"
    bits: int = option(4, "Bits of a weight: 4 or 8.", "quant_bits")
    quant_type: Literal["nf4", "fp4"] = option(
        "nf4",
        "The 16 values of 4 bits: those of a normal distribution, or of a floating-point number.",
        "bnb_4bit_quant_type",
    )
    double_quant: bool = option(
        True, "With 4 bits, hold the scales of the blocks in 8 bits, too.", "bnb_4bit_use_double_quant"
    )
    compute_dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto", "Type in which 4-bit layers compute; auto is that of the model.", "bnb_4bit_compute_dtype"
    )
    storage: Literal["uint8", "bfloat16", "float16", "float32"] = option(
        "uint8", "Type of the tensors that the 4-bit values are packed into.", "bnb_4bit_quant_storage"
    )
    threshold: float = option(
        0.0,
        "With 8 bits: inputs above this are computed in 16 bits. 0 has none: a sample's result then does not "
        "depend on those beside it in the batch.",
        "llm_int8_threshold",
        ge=0,
    )

    _bits = field_validator("bits")(lambda value: one_of(value, 4, 8))


class HqqConfig(QuantizedConfig):
    """HQQ: groups of 1 to 8 bits, fitted to the weights without data (mobiusml.github.io/hqq_blog)."""

    type: Literal["hqq"] = "hqq"
    bits: int = option(4, "Bits of a weight: 1, 2, 3, 4 or 8.", "quant_bits")
    group_size: int = option(64, "Weights that share a scale and a zero point.", "group_size", "hqq_group_size", ge=8)
    axis: int = option(1, "Dimension along which groups lie: 0 or 1.", "hqq_axis")

    _bits = field_validator("bits")(lambda value: one_of(value, 1, 2, 3, 4, 8))
    _axis = field_validator("axis")(lambda value: one_of(value, 0, 1))


class TorchaoConfig(QuantizedConfig):
    """torchao: weights in whole numbers of 1 to 8 bits, in packed 4 bits, or in 8-bit floating point."""

    type: Literal["torchao"] = "torchao"
    scheme: Literal["int", "int4-packed", "float8", "int8-dynamic"] = option(
        "int",
        "int: whole numbers of quant_bits bits, a byte each; int4-packed: two to a byte, CUDA only; float8: "
        "floating point; int8-dynamic: inputs in 8 bits, too, not for training.",
        "torchao_scheme",
    )
    bits: int = option(8, "Bits of a weight of scheme int: 1 to 8.", "quant_bits", ge=1, le=8)
    group_size: int = option(
        32, "Weights that share a scale, with less than 8 bits; with 8 bits a row does.", "group_size", ge=8
    )


QuantizationConfig = Annotated[NoQuantization | BnbConfig | HqqConfig | TorchaoConfig, Field(discriminator="type")]
"""Chosen by `model.quantization.type` (flag `--quant_method`)."""


class QatConfig(Config):
    """Quantization-aware training with torchao: weights are rounded in the forward pass and trained in full."""

    scheme: Literal["none", "int4-weight", "int8-weight", "int8-dynamic-int4-weight"] = option(
        "none",
        "What the forward pass rounds: the weights, and with int8-dynamic-... each token's input of a layer, too. "
        "Checkpoints hold plain weights.",
        "qat",
        "qat_scheme",
    )
    group_size: int = option(32, "Weights of 4 bits that share a scale.", "qat_group_size", ge=8)


def no_quantization() -> Any:
    """Weights as they are."""
    return NoQuantization()


def one_of(value: int, *allowed: int) -> int:
    """The value, which must be one of these.

    Raises:
        ValueError: It is not.
    """
    if value not in allowed:
        raise ValueError(f"{value} is not one of {', '.join(map(str, allowed))}")
    return value
