"""Chats as messages, for servers that render them themselves: what is sent, and how answers are put together."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from PIL import Image

from swift.chat.parse import parse_answer
from swift.config.chat import ChatConfig
from swift.config.engine import OpenaiConfig, VllmConfig
from swift.config.media import MediaConfig
from swift.config.model import ModelConfig
from swift.engines.folders import plan_model
from swift.engines.messages import wire_messages
from swift.engines.open import no_model
from swift.engines.openai import OpenAIEngine
from swift.engines.remote import connect
from swift.errors import ConfigError, RowError
from swift.models.tiny import save_tiny
from swift.types import Completion, Conversation, Media, Message, Origin, Placed, Request, Sampling, Text, ToolCall
from tests.engines.served import EngineServer, serving

ORIGIN = Origin("test", 1)
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CHAT = Conversation(
    (
        Message("system", "be brief"),
        Message("user", "Weather in Rome and Paris?"),
        Message("assistant", "", tool_calls=(ToolCall("weather", {"city": "Rom\u00e8"}), ToolCall("weather", "{}"))),
        Message("tool", "21 degrees"),
        Message("tool", "9 degrees"),
        Message("assistant", "21 and 9.", reasoning="read"),
        Message("user", "And now?"),
        Message("assistant", "what the row says"),
    ),
    ORIGIN,
    tools=(WEATHER,),
)


@pytest.fixture
def server(make_engine) -> Iterator[EngineServer]:
    with serving(make_engine("llama")) as running:
        yield running


@pytest.fixture
def engine(server: EngineServer) -> Iterator[OpenAIEngine]:
    server.models = [{"id": "gpt-x", "owned_by": "somebody"}]
    made = connect(OpenaiConfig(url=server.url, retries=0), no_model(ChatConfig(), MediaConfig()))
    yield made
    made.close()


def event(finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_what_is_sent(engine: OpenAIEngine, server: EngineServer) -> None:
    server.chat = [{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}]
    (found,) = engine.generate([Request(CHAT, Sampling(max_new_tokens=7, temperature=0.5, seed=3))])
    assert isinstance(found, Completion)
    body = server.asked[-1]
    sent = body["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    calls = sent[2]["tool_calls"]
    assert json.loads(calls[0]["function"]["arguments"]) == {"city": "Rom\u00e8"}
    assert calls[1]["function"]["arguments"] == "{}"
    assert [sent[3]["tool_call_id"], sent[4]["tool_call_id"]] == [call["id"] for call in calls]
    assert sent[5]["reasoning_content"] == "read"
    assert body["tools"] == [WEATHER]
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == ("gpt-x", 7, 0.5, 3)
    assert "top_k" not in body, "servers of others refuse what they do not know"
    assert "messages" in engine.description


def test_answers_are_put_together_and_taken_apart_again(engine: OpenAIEngine, server: EngineServer) -> None:
    usage = {"prompt_tokens": 31, "completion_tokens": 17}
    server.chat = [
        event(reasoning_content="let me "),
        event(reasoning_content="think"),
        event(content="Line\u2028one\u0085, "),
        event(content="so: "),
        event(tool_calls=[{"index": 0, "function": {"name": "weather", "arguments": '{"city": '}}]),
        event(tool_calls=[{"index": 1, "function": {"name": "weather", "arguments": "{}"}}]),
        event(tool_calls=[{"index": 0, "function": {"arguments": '"Rome"}'}}]),
        event("tool_calls"),
        {"choices": [], "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 8}}},
    ]
    done: list[Completion] = []
    text = "".join(engine.stream(Request(CHAT), on_done=lambda _, answer: done.append(answer)))
    (whole,) = done
    assert whole.text == text
    assert (whole.prompt_tokens, whole.new_tokens, whole.cached_tokens, whole.finish) == (31, 17, 8, "stop")
    message = parse_answer(text, engine.codec, CHAT.tools)
    assert message.reasoning == "let me think"
    assert message.content == "Line\u2028one\u0085, so:"
    assert [(call.name, call.arguments) for call in message.tool_calls] == [
        ("weather", {"city": "Rome"}),
        ("weather", {}),
    ]


def test_a_picture_travels_with_the_message(engine: OpenAIEngine, server: EngineServer, tmp_path) -> None:
    Image.new("RGB", (3, 2), (255, 0, 0)).save(tmp_path / "red.png")
    picture = Placed(4, Media("image", "red.png", folder=str(tmp_path)))
    chat = Conversation((Message("user", "See this?", media=(picture,)),), ORIGIN)
    server.chat = [{"choices": [{"message": {"content": "red"}, "finish_reason": "stop"}]}]
    assert isinstance(engine.generate([Request(chat)])[0], Completion)
    parts = server.asked[-1]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["text", "image_url", "text"]
    head, _, data = parts[1]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).getpixel((0, 0)) == (255, 0, 0)
    missing = replace(chat, messages=(Message("user", "x", media=(Placed(0, Media("image", "none.png")),)),))
    video = replace(chat, messages=(Message("user", "x", media=(Placed(0, Media("video", "a.mp4")),)),))
    found = engine.generate([Request(missing), Request(video)])
    assert all(isinstance(item, RowError) for item in found)


def test_plain_text_goes_on(engine: OpenAIEngine, server: EngineServer) -> None:
    def answer(handler) -> bool:
        choice = {"text": " is Paris", "finish_reason": "length"}
        handler.send_json(200, {"choices": [choice], "usage": {"completion_tokens": 2}})
        return True

    server.faults = [answer]
    (found,) = engine.generate([Request(Text("The capital", ORIGIN), Sampling(max_new_tokens=2))])
    assert isinstance(found, Completion)
    assert (found.text, found.new_tokens, found.finish) == (" is Paris", 2, "length")
    assert server.asked[-1]["prompt"] == "The capital"


def test_nothing_to_answer() -> None:
    with pytest.raises(RowError, match="no turn"):
        wire_messages((Message("assistant", "x"),), MediaConfig())


def test_which_model_of_a_server(server: EngineServer) -> None:
    nothing = no_model(ChatConfig(), MediaConfig())
    server.models = [{"id": "one"}, {"id": "two"}, {"id": "lora", "parent": "one"}]
    with pytest.raises(ConfigError, match="which model") as error:
        connect(OpenaiConfig(url=server.url), nothing)
    assert "one, two" in error.value.hint
    with pytest.raises(ConfigError, match="has no 'three'"):
        connect(OpenaiConfig(url=server.url, model_name="three"), nothing)
    for name in ("two", "lora"):
        connect(OpenaiConfig(url=server.url, model_name=name), nothing).close()


def test_a_checkpoint_makes_ids_of_prompts(server: EngineServer, tmp_path) -> None:
    folder = save_tiny(tmp_path / "model", "llama")
    plan = plan_model(ModelConfig(id=str(folder)), [], ChatConfig())
    for config in (OpenaiConfig(url=server.url), VllmConfig(url=server.url)):
        engine = connect(config, plan)
        short = Conversation((Message("system", "be brief"), Message("user", "hello")), ORIGIN)
        (found,) = engine.generate([Request(short, Sampling(max_new_tokens=2))])
        engine.close()
        assert isinstance(found, Completion), found
        assert isinstance(server.asked[-1]["prompt"][0], int)
        assert server.asked[-1]["top_k"] == 0, "known to be vLLM"


def test_a_key_comes_from_a_variable(server: EngineServer, monkeypatch) -> None:
    nothing = no_model(ChatConfig(), MediaConfig())
    config = OpenaiConfig(url=server.url, api_key_variable="SWIFT_TEST_KEY")
    with pytest.raises(ConfigError, match="SWIFT_TEST_KEY is not set"):
        connect(config, nothing)
    monkeypatch.setenv("SWIFT_TEST_KEY", "sesame")
    engine = connect(config, nothing)
    server.chat = [{"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}]
    engine.generate([Request(CHAT)])
    engine.close()
    assert server.headers_seen[-1]["Authorization"] == "Bearer sesame"
