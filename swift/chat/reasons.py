"""Why a row is not kept, or is kept with a remark: the constants by which ledgers count."""

from __future__ import annotations

from typing import Final

NO_ASSISTANT: Final = "no_assistant_turn"
"""The conversation has no assistant turn."""
EMPTY_ANSWER: Final = "empty_answer"
"""A turn to be trained on has neither text nor thinking nor a tool call."""
NO_TARGET: Final = "no_target"
"""No token is left to train on: all weights are 0, or truncation cut every answer."""
NO_PROMPT: Final = "no_prompt"
"""Nothing stands before the answer, so inference would never ask for it."""
TOO_LONG: Final = "too_long"
"""More tokens than `max_length`."""
CANNOT_SPLIT: Final = "cannot_split"
"""More tokens than `max_length`, and a chat cannot be split."""
EMPTY_TEXT: Final = "empty_text"
"""A plain text without characters."""

TEMPLATE_REFUSED: Final = "template_refused"
"""The chat template raised an error for these messages."""
NOT_A_PREFIX: Final = "not_a_prefix"
"""What inference would be given is not how the rendered conversation begins."""
NO_STOP: Final = "no_stop_token"
"""The answer does not end with a token at which generation stops."""
ANSWER_LOST: Final = "answer_lost"
"""The template leaves out text that the assistant said."""
REASONING_LOST: Final = "reasoning_lost"
"""The template leaves out the thinking of a turn to be trained on."""
TOOL_CALL_LOST: Final = "tool_call_lost"
"""The template leaves out a tool call of a turn to be trained on."""
TOOLS_UNSUPPORTED: Final = "tools_unsupported"
"""The row offers tools, and the template has no place for them."""
NOT_DECODABLE: Final = "not_decodable"
"""The tokens of the answer do not decode to its text, such as where the tokenizer lacks a character."""
MEDIA_UNSUPPORTED: Final = "media_unsupported"
"""The row has media of a kind that the model does not take."""
MEDIA_REFUSED: Final = "media_refused"
"""The model's processor refuses the media, or finds another number of places for them in the text."""
MEDIA_TOKEN: Final = "media_token_in_text"
"""The text itself has a token that stands for a picture, video or sound."""
MEDIA_CUT: Final = "media_too_long"
"""More tokens than `max_length`, and a cut would go through a picture, video or sound."""
BAD_OBJECTS: Final = "bad_objects"
"""A box lies outside its picture, or there is no picture that it could be in."""
PROMPT_WEIGHT: Final = "weight_on_prompt"
"""A loss weight above 0 on a turn that is not the assistant's."""

SPECIAL_IN_TEXT: Final = "special_token_in_text"
"""Kept: a message's text has one of the tokenizer's special tokens; encoded as inference encodes it."""
UNTRAINED_TURN: Final = "leading_answer_not_trained"
"""Kept: an assistant turn before any other turn is context only."""
PROMPT_REWRITTEN: Final = "prompt_rewritten"
"""Kept: the template does not show a prompt message as it was given."""

DROPPED: Final = frozenset(
    {NO_ASSISTANT, EMPTY_ANSWER, NO_TARGET, NO_PROMPT, TOO_LONG, CANNOT_SPLIT, MEDIA_CUT, EMPTY_TEXT}
)
"""Reasons for which a row is dropped; with every other reason that is raised, it has failed."""
REMARKS: Final = frozenset({SPECIAL_IN_TEXT, UNTRAINED_TURN, PROMPT_REWRITTEN})
"""Reasons that go with a row that is kept."""
