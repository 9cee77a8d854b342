"""Where our trained spans differ from those that the `*_training` templates mark, each with its sentence.

Not listed, since they follow from decision "train what inference generates": tokens that the generation prompt already
supplies, and white space behind the stop token. Everything else is here.
"""

from __future__ import annotations

from swift.chat import reasons

ANY = "*"

# (template, conversation) -> what the turn's text is in ours, given the marked text in theirs.
CLOSES_THINKING = {
    ("deepseek_r1_distill", ANY): "The generation prompt opens <think>, which the training template leaves out of the "
    "conversation; ours continues the prompt that inference uses, so it ends the thinking before it answers.",
    ("deepseekv3", ANY): "As deepseek_r1_distill.",
}
MORE_BEHIND_STOP = {
    ("phi3", ANY): "The training template marks the end-of-text behind the last <|end|>, where generation has stopped.",
    ("phi3_5", ANY): "As phi3.",
}
STOP_NOT_MARKED = {
    ("diffusion_gemma", "tools"): "Generation stops at <|tool_response>, which the template writes behind a call; the "
    "training template leaves it unmarked, so a model would not learn to stop there.",
}
HEADER_WRITTEN = {
    ("diffusion_gemma", "tools"): "Behind a tool's answer the generation prompt adds nothing, but the template then "
    "writes <|turn>model; only the model can write it, so ours trains it.",
}
# The marked text is that of the conversation cut behind the turn: the last turn is written differently from earlier.
LAST_TURN_DIFFERS = {
    "gptoss": "An earlier final answer ends with <|end|>, the last with <|return|>, which is what is generated; and "
    "thinking is dropped from finished turns.",
    "glm4moe": "Thinking is dropped from turns before the last user message.",
    "diffusion_gemma": "Thinking is dropped from turns before the last user message.",
    "nemotron_3_5_lightning": "Thinking is dropped from turns before the last user message.",
    "nemotron_3_nano": "Thinking is dropped from turns before the last user message.",
    "nemotron_3_super": "Thinking is dropped from turns before the last user message.",
    "nemotron_3_ultra": "Thinking is dropped from turns before the last user message.",
}
_NO_TOOLS = "The template has no place for offered tools; the training template marks an empty or partial turn."
_NO_TOOL_NAMES = (
    "cohere",
    "cohere2",
    "deepseek_r1_distill",
    "deepseekv3",
    "gemma",
    "gemma3",
    "idefics3",
    "llama3",
    "llava_next",
    "phi3",
    "phi3_5",
    "qwen2_5_vl",
    "smolvlm",
)
# (template, conversation) -> (our reason for refusing the row, sentence).
REFUSED: dict[tuple[str, str], tuple[str, str]] = {
    **{
        (name, kind): (reasons.TOOLS_UNSUPPORTED, _NO_TOOLS)
        for name in _NO_TOOL_NAMES
        for kind in ("tools", "tools_text", "thinking_tools")
    },
    **{
        ("lfm2", kind): (
            reasons.TOOL_CALL_LOST,
            "The template never writes tool calls; the training template marks turns without what was said.",
        )
        for kind in ("tools", "tools_text", "thinking_tools")
    },
    ("muse_glimmer", "tools_text"): (reasons.ANSWER_LOST, "The template drops the text beside a tool call."),
    ("diffusion_gemma", "tools_text"): (
        reasons.NOT_A_PREFIX,
        "The template writes text beside a call behind the tool's answer, so the call's turn is "
        "rewritten when the answer arrives.",
    ),
    ("diffusion_gemma", "thinking_tools"): (
        reasons.NOT_A_PREFIX,
        "The generation prompt goes on in the same turn with open thinking, the conversation opens a new turn.",
    ),
}
