"""From a raw row to a conversation or a text: knows data sets, knows no model."""

from __future__ import annotations

from typing import Literal

from swift.config.data import DataConfig
from swift.data.media import place_media
from swift.data.objects import place_objects
from swift.data.reasons import EMPTY_ANSWER, NO_ASSISTANT, UNKNOWN_SHAPE, WRONG_TASK
from swift.data.self_cognition import fill
from swift.data.shapes import data_shapes, shape_functions
from swift.data.source import rename
from swift.errors import RowError
from swift.types import Conversation, Row, Text

__all__ = ["Task", "data_shapes", "to_sample"]

Task = Literal["sft", "pt", "prompt"]
"""sft trains on answers, pt on plain text; prompt is for rows to be answered, which need no answer of their own."""

KNOWN = (
    "messages; conversations (from, value); query, response, history; instruction, input, output; "
    "prompt, completion; text"
)


def to_sample(row: Row, config: DataConfig, task: Task) -> Conversation | Text:
    """Recognise a row by its columns, after those of `config.columns` got their new names.

    Raises:
        RowError: The row is unusable; the reason is a constant of `swift.data.reasons`.
    """
    if config.columns:
        row = Row(rename(row.values, config.columns), row.origin, row.folder)
    values = row.values
    for shape in shape_functions(task):
        sample = shape(row)
        if sample is not None:
            if task == "sft" and values.get("chosen") and not _answered(sample):
                raise RowError(WRONG_TASK, "a preference row (chosen, rejected), whose answer is no turn of its own")
            sample = fill(place_media(sample, values, row.folder), values, config)
            return _checked(place_objects(sample, values, answered=task != "prompt" or _answered(sample)), task)
    names = ", ".join(map(str, values)) or "none"
    raise RowError(UNKNOWN_SHAPE, f"columns {names}; known are {KNOWN}; map yours with --columns")


def _answered(sample: Conversation | Text) -> bool:
    return isinstance(sample, Text) or sample.messages[-1].role == "assistant"


def _checked(sample: Conversation | Text, task: Task) -> Conversation | Text:
    if isinstance(sample, Text):
        return sample
    if task == "pt":
        return _plain(sample)
    if task == "sft":
        answers = [message for message in sample.messages if message.role == "assistant"]
        if not answers:
            raise RowError(NO_ASSISTANT, "no turn of the assistant, so nothing to learn")
        for message in answers:
            silent = not (message.tool_calls or message.media or message.content.strip())
            if silent and message.loss_weight != 0:
                place = sample.messages.index(message) + 1
                raise RowError(EMPTY_ANSWER, f"turn {place}, of the assistant, is empty")
    return sample


def _plain(sample: Conversation) -> Text:
    """A lone assistant turn is plain text; anything else is a conversation, which `pt` does not render."""
    if len(sample.messages) == 1 and sample.messages[0].role == "assistant" and not sample.messages[0].tool_calls:
        message = sample.messages[0]
        if sample.objects is not None:
            raise RowError(WRONG_TASK, "objects (boxes in pictures) are for conversations; use swift sft")
        if message.media and not message.reasoning:
            return Text(message.content, sample.origin, sample.weight, message.media)
        thought = f"<think>\n{message.reasoning}\n</think>\n\n" if message.reasoning else ""
        return Text(thought + message.content, sample.origin, sample.weight)
    raise RowError(WRONG_TASK, "a conversation, and swift pt trains on plain text (column text); use swift sft")
