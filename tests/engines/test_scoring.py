"""Likelihoods of answers, against plain transformers on the conversation as the template renders it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from swift.chat.encode import prompt_ids
from swift.config.chat import ChatConfig
from swift.engines import likelihood
from swift.engines.adapters import attach_any
from swift.engines.branches import batches
from swift.engines.lanes import Limits
from swift.engines.transformers import TransformersEngine
from swift.errors import RowError
from swift.models.tiny import save_tiny, tiny_model
from swift.types import Conversation, Given, Ids, Message, Origin, Request, Sampling, Scored
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


def trees(vocabulary: int) -> list[Given]:
    """Sequences that share beginnings of all lengths, some of them whole, some targets in the middle of others."""
    rng = random.Random(0)
    stem = rng.choices(range(vocabulary), k=60)
    samples = []
    for question in range(6):
        context = stem[: rng.choice((0, 1, 20, 60))] + rng.choices(range(vocabulary), k=rng.choice((1, 7, 90)))
        for _ in range(4):
            answer = rng.choices(range(vocabulary), k=rng.choice((1, 1, 2, 15)))
            samples.append(Given((*context, *answer), range(len(context), len(context) + len(answer))))
        samples.append(Given(context[: len(context) // 2 + 2], (1,)) if question else samples[0])
    samples.append(Given(rng.choices(range(vocabulary), k=400), (5, 300, 398)))
    rng.shuffle(samples)
    return samples


@torch.no_grad()
def alone(model, given: Given) -> Scored:
    logits = model(input_ids=torch.tensor([list(given.ids)])).logits[0].float()
    logprobs = logits.log_softmax(-1)
    values = [float(logprobs[place - 1, given.ids[place]]) for place in given.targets]
    best = all(int(logits[place - 1].argmax()) == given.ids[place] for place in given.targets)
    return Scored(sum(values), len(values), best)


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma2", "gemma3_text", "gpt_oss", "gpt2", "mamba"])
def test_given_tokens_are_as_likely_as_alone(model_type: str, codec, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (7, 64, 1024):
        monkeypatch.setattr(likelihood, "BATCH_ON_CPU", size)
        engine = TransformersEngine(tiny_model(model_type), codec, ChatConfig())
        samples = trees(200)
        found: dict[int, Scored] = {}
        engine.score_ids(samples, found.__setitem__)
        assert sorted(found) == list(range(len(samples)))
        for number, sample in enumerate(samples):
            wanted = alone(engine.model, sample)
            assert found[number].logprob == pytest.approx(wanted.logprob, rel=1e-4)
            assert (found[number].tokens, found[number].greedy) == (wanted.tokens, wanted.greedy)
        assert engine._scorer._tree is (model_type != "mamba")


def test_what_is_likeliest_is_greedy(make_engine) -> None:
    engine = make_engine()
    prompt = engine.codec.encode("the capital of France")
    (answer,) = engine.generate([Request(Ids(tuple(prompt)), Sampling(max_new_tokens=4, ignore_eos=True))])
    right = (*prompt, *answer.token_ids)
    wrong = (*right[:-1], right[-1] ^ 1)
    found: dict[int, Scored] = {}
    engine.score_ids([Given(ids, range(len(prompt), len(ids))) for ids in (right, wrong)], found.__setitem__)
    assert (found[0].greedy, found[1].greedy) == (True, False)


def test_what_sequences_share_is_computed_once() -> None:
    samples = trees(200)
    places = {tuple(sample.ids[: place + 1]) for sample in samples for place in range(max(sample.targets))}
    whole = list(batches(samples, 10_000))
    assert sum(len(batch.ids) for batch in whole) == len(places)
    pieces = list(batches(samples, 50))
    assert all(len(batch.ids) <= 50 for batch in pieces)
    again = sum(len(batch.ids) for batch in pieces) - len(places)
    assert again <= len(samples)  # a token whose prediction is wanted, and which only the cache holds


def test_what_cannot_be_judged_is_refused(make_engine) -> None:
    engine = make_engine()
    for given, reason in ((Given((1, 2), ()), "no_answer"), (Given((1, 2), (0,)), "no_answer")):
        with pytest.raises(RowError, match=reason):
            engine.score_ids([given], lambda number, scored: None)
    long = [1] * (engine.ability.longest + 2)
    with pytest.raises(RowError, match="too_long"):
        engine.score_ids([Given(long, (len(long) - 1,))], lambda number, scored: None)
