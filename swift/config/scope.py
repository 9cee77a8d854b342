"""What `swift eval --eval_backend evalscope` asks besides what all evaluations have."""

from typing import Any, Literal

from swift.config.option import Config, option

OURS = (
    "model", "model_id", "api_url", "api_key", "eval_type", "eval_backend", "eval_config", "datasets", "dataset_args",
    "generation_config", "eval_batch_size", "limit", "seed", "work_dir", "use_cache", "rerun_review", "no_timestamp",
    "dry_run", "timeout", "stream", "ignore_errors",
)  # fmt: skip
"""Fields of evalscope's TaskConfig that are set by options of ours."""


class ScopeConfig(Config):
    """Sets of evalscope (ModelScope's evaluator), named by `--eval_dataset`."""

    backend: Literal["Native", "OpenCompass", "VLMEvalKit"] = option(
        "Native", "Whose sets evalscope asks: its own. The other two are refused, with the reason.", "evalscope_backend"
    )
    dataset_args: dict[str, Any] = option(
        dict,
        'What evalscope takes as dataset_args, by set, as JSON, such as {"general_mcq": {"subset_list": ["law"]}}.',
        "eval_dataset_args",
    )
    options: dict[str, Any] = option(
        dict, 'Further fields of evalscope\'s TaskConfig, as JSON, such as {"repeats": 4}.', "extra_eval_args"
    )
    at_once: int | None = option(
        None, "Questions that the model gets at a time; default: --max_batch_size.", "eval_num_proc", ge=1, le=4096
    )
    environment_dir: str | None = option(
        None, "Folder of environments, as in `swift env add --dir`; default: in the cache.", "evalscope_env_dir"
    )
