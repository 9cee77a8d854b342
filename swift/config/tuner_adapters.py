"""Adapters through PEFT, one class a technique; `peft` is any other that the installed version offers."""

from typing import Any, Literal

from swift.config.option import option
from swift.config.tuner_base import AdapterConfig, LayerAdapterConfig


class LoraConfig(LayerAdapterConfig):
    """Low-rank adapters (arXiv 2106.09685) through PEFT, with its variants."""

    type: Literal["lora"] = "lora"
    rank: int = option(8, "Rank of the update.", "lora_rank", ge=1)
    alpha: float = option(32.0, "The update is scaled by alpha / rank.", "lora_alpha", gt=0)
    dropout: float = option(0.0, "Dropout on the adapter's input.", "lora_dropout", ge=0.0, lt=1.0)
    target_parameters: tuple[str, ...] = option(
        (),
        "Name endings of parameters that get an adapter without being a layer, as fused experts.",
        "target_parameters",
    )
    bias: Literal["none", "all", "lora_only"] = option("none", "Which biases are trained.", "lora_bias")
    rslora: bool = option(False, "Scale by alpha / sqrt(rank) (arXiv 2312.03732).", "use_rslora")
    dora: bool = option(False, "Weight-decomposed adapters (arXiv 2402.09353).", "use_dora")
    init: str = option(
        "true",
        "true (Kaiming, zero), gaussian, pissa, pissa_niter_N, olora, orthogonal, mica or false; loftq and qera over "
        "quantized weights; eva, corda, lora_ga and qera look at training rows.",
        "init_weights",
    )
    init_rows: int = option(32, "Training rows that eva, corda, lora_ga and qera look at.", "init_rows", ge=1)


class LongLoraConfig(LoraConfig):
    """LoRA with attention within shifted groups while training (arXiv 2309.12307); plain LoRA afterwards."""

    type: Literal["longlora"] = "longlora"  # type: ignore[assignment]
    group_ratio: float = option(
        0.25, "Length of a group as a share of the sample.", "longlora_group_size_ratio", gt=0.0, le=1.0
    )


class AdaLoraConfig(LayerAdapterConfig):
    """LoRA whose ranks are given to the layers that need them (arXiv 2303.10512)."""

    type: Literal["adalora"] = "adalora"
    init_r: int = option(12, "Rank at the start.", "adalora_init_r", ge=1)
    target_r: int = option(8, "Average rank at the end.", "adalora_target_r", ge=1)
    alpha: float = option(32.0, "The update is scaled by alpha / rank.", "lora_alpha", gt=0)
    dropout: float = option(0.0, "Dropout on the adapter's input.", "lora_dropout", ge=0.0, lt=1.0)
    tinit: int = option(0, "Steps before ranks are taken away.", "adalora_tinit", ge=0)
    tfinal: int = option(0, "Last steps, in which ranks stay as they are.", "adalora_tfinal", ge=0)
    delta_t: int = option(1, "Steps between changes of the ranks.", "adalora_deltaT", ge=1)
    beta1: float = option(0.85, "Decay of the averaged sensitivity.", "adalora_beta1", gt=0, lt=1)
    beta2: float = option(0.85, "Decay of its uncertainty.", "adalora_beta2", gt=0, lt=1)
    orth_reg_weight: float = option(
        0.5, "Weight of the loss that keeps the factors orthogonal.", "adalora_orth_reg_weight", gt=0
    )


class Ia3Config(LayerAdapterConfig):
    """A learned scale on keys, values and the feed-forward network's inner activations (arXiv 2205.05638)."""

    type: Literal["ia3"] = "ia3"


class VeraConfig(LayerAdapterConfig):
    """Learned scales around random matrices that all layers share (arXiv 2310.11454)."""

    type: Literal["vera"] = "vera"
    rank: int = option(256, "Rank of the shared matrices.", "vera_rank", ge=1)
    dropout: float = option(0.0, "Dropout on the adapter's input.", "vera_dropout", ge=0.0, lt=1.0)
    d_initial: float = option(0.1, "Where one of the scales begins.", "vera_d_initial")
    projection_prng_key: int = option(0, "Seed of the shared matrices.", "vera_projection_prng_key", ge=0)


class BoftConfig(LayerAdapterConfig):
    """The weights turned by butterfly-factored orthogonal matrices (arXiv 2311.06243)."""

    type: Literal["boft"] = "boft"
    block_size: int = option(4, "Size of a block; 0 where block_num is set.", "boft_block_size", ge=0)
    block_num: int = option(0, "Number of blocks; 0 where block_size is set.", "boft_block_num", ge=0)
    n_butterfly_factor: int = option(1, "Number of butterfly factors.", "boft_n_butterfly_factor", ge=1)
    dropout: float = option(0.0, "Share of blocks that are left out in training.", "boft_dropout", ge=0.0, lt=1.0)


class OftConfig(LayerAdapterConfig):
    """The weights turned by block-diagonal orthogonal matrices (arXiv 2306.07280)."""

    type: Literal["oft"] = "oft"
    rank: int = option(0, "Number of blocks; 0 where block_size is set.", "oft_rank", ge=0)
    block_size: int = option(32, "Size of a block; 0 where the rank is set.", "oft_block_size", ge=0)
    module_dropout: float = option(0.0, "Share of blocks that are left out in training.", "module_dropout", ge=0, lt=1)
    coft: bool = option(False, "Keep the turn within eps.", "oft_coft")
    eps: float = option(6e-5, "How far a constrained turn may go.", "oft_eps", gt=0)


class FourierFtConfig(LayerAdapterConfig):
    """A few learned frequencies of the update's spectrum (arXiv 2405.03003)."""

    type: Literal["fourierft"] = "fourierft"
    n_frequency: int = option(2000, "Learned frequencies of a layer.", "fourier_n_frequency", ge=1)
    scaling: float = option(300.0, "The update is scaled by this.", "fourier_scaling", gt=0)


class LohaConfig(LayerAdapterConfig):
    """The elementwise product of two low-rank matrices (arXiv 2108.06098)."""

    type: Literal["loha"] = "loha"
    rank: int = option(8, "Rank of both.", "loha_rank", ge=1)
    alpha: float = option(8.0, "The update is scaled by alpha / rank.", "loha_alpha", gt=0)
    rank_dropout: float = option(0.0, "Share of rows that are left out in training.", "rank_dropout", ge=0, lt=1)
    module_dropout: float = option(0.0, "Share of layers that are left out in training.", "module_dropout", ge=0, lt=1)


class LokrConfig(LayerAdapterConfig):
    """The Kronecker product of a small and a low-rank matrix (arXiv 2309.14859)."""

    type: Literal["lokr"] = "lokr"
    rank: int = option(8, "Rank.", "lokr_rank", ge=1)
    alpha: float = option(8.0, "The update is scaled by alpha / rank.", "lokr_alpha", gt=0)
    rank_dropout: float = option(0.0, "Share of rows that are left out in training.", "rank_dropout", ge=0, lt=1)
    module_dropout: float = option(0.0, "Share of layers that are left out in training.", "module_dropout", ge=0, lt=1)
    decompose_both: bool = option(False, "Make both matrices low-rank.", "lokr_decompose_both")
    decompose_factor: int = option(-1, "Size of the small matrix; -1 chooses it.", "lokr_decompose_factor", ge=-1)


class MissConfig(LayerAdapterConfig):
    """One small matrix for each layer, repeated along its inputs; formerly called Bone (arXiv 2409.15371)."""

    type: Literal["miss"] = "miss"
    rank: int = option(64, "Rows of the small matrix.", "miss_rank", ge=1)
    mini_r: int = option(1, "Of the variant mini: repetitions along the outputs.", "miss_mini_r", ge=1)
    dropout: float = option(0.0, "Dropout on the adapter's input.", "miss_dropout", ge=0.0, lt=1.0)
    init: Literal["true", "bat", "mini"] = option("true", "Variant: true is the plain one.", "init_weights")


class NormConfig(AdapterConfig):
    """The weights of the norms alone (arXiv 2312.11420)."""

    type: Literal["ln"] = "ln"


class TokensConfig(AdapterConfig):
    """Embeddings of single tokens alone."""

    type: Literal["tokens"] = "tokens"
    token_ids: tuple[int, ...] = option((), "Their ids.", "trainable_token_ids")


class PromptConfig(AdapterConfig):
    """Learned embeddings in front of the input (arXiv 2104.08691)."""

    type: Literal["prompt"] = "prompt"
    num_virtual_tokens: int = option(20, "Number of learned embeddings.", "num_virtual_tokens", ge=1)


class PTuningConfig(AdapterConfig):
    """Learned embeddings in front of the input, made by a small network (arXiv 2103.10385)."""

    type: Literal["ptuning"] = "ptuning"
    num_virtual_tokens: int = option(20, "Number of learned embeddings.", "num_virtual_tokens", ge=1)
    encoder: Literal["mlp", "lstm"] = option("mlp", "Kind of the network.", "ptuning_encoder")
    hidden_size: int | None = option(None, "Its width; default: the model's.", "prompt_hidden_size", ge=1)
    layers: int = option(2, "Layers of an LSTM.", "ptuning_layers", ge=1)
    dropout: float = option(0.0, "Dropout of an LSTM.", "ptuning_dropout", ge=0.0, lt=1.0)


class PrefixConfig(AdapterConfig):
    """Learned keys and values in front of each layer's own (arXiv 2101.00190)."""

    type: Literal["prefix"] = "prefix"
    num_virtual_tokens: int = option(20, "Number of learned positions.", "num_virtual_tokens", ge=1)
    projection: bool = option(False, "Make them by a small network.", "prefix_projection")
    hidden_size: int | None = option(None, "Its width; default: the model's.", "prompt_hidden_size", ge=1)


class PeftConfig(LayerAdapterConfig):
    """Any technique of the installed PEFT, by its name there, with its own options."""

    type: Literal["peft"] = "peft"
    method: str = option("", "PEFT's name of the technique, such as randlora, road or vblora.", "peft_method")
    options: dict[str, Any] = option({}, "Fields of PEFT's configuration of it, as JSON.", "peft_options")
