"""What a model must write after a prompt so that the rendered conversation results."""

from __future__ import annotations

import re

_OPEN_THINK = re.compile(r"<think>\s*\Z")
THINK_CLOSE = "\n</think>\n\n"
"""Ends thinking that the generation prompt opened, where the template itself never shows the end: the form in which
models of the DeepSeek-R1 kind (arXiv 2501.12948) write it."""


def opens_thinking(prompt: str) -> bool:
    """Whether a rendered prompt ends inside an open `<think>`."""
    return _OPEN_THINK.search(prompt) is not None


def continuation(prompt: str, full: str, reasoning: str | None) -> str | None:
    """The text that follows `prompt`, as the template shows it in `full`.

    Three cases are exact, every other is refused:

    - `prompt` is how `full` begins: the rest of `full`;
    - it is but for white space at its end: the rest without white space at its start;
    - `prompt` ends in an open `<think>` that `full` lacks, since the template drops thinking from finished turns:
      the thinking, its end, and the rest.

    Args:
        prompt: The conversation before the turn, with the generation prompt.
        full: The conversation up to and including the turn.
        reasoning: The turn's thinking.

    Returns:
        The text, or None where `full` contradicts `prompt`.
    """
    if full.startswith(prompt):
        return full[len(prompt) :]
    bare = prompt.rstrip()
    if full.startswith(bare):
        return full[len(bare) :].lstrip()
    opened = _OPEN_THINK.search(prompt)
    if opened is not None and full.startswith(prompt[: opened.start()]):
        return f"{(reasoning or '').strip()}{THINK_CLOSE}{full[opened.start() :].lstrip()}"
    return None
