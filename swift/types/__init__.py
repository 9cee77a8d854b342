"""The nouns that travel between packages. No torch here.

Row -> Conversation | Text -> Tokens -> (batch.py) Batch -> LossSum;   Request -> Completion;   EncodeRequest -> Encoded
"""

from __future__ import annotations

from swift.types.encoding import (
    Ability,
    Encodable,
    Encoded,
    EncodeRequest,
    Task,
    TextPair,
)
from swift.types.generation import (
    Completion,
    Guide,
    GuideKind,
    Ids,
    Prompt,
    Request,
    Sampling,
    Scored,
    TokenLogprob,
)
from swift.types.rows import (
    NOTHING_KNOWN,
    BoxScale,
    Conversation,
    Illustrated,
    Known,
    LedgerEntry,
    Media,
    MediaKind,
    Message,
    Objects,
    Origin,
    Outcome,
    Placed,
    Role,
    Row,
    Spot,
    Text,
    Tokens,
    ToolCall,
)

__all__ = [
    "NOTHING_KNOWN",
    "Ability",
    "BoxScale",
    "Completion",
    "Conversation",
    "Encodable",
    "EncodeRequest",
    "Encoded",
    "Guide",
    "GuideKind",
    "Ids",
    "Illustrated",
    "Known",
    "LedgerEntry",
    "Media",
    "MediaKind",
    "Message",
    "Objects",
    "Origin",
    "Outcome",
    "Placed",
    "Prompt",
    "Request",
    "Role",
    "Row",
    "Sampling",
    "Scored",
    "Spot",
    "Task",
    "Text",
    "TextPair",
    "TokenLogprob",
    "Tokens",
    "ToolCall",
]
