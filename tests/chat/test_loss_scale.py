"""Weights within answers: exact by character, and by token in whatever way the tokens were made."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from swift.chat import reasons
from swift.chat.codec import Codec, make_codec
from swift.chat.encode import encode
from swift.chat.loss_scale import LossScale, Scale, loss_scales, read_loss_scale
from swift.chat.predicates import prove_rows, prove_template
from swift.config.chat import ChatConfig
from swift.errors import ConfigError, RowError, UnknownNameError
from swift.types import Conversation, Message
from tests.chat.support import CHATML, CONVERSATIONS, chat, codec_for, sentence_piece_like, wrap

REACT = 'Thought: I look.\nAction: find\nAction Input: {"a": 1}\nObservation: made up\nThought: so\nFinal Answer: 7'


def told(name: str, text: str, question: str = "") -> list[tuple[str, float]]:
    """(text, weight) of each stretch."""
    return [(text[a:b], weight) for a, b, weight in read_loss_scale(name).stretches(text, question)]


def weighed(sample: Conversation, codec: Codec, **options: object) -> list[tuple[str, float]]:
    """(text, weight) of each run of tokens of one weight above 0, over all sequences."""
    found: list[tuple[str, float]] = []
    for tokens in encode(sample, codec, ChatConfig(**options)).sequences:
        starts = [0, *(np.flatnonzero(np.diff(tokens.weights)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], len(tokens)], strict=True):
            if tokens.weights[start]:
                found.append((codec.decode(tokens.ids[start:end].tolist()), float(tokens.weights[start])))
    return found


def test_react() -> None:
    assert told("react", REACT) == [
        ("Thought: I look.\n", 1.0),
        ('Action: find\nAction Input: {"a": 1}\nObservation:', 2.0),
        (" made up\n", 0.0),
        ("Thought: so\nFinal Answer: 7", 1.0),
    ]


def test_alpha_umi_knows_whose_turn_is_next() -> None:
    assert told("alpha_umi", "so. Next: caller.") == [("so. ", 1.0), ("Next: caller.", 2.0)]
    assert told("react", "so. Next: caller.") == []


def test_agentflan_weighs_what_follows_a_keyword() -> None:
    assert told("agentflan", "Thought: x\nAction: find") == [("Thought: x\nAction:", 1.0), (" find", 3.0)]
    question = "What is the value of city?"
    assert told("agentflan", "Action: Rome", question) == [("Action: Rome", 3.0)]
    # The longest of two keywords counts, and a keyword has its own weight.
    assert told("agentflan", "ACTION_INPUT: 1") == [("ACTION_INPUT:", 1.0), (" 1", 3.0)]


def test_qwen() -> None:
    assert told("qwen", "a ✿FUNCTION✿: f\n✿ARGS✿: {}\n✿RESULT✿: x\n✿RETURN✿: y") == [
        ("a ", 1.0),
        ("✿FUNCTION✿: f\n✿ARGS✿: {}\n✿RESULT✿:", 2.0),
        (" x\n", 0.0),
        ("✿RETURN✿: y", 1.0),
    ]


def test_hermes_weighs_each_call_over_lines() -> None:
    text = "I do.\n<tool_call>\n{}\n</tool_call>\n<tool_call>\n{}\n</tool_call>"
    assert told("hermes", text) == [
        ("I do.\n", 1.0),
        ("<tool_call>\n{}\n</tool_call>", 2.0),
        ("\n", 1.0),
        ("<tool_call>\n{}\n</tool_call>", 2.0),
    ]


@pytest.mark.parametrize(
    ("text", "ignored"),
    [
        ("<think>\n\n</think>\n\nyes", "<think>\n\n</think>\n\n"),
        ("<think></think>yes", "<think></think>"),
        ("</think>\n\nyes", "</think>\n\n"),
        ("</mm:think>yes", "</mm:think>"),
        ("<|channel>thought\n<channel|>yes", "<|channel>thought\n<channel|>"),
        (
            "<seed:think><seed:cot_budget_reflect>none</seed:cot_budget_reflect>\n</seed:think>yes",
            "<seed:think><seed:cot_budget_reflect>none</seed:cot_budget_reflect>\n</seed:think>",
        ),
    ],
)
def test_empty_thinking_is_ignored(text: str, ignored: str) -> None:
    assert told("ignore_empty_think", text) == [(ignored, 0.0), ("yes", 1.0)]


@pytest.mark.parametrize("text", ["<think>\nso\n</think>\n\nyes", "I say <think></think>", "yes"])
def test_thinking_with_words_is_not_ignored(text: str) -> None:
    assert told("ignore_empty_think", text) == []


def test_weights_multiply_in_a_chain() -> None:
    text = "<think></think>Action: f <tool_call>x</tool_call>"
    assert told("react+hermes+ignore_empty_think", text) == [
        ("<think></think>", 0.0),
        ("Action: f ", 2.0),
        ("<tool_call>x</tool_call>", 4.0),
    ]
    assert told("hermes+hermes", "<tool_call>x</tool_call>") == [("<tool_call>x</tool_call>", 4.0)]


def test_a_file_has_keywords_patterns_and_questions(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"KEY:": [2, 0.5], "<b>.+?</b>": [3], "\\d+": 0}))
    assert told(str(path), "a KEY: b<b>\n</b>1") == [
        ("a ", 1.0),
        ("KEY:", 2.0),
        (" b", 0.5),
        ("<b>\n</b>", 1.5),
        ("1", 0.0),
    ]
    path.write_text(json.dumps({"response": {"KEY:": [2, 2]}, "query": {"why": 5}}))
    assert told(str(path), "KEY: b", "tell me why") == [("KEY: b", 5.0)]
    assert told(str(path), "KEY: b", "tell me") == [("KEY: b", 2.0)]


@pytest.mark.parametrize(
    "content", ["[1]", '{"a": "b"}', '{"a": [1, 2, 3]}', '{"a": -1}', '{"(": 1}', "{", '{"": 1}', '{"a": true}']
)
def test_a_bad_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.json cannot be used") as caught:
        read_loss_scale(f"last_round+{path}")
    assert caught.value.hint
    with pytest.raises(ConfigError, match="cannot be read"):
        read_loss_scale(str(tmp_path / "none.json"))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown loss scale 'hermez'") as caught:
        codec_for(CHATML, loss_scale="last_round+hermez")
    assert "hermes" in caught.value.hint


def test_a_plugin_may_add_one() -> None:
    loss_scales.register("test_only")(Scale(patterns=(("x+", 3.0),)))
    assert told("test_only", "axx") == [("a", 1.0), ("xx", 3.0)]


SAMPLE = CONVERSATIONS["tools_text"]
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "São Paulo"}}\n</tool_call>'


def test_tokens_of_a_call_weigh_more() -> None:
    codec = codec_for(CHATML, loss_scale="hermes")
    assert weighed(SAMPLE, codec) == [
        ("Let me look.\n", 1.0),
        (CALL, 2.0),
        ("<|im_end|>", 1.0),
        ("Sunny ☀️<|im_end|>", 1.0),
    ]
    assert codec_for(CHATML).fingerprint != codec.fingerprint


def test_whatever_splits_the_text_into_tokens_the_weights_are_the_same() -> None:
    marks = ("<|begin|>", "<|im_start|>", "<|im_end|>")
    for greedy in (False, True):
        tokenizer = wrap(sentence_piece_like(marks, greedy=greedy), CHATML, eos="<|im_end|>")
        codec = make_codec(tokenizer, ChatConfig(loss_scale="hermes"), stop_ids=[])
        found = weighed(SAMPLE, codec)
        assert [(text.strip(), weight) for text, weight in found if weight == 2] == [(CALL, 2.0)]
        assert {weight for _, weight in found} == {1.0, 2.0}


def test_turns_apart_weigh_the_same() -> None:
    apart = CHATML.replace("assistant\n'", "assistant'").replace(
        "message.content +", "('\n' if message.role == 'assistant' else '') + message.content +"
    )
    found = weighed(SAMPLE, codec_for(apart, loss_scale="hermes"))
    assert [(text, weight) for text, weight in found if weight == 2] == [(CALL, 2.0)]


def test_the_turns_and_the_rows_own_weights_multiply() -> None:
    codec = codec_for(CHATML, loss_scale="hermes")
    half = chat(("user", "a"), Message("assistant", "<tool_call>x</tool_call> y", loss_weight=0.5), weight=3.0)
    assert weighed(half, codec) == [("<tool_call>x</tool_call>", 3.0), (" y<|im_end|>", 1.5)]


def test_last_round_is_what_follows_the_last_user_or_tool_turn() -> None:
    codec = codec_for(CHATML, loss_scale="last_round")
    assert weighed(SAMPLE, codec) == [("Sunny ☀️<|im_end|>", 1.0)]
    asked = chat(*SAMPLE.messages, ("user", "thanks"))
    with pytest.raises(RowError) as caught:
        encode(asked, codec, ChatConfig(loss_scale="last_round"))
    assert caught.value.reason == reasons.NO_TARGET


def test_all_trains_every_token_but_the_first_and_still_weighs_calls() -> None:
    codec = codec_for(CHATML, loss_scale="all+hermes")
    (tokens,) = encode(SAMPLE, codec, ChatConfig(loss_scale="all+hermes")).sequences
    assert (tokens.weights[1:] > 0).all()
    assert codec.decode(tokens.ids[tokens.weights == 2].tolist()) == CALL


def test_a_scale_that_leaves_nothing_drops_the_row(tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text('{".+": 0}')
    codec = codec_for(CHATML, loss_scale=str(path))
    # The stop token counts as ever, so that a model does not forget to stop.
    assert weighed(CONVERSATIONS["single"], codec) == [("<|im_end|>", 1.0)]


@pytest.mark.parametrize("kind", CONVERSATIONS)
@pytest.mark.parametrize("thinking", ["template", "keep", "strip"])
def test_a_scale_changes_weights_and_nothing_else(kind: str, thinking: str) -> None:
    plain, scaled = codec_for(CHATML), codec_for(CHATML, loss_scale="hermes+react")
    before = encode(CONVERSATIONS[kind], plain, ChatConfig(thinking=thinking))
    after = encode(CONVERSATIONS[kind], scaled, ChatConfig(thinking=thinking, loss_scale="hermes+react"))
    assert len(before.sequences) == len(after.sequences)
    for one, other in zip(before.sequences, after.sequences, strict=True):
        assert one.ids.tolist() == other.ids.tolist()
        assert ((one.weights > 0) == (other.weights > 0)).all()


@pytest.mark.parametrize("truncation", ["left", "right"])
def test_weights_survive_a_cut(truncation: str) -> None:
    whole = len(encode(SAMPLE, codec_for(CHATML), ChatConfig()).sequences[0])
    options = {"loss_scale": "hermes", "truncation": truncation, "max_length": whole - 4}
    codec = codec_for(CHATML, **options)
    row = encode(SAMPLE, codec, ChatConfig(**options))
    assert row.outcome == "truncated"
    assert 2.0 in row.sequences[0].weights


def test_the_proofs_hold_with_any_scale(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"e": 0}')
    for name in ("hermes", "last_round+react", "all+hermes", str(path)):
        codec = codec_for(CHATML, loss_scale=name)
        options = ChatConfig(loss_scale=name)
        assert all(verdict.ok for verdict in prove_template(codec, options))
        assert [v for v in prove_rows([SAMPLE, CONVERSATIONS["multi_turn"]], codec, options) if not v.ok] == []


def test_it_travels_to_worker_processes() -> None:
    codec = pickle.loads(pickle.dumps(codec_for(CHATML, loss_scale="hermes+react")))
    assert codec.loss_scale == read_loss_scale("hermes+react") != LossScale()
    assert (CALL, 2.0) in weighed(SAMPLE, codec)
