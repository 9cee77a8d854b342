"""Sessions: one a page that is open. Each holds its chat and answers one message at a time, in one or two columns."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from swift.app.talk import Attachment, Message, PageError, Reply, Turn, grown, messages_of
from swift.app.wish import Wish, options_of
from swift.errors import SwiftError
from swift.serving.client import AsyncInferClient

_PAUSE = 0.08
"""Seconds between two looks of the page at growing answers."""


class Session:
    """A chat.

    Args:
        client: Whom it asks.

    Attributes:
        turns: What was said.
        used: When it was last used, in seconds that only grow.
    """

    def __init__(self, client: AsyncInferClient) -> None:
        self.turns: tuple[Turn, ...] = ()
        self.used = time.monotonic()
        self._client = client
        self._tasks: tuple[asyncio.Task[None], ...] = ()

    @property
    def busy(self) -> bool:
        """Whether an answer grows."""
        return any(not task.done() for task in self._tasks)

    @property
    def files(self) -> set[str]:
        """Paths of the files that were shown."""
        return {file.path for turn in self.turns for file in turn.files}

    def stop(self) -> None:
        """Stop answering; what has come stays. The connections are closed, at which the server stops."""
        for task in self._tasks:
            task.cancel()

    async def say(
        self, text: str, files: Sequence[Attachment], models: Sequence[str | None], wish: Wish
    ) -> AsyncGenerator[None, None]:
        """Answer a message; yields now and then while the answers grow, and at the end.

        Args:
            text: The words.
            files: What is shown with them.
            models: Whom each column asks; None for nobody.
            wish: What the fields hold.

        Raises:
            PageError: Nothing can be sent; the chat is as before.
        """
        self._require_idle()
        if not text.strip() and not files:
            raise PageError("there is nothing to send")
        turn = Turn(text, tuple(files))
        async with aclosing(self._answer((*self.turns, turn), models, wish)) as steps:
            async for step in steps:
                yield step

    async def again(
        self, number: int, text: str | None, models: Sequence[str | None], wish: Wish
    ) -> AsyncGenerator[None, None]:
        """Answer a turn again; those behind it are dropped.

        Args:
            number: Of the turn.
            text: What it says instead; None for the same.
            models: As of `say`.
            wish: As of `say`.

        Raises:
            PageError: There is no such turn, or nothing can be sent; the chat is as before.
        """
        self._require_idle()
        if not 0 <= number < len(self.turns):
            raise PageError("there is nothing to answer again")
        old = self.turns[number]
        turn = Turn(old.text if text is None else text, old.files)
        async with aclosing(self._answer((*self.turns[:number], turn), models, wish)) as steps:
            async for step in steps:
                yield step

    def undo(self, number: int = -1) -> Turn:
        """Drop a turn and those behind it; returns it.

        Raises:
            PageError: There is none.
        """
        self._require_idle()
        if not self.turns:
            raise PageError("there is nothing to undo")
        turn = self.turns[number]
        self.turns = self.turns[: number % len(self.turns)]
        return turn

    def clear(self) -> None:
        """Stop, and forget everything."""
        self.stop()
        self.turns = ()

    def _require_idle(self) -> None:
        self.used = time.monotonic()
        if self.busy:
            raise PageError("an answer is being written: wait for it, or stop it")

    async def _answer(
        self, turns: tuple[Turn, ...], models: Sequence[str | None], wish: Wish
    ) -> AsyncGenerator[None, None]:
        if not any(models):
            raise PageError("there is no model to ask yet")
        options = options_of(wish)
        asked = [(column, model) for column, model in enumerate(models) if model]
        # Files are read and encoded: not in the event loop.
        chats = [await asyncio.to_thread(messages_of, turns, column, wish.system) for column, _ in asked]
        self._require_idle()
        last = replace(turns[-1], replies=tuple(None if model is None else Reply(model) for model in models))
        self.turns = (*turns[:-1], last)
        changed = asyncio.Event()
        self._tasks = tuple(
            asyncio.create_task(self._column(column, model, chat, options, changed))
            for (column, model), chat in zip(asked, chats, strict=True)
        )
        try:
            while self.busy:
                yield
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), 1.0)
                changed.clear()
                await asyncio.sleep(_PAUSE)
            yield
        finally:
            self.stop()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _column(
        self, column: int, model: str, chat: list[Message], options: dict[str, Any], changed: asyncio.Event
    ) -> None:
        """Let the answer of a column grow."""
        reply, begun = Reply(model), time.monotonic()
        try:
            async with aclosing(self._client.events(chat, model=model, **options)) as events:
                async for event in events:
                    reply = grown(reply, event, time.monotonic() - begun)
                    self._put(column, reply)
                    changed.set()
        except asyncio.CancelledError:
            self._put(column, replace(reply, finish=reply.finish or "stopped"))
        except SwiftError as error:
            self._put(column, replace(reply, error=one_line(error)))
        finally:
            changed.set()

    def _put(self, column: int, reply: Reply) -> None:
        if self.turns:  # it may have been cleared meanwhile
            last = self.turns[-1]
            replies = tuple(reply if place == column else other for place, other in enumerate(last.replies))
            self.turns = (*self.turns[:-1], replace(last, replies=replies))


class Sessions:
    """The sessions of all open pages.

    Args:
        client: Whom they ask.
        most: How many there may be; for one more, the one that was idle longest is forgotten.
        folder: Where uploaded files lie; only files under it are ever deleted.
    """

    def __init__(self, client: AsyncInferClient, *, most: int, folder: Path) -> None:
        self._client = client
        self._most = most
        self._folder = folder.resolve()
        self._open: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def of(self, name: str) -> Session:
        """The session of a page, by the name that the page has given itself."""
        session = self._open.get(name)
        if session is None:
            session = self._open[name] = Session(self._client)
            while len(self._open) > self._most:
                self.end(next(iter(self._open)))
        self._open.move_to_end(name)
        return session

    def end(self, name: str) -> None:
        """A page was closed: stop what it waits for, and delete its files."""
        session = self._open.pop(name, None)
        if session is not None:
            files = session.files
            session.clear()
            self.drop(files)

    def drop(self, files: set[str]) -> None:
        """Delete files, but for those that other sessions show: the same upload has the same path."""
        for path in self._droppable(files):
            with suppress(OSError):
                path.unlink()

    def _droppable(self, files: set[str]) -> Iterator[Path]:
        kept = {file for session in self._open.values() for file in session.files}
        for file in sorted(files - kept):
            path = Path(file).resolve()
            if path.is_relative_to(self._folder):
                yield path

    def end_all(self) -> None:
        """The end of the app."""
        for name in list(self._open):
            self.end(name)


def one_line(error: SwiftError) -> str:
    """What an error says, and its way out, in one line."""
    told = " ".join(error.message.split())
    return f"{told} ({error.hint})" if error.hint else told
