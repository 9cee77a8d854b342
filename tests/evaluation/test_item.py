"""What identifies a question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swift.evaluation.item import Item
from swift.types import Conversation, Media, Message, Origin, Placed


def item(picture: bytes = b"one") -> Item:
    shown = Placed(0, Media("image", picture))
    prompt = Conversation((Message("user", "what?", media=(shown,)),), Origin("rows", 1), tools=({"type": "function"},))
    return Item("a", prompt, Message("assistant", "this"), told={"row": 1})


@pytest.mark.parametrize(
    "change",
    [
        {"id": "b"},
        {"sample": 1},
        {"reference": Message("assistant", "that")},
        {"choices": ("this", "that")},
        {"answers": ("that",)},
        {"prompt": item(b"two").prompt},
        {"prompt": replace(item().prompt, tools=())},
        {"prompt": replace(item().prompt, template_kwargs={"enable_thinking": True})},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_that_matters_is_in_the_key(change: dict[str, Any]) -> None:
    assert item().key() == item().key()
    assert replace(item(), **change).key() != item().key()


def test_where_it_stands_is_not() -> None:
    assert replace(item(), told={"row": 2}, group="x", cluster="y").key() == item().key()
