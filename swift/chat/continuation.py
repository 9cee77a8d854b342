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
        return f"{(reasoning or '').strip()}{THINK_CLOSE}{full[opened.start() :]}"
    return None


def realigned(prompt: str, full: str, header: str, shown: str) -> str | None:
    """The text that follows `prompt` where the turn itself makes the template rewrite what stands before it.

    Such a template (GPT-OSS drops thinking from earlier tool calls once a final answer follows) never shows the turn
    behind the prompt that inference uses. The turn is found in `full` where what stands before it ends as the
    prompt does, for longer than anywhere else, and at least over the whole last message.

    Args:
        prompt: The conversation before the turn, with the generation prompt.
        full: The conversation up to and including the turn.
        header: The generation prompt alone.
        shown: The rendering of the message before the turn must have this text in it.

    Returns:
        The text, or None where the place is not certain.
    """
    best, size = None, 0
    at = full.find(header) if header else -1
    while at >= 0:
        end = at + len(header)
        same = _common_end(prompt, full[:end])
        if same > size:
            best, size = end, same
        at = full.find(header, at + 1)
    # Quoted as JSON, a text loses its quotes and line breaks; its first word suffices then.
    if best is None or len(header) == size or (shown.split() or [""])[0] not in prompt[-size:]:
        return None
    return full[best:]


def _common_end(left: str, right: str) -> int:
    size = min(len(left), len(right))
    return next((number for number in range(size) if left[-1 - number] != right[-1 - number]), size)
