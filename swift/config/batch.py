"""How sequences are grouped into batches."""

from swift.config.option import Config, option


class BatchConfig(Config):
    """Batches. Any split of the same rows into batch x accumulation gives the same numbers."""

    size: int = option(
        1, "Sequences in a micro-batch on each device (packs, when packing).", "per_device_train_batch_size", ge=1
    )
    eval_size: int | None = option(None, "The same for evaluation; default: size.", "per_device_eval_batch_size", ge=1)
    accumulation: int | None = option(
        None,
        "Micro-batches to an optimizer step on each device; default: as many as make 16 sequences over all devices.",
        "gradient_accumulation_steps",
        ge=1,
    )
    max_tokens: int | None = option(
        None,
        "Fill micro-batches up to this many tokens instead of a fixed number of sequences.",
        "max_tokens_per_batch",
        ge=1,
    )
    slice_tokens: int | None = option(
        None,
        "Take a micro-batch through the model in slices of whole sequences with at most this many tokens, which "
        "bounds memory and changes no result; 0 takes it whole; default: 512 on the CPU, whole elsewhere.",
        "max_tokens_per_slice",
        ge=0,
    )
    packing: bool = option(False, "Pack several samples into rows of max_length, kept apart.", "packing")
    padding_free: bool | None = option(
        None,
        "No padding tokens in a batch; default: wherever the model is proved to keep samples apart.",
        "padding_free",
    )
    group_by_length: bool = option(
        True, "Put samples of similar length into a batch where padding cannot be avoided.", "group_by_length"
    )
