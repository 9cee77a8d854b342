"""The chat templates that the installed `trl` carries, and the tokens at which their models stop."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(pytest.importorskip("trl").__file__).parent / "chat_templates"
# The `eos_token_id` of each family's generation config, as text.
STOPS: dict[str, tuple[str, ...]] = {
    "cohere": ("<|END_OF_TURN_TOKEN|>",),
    "cohere2": ("<|END_OF_TURN_TOKEN|>",),
    "deepseek": ("<｜end▁of▁sentence｜>",),
    "diffusion_gemma": ("<turn|>", "<|tool_response>"),
    "gemma": ("<end_of_turn>",),
    "gemma4": ("<turn|>", "<|tool_response>"),
    "glm4moe": ("<|endoftext|>", "<|user|>", "<|observation|>"),
    "gptoss": ("<|return|>", "<|call|>"),
    "idefics3": ("<end_of_utterance>",),
    "lfm2": ("<|im_end|>",),
    "llama3": ("<|eot_id|>",),
    "llava_next": ("</s>",),
    "muse_glimmer": ("<|eot|>",),
    "nemotron": ("<|im_end|>",),
    "phi3": ("<|endoftext|>", "<|end|>"),
    "qwen": ("<|im_end|>",),
    "smolvlm": ("<end_of_utterance>",),
}


def read(name: str) -> str:
    """The Jinja text of a template."""
    return (FOLDER / f"{name}.jinja").read_text(encoding="utf-8")


def stops(name: str) -> tuple[str, ...]:
    """Tokens at which generation stops, by the longest family name that `name` begins with."""
    return STOPS[max((family for family in STOPS if name.startswith(family)), key=len)]


ORIGINALS = sorted(path.stem for path in FOLDER.glob("*.jinja") if not path.stem.endswith("_training"))
PAIRS = [name for name in ORIGINALS if (FOLDER / f"{name}_training.jinja").exists()]
