"""Which kind of answers a run taught, so that inference asks for the same kind."""

from __future__ import annotations

from itertools import islice

from swift.chat.codec import Codec
from swift.config.chat import ChatConfig
from swift.data.columns import to_sample
from swift.data.prepare import Rows
from swift.data.rows import BadRow
from swift.errors import RowError
from swift.types import Conversation

_LOOKED_AT = 1000


def taught_thinking(chat: ChatConfig, codec: Codec, rows: Rows) -> bool | None:
    """The value of `enable_thinking` that `infer` should use after this run.

    A template that knows the variable writes other prompts with and without it, and each row was rendered by
    whether it thinks. A run on rows without any thinking taught the model to answer the prompt that says so.

    Returns:
        What the user said; else True or False where all rows looked at are of one kind; else None.
    """
    if chat.enable_thinking is not None or not codec.template.reads("enable_thinking"):
        return chat.enable_thinking
    kinds: set[bool] = set()
    encoder = rows.encoder
    for source in rows.selection.sources:
        for row in islice(source.rows(), _LOOKED_AT):
            if isinstance(row, BadRow):
                continue
            try:
                sample = to_sample(row, encoder.data, encoder.task)
            except RowError:
                continue  # on the ledger already
            if isinstance(sample, Conversation):
                kinds.add(any(message.reasoning for message in sample.messages))
        if len(kinds) > 1:
            return None
    return kinds.pop() if kinds else None
