"""Sessions, against a real server whose engine says what it is told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra serve is not installed")

from swift.app.session import Session, Sessions
from swift.app.talk import Attachment, PageError
from swift.app.wish import Wish
from swift.serving.client import AsyncInferClient
from tests.serving.support import THINKING, Running, serving, until

ONE = ("tiny", None)
BOTH = ("tiny", "pirate")


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving() as running:
        yield running


@asynccontextmanager
async def chatting(url: str, *, key: str | None = None) -> AsyncIterator[Session]:
    async with AsyncInferClient(url, retries=0, api_key=key) as client:
        yield Session(client)


def run(work: Callable[[Session], Awaitable[None]], url: str) -> None:
    async def whole() -> None:
        async with chatting(url) as session:
            await work(session)

    asyncio.run(whole())


async def say(session: Session, text: str, models: tuple[str | None, ...] = ONE, wish: Wish | None = None) -> None:
    async for _ in session.say(text, (), models, wish or Wish()):
        pass


def words(session: Session, column: int = 0) -> list[str]:
    return [reply.content for turn in session.turns if (reply := turn.replies[column]) is not None]


def test_it_answers_in_both_columns_at_once(server: Running) -> None:
    async def work(session: Session) -> None:
        seen = []
        async for _ in session.say("[pause 0.05]" + "word " * 30, (), BOTH, Wish()):
            seen.append(tuple(len(reply.content) for reply in session.turns[-1].replies if reply))
        assert any(0 < first < 150 and 0 < second < 150 for first, second in seen)
        assert words(session) == words(session, 1) == ["word " * 29 + "word"]
        await say(session, "[adapter]", BOTH)
        assert (words(session)[-1], words(session, 1)[-1]) == ("base", "pirate")
        reply = session.turns[-1].replies[0]
        assert reply is not None
        assert reply.usage is not None
        assert reply.finish == "stop"

    run(work, server.url)


def test_the_prompt_holds_the_chat_and_the_fields(server: Running) -> None:
    async def work(session: Session) -> None:
        await say(session, "first words")
        await say(session, "[sampling]", wish=Wish(temperature="0.5", top_k="7", seed="3", max_tokens="400"))
        assert all(part in words(session)[-1] for part in ("temperature=0.5", "top_k=7", "seed=3"))
        await say(session, "[prompt]", wish=Wish(system="Be kind."))
        prompt = words(session)[-1]
        assert prompt.index("Be kind.") < prompt.index("user\nfirst words") < prompt.index("assistant\nfirst words")

    run(work, server.url)


def test_stopping_keeps_what_has_come_and_stops_the_server(server: Running) -> None:
    async def work(session: Session) -> None:
        async for _ in session.say("[pause 0.05]" + "word " * 900, (), BOTH, Wish()):
            if any(reply and reply.content for reply in session.turns[-1].replies):
                session.stop()
        replies = session.turns[-1].replies
        assert [reply.finish for reply in replies if reply] == ["stopped", "stopped"]
        assert 0 < len(words(session)[0]) < 4000
        assert not session.busy
        await say(session, "and on")
        assert words(session)[-1] == "and on"

    run(work, server.url)
    with server.client() as http:
        until(lambda: "swift_running 0.0" in http.get("/metrics").text, server, seconds=20)
    assert any(line.get("gone") for line in server.log())


def test_one_answer_at_a_time(server: Running) -> None:
    async def work(session: Session) -> None:
        async for _ in session.say("[pause 0.05]" + "word " * 20, (), ONE, Wish()):
            if not session.busy:
                break
            for refused in (session.say("x", (), ONE, Wish()), session.again(0, None, ONE, Wish())):
                with pytest.raises(PageError, match="an answer is being written"):
                    await anext(refused)
            with pytest.raises(PageError, match="an answer is being written"):
                session.undo()
        assert len(session.turns) == 1

    run(work, server.url)


def test_again_edit_undo_clear(server: Running) -> None:
    async def work(session: Session) -> None:
        for text in ("a", "b", "c"):
            await say(session, text)
        async for _ in session.again(2, None, ONE, Wish()):
            pass
        assert words(session) == ["a", "b", "c"]
        async for _ in session.again(1, "other", ONE, Wish()):
            pass
        assert words(session) == ["a", "other"]
        assert session.undo().text == "other"
        assert words(session) == ["a"]
        session.clear()
        assert session.turns == ()
        with pytest.raises(PageError, match="nothing to undo"):
            session.undo()
        for number in (-1, 0, 5):
            with pytest.raises(PageError, match="nothing to answer again"):
                await anext(session.again(number, None, ONE, Wish()))

    run(work, server.url)


def test_clearing_in_the_middle(server: Running) -> None:
    async def work(session: Session) -> None:
        async for _ in session.say("[pause 0.05]" + "word " * 900, (), ONE, Wish()):
            session.clear()
        assert session.turns == ()
        await say(session, "new")
        assert words(session) == ["new"]

    run(work, server.url)


@pytest.mark.parametrize(
    ("text", "models", "wish", "words"),
    [
        ("  ", ONE, Wish(), "nothing to send"),
        ("x", (None, None), Wish(), "no model to ask"),
        ("x", ONE, Wish(tools="["), "tools: not JSON"),
        ("x", ONE, Wish(seed="1.5"), "no whole number"),
    ],
)
def test_what_cannot_be_sent_leaves_the_chat_alone(
    server: Running, text: str, models: tuple[str | None, ...], wish: Wish, words: str
) -> None:
    async def work(session: Session) -> None:
        with pytest.raises(PageError, match=words):
            await say(session, text, models, wish)
        assert session.turns == ()

    run(work, server.url)


@pytest.mark.parametrize(
    ("text", "models", "wish", "error"),
    [
        ("[refuse]", ONE, Wish(), "400: the prompt has 9 tokens, the model takes 8"),
        ("x", ("<b>nobody</b>", None), Wish(), "404: the model does not exist"),
        ("x", ONE, Wish(temperature="9"), "400: temperature"),
        ("[break]", ONE, Wish(), "could not answer this request"),
    ],
)
def test_what_the_server_refuses_is_one_line(
    server: Running, text: str, models: tuple[str | None, ...], wish: Wish, error: str
) -> None:
    async def work(session: Session) -> None:
        await say(session, text, models, wish)
        reply = session.turns[-1].replies[0]
        assert reply is not None
        assert error in reply.error
        assert "\n" not in reply.error
        await say(session, "[prompt]")  # which is not told of what failed
        assert words(session)[-1].count("<|im_start|>user") == 1

    run(work, server.url)


def test_nobody_there_then_somebody(server: Running) -> None:
    async def work() -> None:
        async with chatting("http://127.0.0.1:9") as session:
            await say(session, "x")
            reply = session.turns[-1].replies[0]
            assert reply is not None
            assert reply.error.startswith("the server cannot be reached")
            assert "\n" not in reply.error
            async with AsyncInferClient(server.url) as client:
                back = Session(client)
                back.turns = session.turns
                await say(back, "hello again")
                assert words(back)[-1] == "hello again"

    asyncio.run(work())


def test_a_server_that_dies_in_the_middle() -> None:
    async def work(running: Running) -> None:
        async with chatting(running.url) as session:
            async for _ in session.say("[pause 0.05]" + "word " * 900, (), ONE, Wish()):
                if words(session)[-1] and running.process.poll() is None:
                    running.process.kill()
            reply = session.turns[-1].replies[0]
            assert reply is not None
            assert reply.content
            assert reply.error
            assert "\n" not in reply.error

    with serving() as running:
        asyncio.run(work(running))


def test_thinking_comes_apart() -> None:
    async def work(session: Session) -> None:
        await say(session, "I wonder.\n</think>\n\nSo.")
        reply = session.turns[-1].replies[0]
        assert reply is not None
        assert (reply.reasoning.strip(), reply.content.strip()) == ("I wonder.", "So.")

    with serving(template=THINKING) as running:
        run(work, running.url)


def test_sessions_do_not_mix_and_are_few(server: Running, tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncInferClient(server.url) as client:
            sessions = Sessions(client, most=3, folder=tmp_path)
            texts = [f"number {number}" for number in range(3)]
            await asyncio.gather(*(say(sessions.of(text), text) for text in texts))
            assert [words(sessions.of(text)) for text in texts] == [[text] for text in texts]
            sessions.of("one more")
            assert len(sessions) == 3
            assert sessions.of("number 0").turns == ()

    asyncio.run(work())


def test_files_go_with_the_last_session_that_shows_them(server: Running, tmp_path: Path) -> None:
    async def work() -> None:
        uploads = tmp_path / "uploads"
        uploads.mkdir()
        shared, other = uploads / "a.png", tmp_path / "mine.png"
        for path in (shared, other):
            path.write_bytes(b"x")
        async with AsyncInferClient(server.url, retries=0) as client:
            sessions = Sessions(client, most=9, folder=uploads)
            for name in ("one", "two"):
                files = [Attachment(str(path), "image") for path in (shared, other)]
                async for _ in sessions.of(name).say("look", files, ONE, Wish()):
                    pass
            sessions.end("one")
            assert shared.exists()
            sessions.end("two")
            assert not shared.exists()
            assert other.exists()
            sessions.end("nobody")

    asyncio.run(work())


def test_a_page_that_closes_ends_its_answer(server: Running, tmp_path: Path) -> None:
    async def work() -> None:
        async with AsyncInferClient(server.url) as client:
            sessions = Sessions(client, most=9, folder=tmp_path)
            begun = time.monotonic()
            async for _ in sessions.of("one").say("[pause 0.1]" + "word " * 900, (), ONE, Wish()):
                sessions.end("one")
            assert time.monotonic() - begun < 60
            assert len(sessions) == 0

    asyncio.run(work())
