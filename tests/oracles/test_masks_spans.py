"""Our trained spans against those that trl's `*_training` templates mark with {% generation %}."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import pytest

pytest.importorskip("trl")

from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode, trained_turns
from swift.chat.messages import prepare
from swift.chat.template import wire_messages, wire_tools
from swift.config.chat import ChatConfig
from swift.errors import RowError
from swift.types import Conversation
from tests.chat.support import CONVERSATIONS, tokenizer_for
from tests.oracles import mask_exceptions as known
from tests.oracles.templates import PAIRS, read, stops

OPTIONS = ChatConfig(tool_format="template")
CASES = [(name, kind) for name in PAIRS for kind in CONVERSATIONS]


@lru_cache(maxsize=1)
def load(name: str) -> tuple[PreTrainedTokenizerFast, Codec]:
    tokenizer = tokenizer_for(read(name) + read(f"{name}_training"), stops(name))
    tokenizer.chat_template = read(name)
    ids = [tokenizer.convert_tokens_to_ids(stop) for stop in stops(name)]
    return tokenizer, make_codec(tokenizer, OPTIONS, stop_ids=ids)


def marked(name: str, tokenizer: PreTrainedTokenizerFast, codec: Codec, sample: Conversation) -> list[str]:
    """The marked texts, one for each assistant turn, as the training template renders the whole conversation."""
    # The training templates take arguments as objects.
    dialect = replace(codec.template.dialect, arguments="object")
    texts, places = render_jinja_template(
        [wire_messages(sample.messages, dialect)],
        tools=wire_tools(sample.tools),
        chat_template=read(f"{name}_training"),
        return_assistant_tokens_mask=True,
        add_generation_prompt=False,
        **{**tokenizer.special_tokens_map, **sample.template_kwargs},
    )
    joined: list[list[int]] = []
    for start, end in places[0]:
        if joined and joined[-1][1] == start:
            joined[-1][1] = end
        elif start < end:
            joined.append([start, end])
    return [texts[0][start:end] for start, end in joined]


def sentence(table: Mapping[tuple[str, str], str], name: str, kind: str) -> str | None:
    return table.get((name, kind)) or table.get((name, known.ANY))


def same(ours: str, theirs: str, prompt: str, name: str, kind: str) -> bool:
    """Whether a span equals a marked text, but for supplied tokens, white space behind the stop, and known cases."""
    theirs = theirs.rstrip()
    if sentence(known.MORE_BEHIND_STOP, name, kind):
        theirs = theirs.removesuffix(stops(name)[0]).rstrip()
    if sentence(known.CLOSES_THINKING, name, kind):
        ours = ours.partition("</think>\n\n")[2]
        theirs = theirs.partition("</think>\n\n")[2] or theirs
        prompt = prompt.removesuffix("<think>\n")
    if sentence(known.STOP_NOT_MARKED, name, kind):
        ours = ours.removesuffix("<|tool_response>")
    if sentence(known.HEADER_WRITTEN, name, kind):
        ours = ours.removeprefix("<|turn>model\n")
    supplied = theirs.removesuffix(ours)
    return theirs.endswith(ours) and prompt.endswith(supplied)


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_spans_equal_the_marks_of_the_training_template(name: str, kind: str) -> None:
    tokenizer, codec = load(name)
    sample = prepare(CONVERSATIONS[kind], codec, OPTIONS)
    refused = known.REFUSED.get((name, kind))
    if refused is not None:
        with pytest.raises(RowError) as caught:
            trained_turns(sample, codec, OPTIONS)
        assert caught.value.reason == refused[0], refused[1]
        return
    turns = trained_turns(sample, codec, OPTIONS)
    theirs = marked(name, tokenizer, codec, sample)
    assert len(turns) == len(theirs)
    for turn, text in zip(turns, theirs, strict=True):
        if not same(turn.span, text, turn.prompt, name, kind):
            assert name in known.LAST_TURN_DIFFERS, f"{turn.span!r} is not {text!r}"
            cut = replace(sample, messages=sample.messages[: turn.index + 1])
            assert same(turn.span, marked(name, tokenizer, codec, cut)[-1], turn.prompt, name, kind)


@pytest.mark.parametrize(("name", "kind"), [case for case in CASES if case not in known.REFUSED])
def test_token_masks_equal_the_spans(name: str, kind: str) -> None:
    """Every run of trained tokens decodes to a span, stands behind the ids of its prompt, and no other token counts."""
    _, codec = load(name)
    turns = trained_turns(prepare(CONVERSATIONS[kind], codec, OPTIONS), codec, OPTIONS)
    found = []
    for tokens in encode(CONVERSATIONS[kind], codec, OPTIONS).sequences:
        start = 0
        while start < len(tokens):
            end = start
            while end < len(tokens) and tokens.weights[end]:
                end += 1
            if end > start:
                found.append((codec.decode(tokens.ids[:start].tolist()), codec.decode(tokens.ids[start:end].tolist())))
                before = next(turn.prompt for turn in turns if turn.prompt == found[-1][0])
                assert tokens.ids[:start].tolist() == codec.encode(before)
            start = end + 1
    assert sorted(found) == sorted((turn.prompt, turn.span) for turn in turns)


def test_token_masks_equal_those_of_transformers() -> None:
    """On templates that mark exactly what is generated, the masks are the same token for token."""
    for name in ("cohere", "cohere2"):
        tokenizer, codec = load(name)
        for kind in ("single", "multi_turn", "role_names"):
            sample = prepare(CONVERSATIONS[kind], codec, OPTIONS)
            theirs = tokenizer.apply_chat_template(
                wire_messages(sample.messages, codec.template.dialect),
                chat_template=read(f"{name}_training"),
                return_dict=True,
                return_assistant_tokens_mask=True,
            )
            (tokens,) = encode(sample, codec, OPTIONS).sequences
            length = len(tokens)
            assert tokens.ids.tolist() == theirs["input_ids"][:length]
            mask = [bool(weight) for weight in tokens.weights]
            assert mask[:-1] == [bool(mark) for mark in theirs["assistant_masks"][: length - 1]], (name, kind)
            assert mask[-1]


def test_every_exception_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    for table in (known.CLOSES_THINKING, known.MORE_BEHIND_STOP, known.STOP_NOT_MARKED, known.HEADER_WRITTEN):
        for (name, kind), why in list(table.items()):
            tokenizer, codec = load(name)
            kind = "multi_turn" if kind == known.ANY else kind
            sample = prepare(CONVERSATIONS[kind], codec, OPTIONS)
            turns = trained_turns(sample, codec, OPTIONS)
            pairs = list(zip(turns, marked(name, tokenizer, codec, sample), strict=True))
            assert all(same(turn.span, text, turn.prompt, name, kind) for turn, text in pairs)
            with monkeypatch.context() as patch:
                patch.delitem(table, next(key for key in table if table[key] == why and key[0] == name))
                assert not all(same(turn.span, text, turn.prompt, name, kind) for turn, text in pairs), why
    assert {*known.LAST_TURN_DIFFERS, *(name for name, _ in known.REFUSED)} <= set(PAIRS)
