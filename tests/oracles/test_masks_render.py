"""Our rendering against transformers' `apply_chat_template`, for every template that trl carries."""

from __future__ import annotations

from functools import lru_cache

import pytest

pytest.importorskip("trl")

from transformers import PreTrainedTokenizerFast

from swift.chat.codec import Codec, make_codec
from swift.chat.template import wire_messages
from swift.config.chat import ChatConfig
from swift.errors import TemplateError
from swift.types import Conversation
from tests.chat.support import CONVERSATIONS, chat, tokenizer_for
from tests.oracles.templates import ORIGINALS, PAIRS, read, stops

# What no template may turn into an error of another kind than a refusal.
ODD = {
    "html": chat(("user", "<b>a & b</b> \"q\" 'q'"), ("assistant", "&lt; {{ 7 * 7 }} {% if x %}")),
    "two_system": chat(("system", "A"), ("user", "Hi"), ("system", "B"), ("assistant", "Hello.")),
    "two_answers": chat(("user", "Hi"), ("assistant", "One."), ("assistant", "Two.")),
    "answer_first": chat(("assistant", "Welcome."), ("user", "Hi"), ("assistant", "Hello.")),
    "developer": chat(("developer", "Be kind."), ("user", "Hi"), ("assistant", "Hello.")),
}
SAMPLES = CONVERSATIONS | ODD


@lru_cache(maxsize=1)
def load(name: str) -> tuple[PreTrainedTokenizerFast, Codec]:
    tokenizer = tokenizer_for(read(name), stops(name))
    return tokenizer, make_codec(tokenizer, ChatConfig())


def both(tokenizer: PreTrainedTokenizerFast, codec: Codec, sample: Conversation, **kwargs: object) -> list[str | None]:
    """The text by us and by transformers; None for a refusal."""
    generate = bool(kwargs.pop("add_generation_prompt", False))
    try:
        ours = codec.template.render(
            sample.messages, tools=sample.tools, add_generation_prompt=generate, template_kwargs=kwargs
        )
    except TemplateError:
        ours = None
    try:
        theirs = tokenizer.apply_chat_template(
            wire_messages(sample.messages, codec.template.dialect),
            tools=list(sample.tools) or None,
            tokenize=False,
            add_generation_prompt=generate,
            **kwargs,
        )
    except Exception:  # whatever a template raises there is a refusal
        theirs = None
    return [ours, theirs]


@pytest.mark.parametrize("name", ORIGINALS)
def test_rendering_equals_transformers(name: str) -> None:
    tokenizer, codec = load(name)
    rendered = 0
    for kind, sample in SAMPLES.items():
        for kwargs in (
            {},
            {"add_generation_prompt": True},
            {"enable_thinking": False, "add_generation_prompt": True},
            {"enable_thinking": True},
        ):
            ours, theirs = both(tokenizer, codec, sample, **kwargs)
            assert ours == theirs, (kind, kwargs)
            rendered += ours is not None
    assert rendered >= 2 * len(SAMPLES)


@pytest.mark.parametrize("name", PAIRS)
def test_generation_tags_are_rendered_as_transformers_does(name: str) -> None:
    tokenizer, codec = load(f"{name}_training")
    for kind, sample in CONVERSATIONS.items():
        ours, theirs = both(tokenizer, codec, sample)
        assert ours == theirs, kind
