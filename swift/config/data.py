"""Which rows, from where, in which order."""

from typing import Any, Literal

from pydantic import model_validator

from swift.config.option import Config, option


class DataConfig(Config):
    """The rows."""

    train: tuple[str, ...] = option(
        (),
        "Training data: file, folder, glob, hub id or built-in name, each with optional :subset/split and #rows, "
        "such as alpaca.jsonl#500 or hf::org/name:en/train#2000.",
        "dataset",
    )
    hub: Literal["auto", "hf", "ms"] = option(
        "auto", "Where a bare hub id is looked up: hf, ms, or auto (Hugging Face first).", "dataset_hub"
    )
    validation: tuple[str, ...] = option((), "Validation data, in the same form.", "val_dataset")
    split_ratio: float = option(
        0.0, "Share of the training rows set aside for validation.", "split_dataset_ratio", ge=0.0, lt=1.0
    )
    columns: dict[str, str] = option(
        dict, 'Your column names to ours, such as {"question": "query", "reply": "response"}.', "columns"
    )
    mix: Literal["concatenate", "interleave"] = option("concatenate", "How several training sets become one.", "mix")
    weights: tuple[float, ...] | None = option(
        None,
        "Probability of each training set when interleaving; setting it implies mix: interleave.",
        "interleave_prob",
    )
    stopping: Literal["first_exhausted", "all_exhausted"] = option(
        "first_exhausted", "When interleaving ends.", "stopping_strategy"
    )
    shuffle: bool = option(
        True, "Shuffle the training rows, anew each epoch.", "dataset_shuffle", "train_dataloader_shuffle"
    )
    seed: int = option(42, "Seed of sampling, splitting and shuffling.", "data_seed")
    streaming: bool = option(
        False, "Never hold or count all rows: for data larger than memory. Needs max_steps.", "streaming"
    )
    shuffle_buffer: int = option(1000, "Rows held for shuffling when streaming.", "shuffle_buffer_size", ge=1)
    deduplicate: bool = option(False, "Drop rows that equal an earlier row exactly.", "deduplicate")
    on_error: Literal["drop", "error"] = option(
        "error",
        "What a bad row does: stop the run before training, or be dropped and put on the ledger.",
        "on_data_error",
    )
    workers: int | None = option(
        None,
        "Processes that render and tokenize; default: by the number of cores and rows.",
        "dataset_num_proc",
        "dataloader_num_workers",
        ge=0,
    )
    cache: bool = option(
        True, "Reuse tokenized rows of earlier runs when nothing that matters changed.", "load_from_cache_file"
    )
    cache_dir: str | None = option(None, "Where tokenized rows are kept.", "data_cache_dir")
    model_name: tuple[str, ...] = option(
        (), "Fills {{name}} in self-cognition rows; one name, or the Chinese and the English one.", "model_name"
    )
    model_author: tuple[str, ...] = option(
        (), "Fills {{author}} in self-cognition rows; in the same order.", "model_author"
    )

    @model_validator(mode="before")
    @classmethod
    def _weights_interleave(cls, value: Any) -> Any:
        """Weights without a `mix` mean interleaving."""
        if isinstance(value, dict) and value.get("weights") is not None and "mix" not in value:
            return {**value, "mix": "interleave"}
        return value
