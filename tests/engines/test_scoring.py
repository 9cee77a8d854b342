"""Likelihoods of answers, against plain transformers on the conversation as the template renders it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swift.chat.encode import prompt_ids
from swift.config.chat import ChatConfig
from swift.engines.adapters import attach_any
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import RowError
from swift.models.tiny import save_tiny, tiny_model
from swift.types import Conversation, Message, Origin, Scored
from tests.engines.support import save_adapter, texts

QUESTIONS, ANSWERS = texts(4, 40, 12, 25, 9), ("seven days", "x", texts(60)[0], "Paris", "1 2 3")


def chats() -> list[Conversation]:
    return [
        Conversation((Message("user", question), Message("assistant", answer)), Origin("test", number))
        for number, (question, answer) in enumerate(zip(QUESTIONS, ANSWERS, strict=True))
    ]


@torch.no_grad()
def expected(model, codec, chat: Conversation) -> tuple[float, int]:
    """By the whole model, alone, from the prompt of inference and the answer as generation would end it."""
    prompt = prompt_ids(replace(chat, messages=chat.messages[:1]), codec, ChatConfig())
    answer = [*codec.encode_text(chat.messages[1].content), codec.number_of["<|im_end|>"]]
    logits = model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].float().log_softmax(-1)
    return sum(float(logits[len(prompt) - 1 + n, token]) for n, token in enumerate(answer)), len(answer)


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt2", "cohere", "mamba"])
@pytest.mark.parametrize("rows", [1, 4])
def test_scores(model_type: str, rows: int, codec) -> None:
    engine = TransformersEngine(tiny_model(model_type), codec, ChatConfig(), limits=Limits(300, rows))
    for scored, chat in zip(engine.score(chats()), chats(), strict=True):
        logprob, tokens = expected(engine._model, codec, chat)
        assert isinstance(scored, Scored)
        assert scored.tokens == tokens
        assert scored.logprob == pytest.approx(logprob, rel=1e-4)


def test_a_loss_scale_of_training_does_not_weigh_scores(codec) -> None:
    from swift.chat.loss_scale import read_loss_scale

    model = tiny_model("llama")
    plain = TransformersEngine(model, codec, ChatConfig()).score(chats())
    scale = "last_round+ignore_empty_think"
    own = replace(codec, loss_scale=read_loss_scale(scale))
    chat = ChatConfig(loss_scale=scale, train_on="all", max_length=8)
    assert TransformersEngine(model, own, chat).score(chats()) == plain


def test_what_cannot_be_scored_has_its_error_in_its_place(make_engine) -> None:
    engine = make_engine()
    good, other = chats()[:2]
    long = replace(good, messages=(Message("user", "a b c d " * 600), Message("assistant", "x")))
    unanswered = replace(good, messages=good.messages[:1])
    found = engine.score([good, long, unanswered, other])
    assert [type(item) for item in found] == [Scored, RowError, RowError, Scored]
    assert [item.reason for item in found[1:3]] == ["too_long", "no_answer"]  # type: ignore[union-attr]
    with pytest.raises(RowError, match="not loaded"):
        engine.score([good], adapter="nobody")


def test_each_adapter_scores_for_itself(tmp_path: Path, codec) -> None:
    folder = save_tiny(tmp_path / "model", "llama")
    adapter = save_adapter(tmp_path / "adapter", folder, seed=1)
    model = tiny_model("llama")
    bare = TransformersEngine(tiny_model("llama"), codec, ChatConfig()).score(chats())
    switch = attach_any(model, {"one": adapter}, dtype=torch.float32)
    engine = TransformersEngine(model, codec, ChatConfig(), switch=switch)
    tuned = engine.score(chats())
    assert engine.score(chats(), adapter="base") == bare
    assert engine.score(chats(), adapter="one") == tuned != bare
