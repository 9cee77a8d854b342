"""Short conversations of our own, to measure by where the user names no rows."""

from __future__ import annotations

from swift.chat.codec import Codec
from swift.types import Conversation, Message, Origin, Text

_PAIRS = (
    ("What is the capital of France?", "The capital of France is Paris."),
    ("How many days are in a week?", "There are seven days in a week."),
    ("What is 12 + 30?", "12 + 30 = 42."),
    ("Write a Python function that returns the square of a number.", "def square(x):\n    return x * x"),
    ("Name three primary colours.", "Red, yellow and blue."),
    ("Translate to German: Good morning, how are you?", "Guten Morgen, wie geht es dir?"),
    ("Translate to French: I would like a cup of coffee.", "Je voudrais une tasse de café."),
    ("What does water become when it freezes?", "When water freezes, it becomes ice."),
    ("Who wrote Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."),
    ("Give me a short sentence about the sea.", "The sea is deep and blue, and its waves never rest."),
    ("用一句话介绍北京。", "北京是中国的首都，也是一座历史悠久的城市。"),
    (
        "Explain in two sentences why the sky is blue.",
        "Sunlight is scattered by the molecules of the air. Blue light is scattered more than red light, so we see "
        "blue from all directions.",
    ),
)


def probes(codec: Codec) -> list[Conversation | Text]:
    """Conversations where the model has a template, else plain texts."""
    origin = [Origin("swift", number) for number in range(1, len(_PAIRS) + 1)]
    if not codec.template.source:
        return [Text(f"{asked}\n{said}", origin[n]) for n, (asked, said) in enumerate(_PAIRS)]
    talks = [(Message("user", asked), Message("assistant", said)) for asked, said in _PAIRS]
    return [Conversation(talk, origin[n]) for n, talk in enumerate([*talks[:-2], talks[-2] + talks[-1], talks[-1]])]
