"""How conversations become tokens, and which tokens are trained on."""

from typing import Literal

from swift.config.option import Config, option


class ChatConfig(Config):
    """Rendering and masks."""

    template: str | None = option(
        None,
        "A Jinja file to use instead of the checkpoint's own chat template; or chatml, "
        "gemma, llama3 or plain for a base model that has none.",
        "chat_template",
    )
    system: str | None = option(None, "System message; replaces the rows' own.", "system")
    train_on: Literal["all", "last", "everything"] = option(
        "all",
        "Which turns are trained on: all assistant turns, the last one, or every token including prompts. "
        'A message\'s own "loss" or "loss_weight" wins.',
        "train_on",
    )
    loss_scale: str = option(
        "default",
        "Weights within answers, joined with + (they multiply): react, alpha_umi, agentflan, qwen, hermes, "
        "ignore_empty_think, ignore_think_prefix, a plugin's name or a JSON file; and which turns: default (as "
        "train_on), last_round (behind the last user or tool turn) or all (every token).",
        "loss_scale",
    )
    thinking: Literal["template", "keep", "strip"] = option(
        "template",
        "Thinking text of assistant turns. template: as the template shows it at inference, with one sample per "
        "turn where it rewrites history; keep: also in earlier turns; strip: nowhere.",
        "thinking",
    )
    enable_thinking: bool | None = option(
        None, "Passed to the chat template; default: on exactly for rows that have thinking text.", "enable_thinking"
    )
    max_length: int | None = option(
        None,
        "Longest sequence in tokens; default: what the model's positions allow, at most 8192.",
        "max_length",
        ge=2,
    )
    truncation: Literal["drop", "left", "right", "split", "error"] = option(
        "drop", "What happens to longer rows. Every one of them is on the ledger.", "truncation_strategy"
    )
    tool_format: str = option(
        "auto",
        "How tools, calls and results are written: auto (as the chat template does; where it has no place for them, "
        "as the model's family does, else hermes), template (never but by the template), or a format by name, such "
        "as hermes, llama3, glm4_5, qwen3_coder, react_en or toolbench.",
        "agent_template",
        "tool_format",
    )
    grounding: str = option(
        "auto",
        "How names and boxes of the column objects are written: auto (as the model's family does), plain, qwen_vl, "
        "qwen2_vl, qwen2_5_vl, qwen3_vl, internvl, deepseek_vl2, glm4v, cogvlm, florence or paligemma.",
        "grounding_format",
    )
    norm_bbox: Literal["auto", "none", "norm1", "norm1000"] = option(
        "auto",
        "What coordinates of boxes are counted in. auto: as the format does; none: pixels of the picture as the "
        "model sees it; norm1, norm1000: the whole width or height is 1 or 1000.",
        "norm_bbox",
    )
