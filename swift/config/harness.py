"""What `swift eval --eval_backend lm_eval` asks besides what all evaluations have."""

from swift.config.option import Config, option


class HarnessConfig(Config):
    """Tasks of lm-eval (EleutherAI's harness), named by `--eval_dataset`."""

    include_path: tuple[str, ...] = option((), "Folders of task files of your own, in lm-eval's YAML.", "include_path")
    apply_chat_template: bool = option(
        False, "Ask in the model's chat template; without it, with bare text.", "apply_chat_template"
    )
    fewshot_as_multiturn: bool = option(
        True, "In a chat, each solved example is a turn of each side, not all of them one text.", "fewshot_as_multiturn"
    )
