"""What all techniques, and all adapters, have in common."""

from typing import Literal

from swift.config.option import Config, option


class PartsConfig(Config):
    """Which parts of a multimodal model are trained. A text model is all language model."""

    type: str = option("", "Name of the technique.")

    freeze_llm: bool = option(False, "Leave the language model as it is.", "freeze_llm")
    freeze_vit: bool = option(True, "Leave the towers of pictures and sound as they are.", "freeze_vit")
    freeze_aligner: bool = option(
        True, "Leave what stands between the towers and the language model as it is.", "freeze_aligner"
    )


class AdapterConfig(PartsConfig):
    """A few new weights beside frozen ones, saved apart from them."""

    modules_to_save: tuple[str, ...] = option(
        (), "Layers trained in full and saved beside the adapter.", "modules_to_save"
    )
    full_parts: tuple[Literal["llm", "vit", "aligner"], ...] = option(
        (), "Parts trained in full and saved beside the adapter, such as an aligner that is new.", "full_parts"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = option(
        "float32",
        "Type of the adapter's weights; they are computed with in the model's type, which those of ln, tokens, prompt, "
        "ptuning and prefix have.",
        "lora_dtype",
    )


class LayerAdapterConfig(AdapterConfig):
    """An adapter that changes single layers."""

    targets: tuple[str, ...] = option(
        ("all-linear",), "all-linear, or names, or name endings of the layers that get an adapter.", "target_modules"
    )
    target_regex: str | None = option(None, "A regular expression over full layer names, instead.", "target_regex")
