"""The constants by which the ledger counts bad rows."""

from __future__ import annotations

from typing import Final

# The row could not be read from its file.
MALFORMED: Final = "malformed"
INVALID_UTF8: Final = "invalid_utf8"
NOT_AN_OBJECT: Final = "not_an_object"
WRONG_CELLS: Final = "wrong_number_of_cells"

# The row was read, and is no conversation or text.
UNKNOWN_SHAPE: Final = "unknown_shape"
AMBIGUOUS_COLUMNS: Final = "ambiguous_columns"
MISSING_COLUMN: Final = "missing_column"
WRONG_TYPE: Final = "wrong_type"
WRONG_TASK: Final = "wrong_task"
BAD_ROLE: Final = "bad_role"
BAD_TOOL: Final = "bad_tool"
BAD_WEIGHT: Final = "bad_weight"
TWO_SYSTEMS: Final = "two_systems"
TWO_THOUGHTS: Final = "two_thoughts"
NO_MESSAGES: Final = "no_messages"
NO_ASSISTANT: Final = "no_assistant"
EMPTY_QUESTION: Final = "empty_question"
EMPTY_ANSWER: Final = "empty_answer"
EMPTY_TEXT: Final = "empty_text"
UNFILLED: Final = "unfilled_placeholder"
BAD_MEDIA: Final = "bad_media"
MEDIA_COUNT: Final = "media_count"
BAD_OBJECTS: Final = "bad_objects"
OBJECTS_COUNT: Final = "objects_count"

# The row is fine and was left out.
DUPLICATE: Final = "duplicate"
