"""From turns to messages, and from events to replies."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swift.app.talk import Attachment, Call, PageError, Reply, Turn, attachment, grown, messages_of, part_of, results_of
from swift.serving.events import CallPart, Event


def said(text: str, *answers: str | None) -> Turn:
    replies = tuple(None if answer is None else Reply("m", answer, finish="stop") for answer in answers)
    return Turn(text, replies=replies)


def test_each_column_sees_its_own_answers() -> None:
    turns = [said("a", "one", "eins"), said("b", "two", None), Turn("c")]
    assert [(m["role"], m["content"]) for m in messages_of(turns, 0, "be kind")] == [
        ("system", "be kind"),
        ("user", "a"),
        ("assistant", "one"),
        ("user", "b"),
        ("assistant", "two"),
        ("user", "c"),
    ]
    assert [m["content"] for m in messages_of(turns, 1, "  ")] == ["a", "eins", "c"]


def test_what_failed_is_not_sent_again() -> None:
    failed = Turn("x", replies=(Reply("m", error="refused"), None))
    stopped = Turn("y", replies=(Reply("m", "half", finish="stopped"), None))
    assert [m["content"] for m in messages_of([failed, stopped, Turn("z")], 0, "")] == ["y", "half", "z"]


def test_files_become_parts(tmp_path: Path) -> None:
    picture, sound = tmp_path / "a.png", tmp_path / "b.wav"
    picture.write_bytes(b"png")
    sound.write_bytes(b"wav")
    turn = Turn("look", (attachment(str(picture)), attachment(str(sound))))
    first, second, third = messages_of([turn], 0, "")[0]["content"]
    assert first == {
        "type": "image_url",
        "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'png').decode()}"},
    }
    assert second["input_audio"]["format"] == "wav"
    assert base64.b64decode(second["input_audio"]["data"]) == b"wav"
    assert third == {"type": "text", "text": "look"}


def test_a_film_is_a_video(tmp_path: Path) -> None:
    (tmp_path / "c.mp4").write_bytes(b"x")
    assert part_of(attachment(str(tmp_path / "c.mp4")))["video_url"]["url"].startswith("data:video/mp4;")


@pytest.mark.parametrize("name", ["notes.pdf", "x", "a.html", ".png", "<img>.txt"])
def test_other_files_are_refused(name: str) -> None:
    with pytest.raises(PageError, match="neither a picture nor a sound nor a video"):
        attachment(f"/tmp/{name}")


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(PageError, match=r"a\.png is no longer there"):
        part_of(Attachment(str(tmp_path / "a.png"), "image"))


def test_what_follows_a_call_is_its_result() -> None:
    call = Turn("weather?", replies=(Reply("m", calls=(Call("look", '{"a": 1}', "7"),), finish="tool_calls"), None))
    _, asked, told = messages_of([call, Turn("sunny")], 0, "")
    assert asked["tool_calls"] == [
        {"id": "7", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
    ]
    assert told == {"role": "tool", "tool_call_id": "7", "content": "sunny"}


def test_several_calls_need_several_results() -> None:
    assert results_of('["a", {"b": 1}]', 2) == ["a", '{"b":1}']
    for text in ("a", "[1]", "[1, 2, 3]", "{}"):
        with pytest.raises(PageError, match="JSON list of 2 results"):
            results_of(text, 2)


def test_a_reply_grows() -> None:
    reply = Reply("m")
    events = [
        Event(reasoning="hm"),
        Event(content="a"),
        Event(content="b", calls=(CallPart(0, "7", "look", '{"a'),)),
        Event(calls=(CallPart(0, None, "", '": 1}'), CallPart(1, None, "see", ""))),
        Event(finish="tool_calls"),
        Event(usage=(3, 9)),
    ]
    for place, event in enumerate(events):
        assert reply.growing == (place < 5)
        reply = grown(reply, event, float(place + 1))
    assert (reply.reasoning, reply.content, reply.finish, reply.usage) == ("hm", "ab", "tool_calls", (3, 9))
    assert reply.calls == (Call("look", '{"a": 1}', "7"), Call("see", "", "call_1"))
    assert (reply.first, reply.seconds) == (1.0, 6.0)


@given(st.lists(st.text(max_size=8)))
def test_pieces_join(pieces: list[str]) -> None:
    reply = Reply("m")
    for piece in pieces:
        reply = grown(reply, Event(content=piece), 1.0)
    assert reply.content == "".join(pieces)


def test_a_call_that_turned_out_to_be_none_is_left_out_at_the_end() -> None:
    reply = Reply("m")
    for event in (
        Event(calls=(CallPart(0, "a", "look", ""),)),
        Event(calls=(CallPart(0, None, "", '{"word": "b'),)),
        Event(calls=(CallPart(1, "b", "look", '{"word": "sky"}'),)),
    ):
        reply = grown(reply, event, 1.0)
    assert [call.arguments for call in reply.calls] == ['{"word": "b', '{"word": "sky"}']
    reply = grown(reply, Event(content="<tool_call>", finish="stop"), 2.0)
    assert [call.arguments for call in reply.calls] == ['{"word": "sky"}']
