"""What happens on the page: gradio's events to sessions, and their chats back to gradio's components."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, fields
from typing import Any

import gradio as gr

from swift.app.session import Session, Sessions, one_line
from swift.app.show import Box, boxes, note, turn_at
from swift.app.talk import PageError, attachment
from swift.app.wish import Wish
from swift.errors import SwiftError

_LOOK_SECONDS = 1.0
"""Between two looks whether the server answers."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The components of a column."""

    column: gr.Column
    model: gr.Dropdown
    chat: gr.Chatbot
    note: gr.Markdown


@dataclass(frozen=True, slots=True)
class Fields:
    """The components that make a `Wish`, by its names."""

    system: gr.Textbox
    temperature: gr.Textbox
    top_p: gr.Textbox
    top_k: gr.Textbox
    min_p: gr.Textbox
    max_tokens: gr.Textbox
    repetition_penalty: gr.Textbox
    presence_penalty: gr.Textbox
    frequency_penalty: gr.Textbox
    seed: gr.Textbox
    stop: gr.Textbox
    thinking: gr.Radio
    tools: gr.Textbox

    def wish(self, values: dict[Any, Any]) -> Wish:
        """What the fields hold."""
        return Wish(**{field.name: values[getattr(self, field.name)] for field in fields(self)})

    def all(self) -> set[Any]:
        """The components."""
        return {getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Parts:
    """The components of the page."""

    status: gr.Markdown
    columns: tuple[Columns, Columns]
    box: gr.MultimodalTextbox
    compare: gr.Checkbox
    stop: gr.Button
    again: gr.Button
    undo: gr.Button
    clear: gr.Button
    refresh: gr.Button
    fields: Fields


Values = dict[Any, Any]
"""Component to value, as gradio gives them."""


class Handlers:
    """What happens on the page.

    Args:
        sessions: The chats.
        models: Asks the server for the names of its models.
        loading: Whether the server is still loading its model.
    """

    def __init__(
        self, sessions: Sessions, *, models: Callable[[], Awaitable[list[str]]], loading: Callable[[], bool]
    ) -> None:
        self._sessions = sessions
        self._models = models
        self._loading = loading
        self._parts: Parts

    def wire(self, page: gr.Blocks, parts: Parts) -> None:
        """Say which event is handled by what."""
        self._parts = parts
        first, second = parts.columns
        quick: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
        slow: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden", "concurrency_id": "answers"}
        shown = [parts.status, first.chat, second.chat, first.note, second.note]
        asked = {first.model, second.model, parts.compare, *parts.fields.all()}
        parts.box.submit(self.send, {parts.box, *asked}, [parts.box, *shown], **slow)
        parts.again.click(self.again, asked, shown, **slow)
        for place, column in enumerate(parts.columns):
            column.chat.retry(self.again, asked, shown, **slow)
            column.chat.edit((self.edit_first, self.edit_second)[place], asked, shown, **slow)
            column.chat.undo(self.undo, None, [parts.box, *shown], **quick)
            column.chat.clear(self.clear, None, shown, **quick)
        parts.undo.click(self.undo, None, [parts.box, *shown], **quick)
        parts.clear.click(self.clear, None, shown, **quick)
        parts.stop.click(self.stop, None, None, **quick)
        parts.compare.change(self.side_by_side, parts.compare, second.column, **quick)
        models = [parts.status, first.model, second.model]
        parts.refresh.click(self.watch, [first.model, second.model], models, **quick)
        page.load(self.watch, [first.model, second.model], models, **quick)
        page.unload(self.leave)

    async def watch(self, first: str | None, second: str | None) -> AsyncIterator[list[Any]]:
        """Wait until the server answers; then the names of its models."""
        told = ""
        while True:
            problem = "The model is being loaded."
            if not self._loading():
                try:
                    names = await self._models()
                except SwiftError as error:
                    problem = one_line(error)
                else:
                    one = first if first in names else names[0] if names else None
                    two = second if second in names else names[1 % len(names)] if names else None
                    update = [gr.update(choices=names, value=value) for value in (one, two)]
                    yield ["" if names else plain("the server has no models"), *update]
                    return
            if problem != told:
                told = problem
                yield [plain(problem), gr.skip(), gr.skip()]
            await asyncio.sleep(_LOOK_SECONDS)

    async def send(self, values: Values, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Send what is in the box."""
        session = self._session(request)
        given = values[self._parts.box] or {}

        def work() -> AsyncGenerator[None, None]:
            files = [attachment(path) for path in given.get("files") or ()]
            return session.say(given.get("text") or "", files, self._asked(values), self._parts.fields.wish(values))

        async for first, shown in self._steps(session, work):
            # What could not be sent stays in the box.
            yield [{"text": "", "files": []} if first else gr.skip(), *shown]

    async def again(self, values: Values, request: gr.Request) -> AsyncIterator[list[Any]]:
        """Answer the last message again."""
        session = self._session(request)
        async for shown in self._repeat(session, len(session.turns) - 1, None, values):
            yield shown

    async def edit_first(self, values: Values, request: gr.Request, edit: gr.EditData) -> AsyncIterator[list[Any]]:
        """A message was changed in the first column: answer it again."""
        async for shown in self._edit(0, values, request, edit):
            yield shown

    async def edit_second(self, values: Values, request: gr.Request, edit: gr.EditData) -> AsyncIterator[list[Any]]:
        """A message was changed in the second column: answer it again."""
        async for shown in self._edit(1, values, request, edit):
            yield shown

    async def _edit(
        self, column: int, values: Values, request: gr.Request, edit: gr.EditData
    ) -> AsyncIterator[list[Any]]:
        session = self._session(request)
        index = edit.index if isinstance(edit.index, int) else edit.index[0]
        number = turn_at(session.turns, column, index)
        text = edit.value if isinstance(edit.value, str) else None
        async for shown in self._repeat(session, -1 if number is None else number, text, values):
            yield shown

    async def _repeat(
        self, session: Session, number: int, text: str | None, values: Values
    ) -> AsyncIterator[list[Any]]:
        def work() -> AsyncGenerator[None, None]:
            return session.again(number, text, self._asked(values), self._parts.fields.wish(values))

        async for _, shown in self._steps(session, work):
            yield shown

    async def _steps(
        self, session: Session, work: Callable[[], AsyncGenerator[None, None]]
    ) -> AsyncIterator[tuple[bool, list[Any]]]:
        """What is shown while answers grow; with whether it is the first time."""
        first = True
        try:
            async with aclosing(work()) as steps:
                async for _ in steps:
                    yield first, self._shown(session, "")
                    first = False
        except PageError as error:
            yield False, self._shown(session, one_line(error))

    def undo(self, request: gr.Request) -> list[Any]:
        """Take the last message back into the box."""
        session = self._session(request)
        try:
            turn = session.undo()
        except PageError as error:
            return [gr.skip(), *self._shown(session, one_line(error))]
        back = {"text": turn.text, "files": [file.path for file in turn.files]}
        return [back, *self._shown(session, "")]

    def clear(self, request: gr.Request) -> list[Any]:
        """Forget the chat."""
        session = self._session(request)
        files = session.files
        session.clear()
        self._sessions.drop(files)
        return self._shown(session, "")

    def stop(self, request: gr.Request) -> None:
        """Stop answering."""
        self._session(request).stop()

    def leave(self, request: gr.Request) -> None:
        """The page was closed."""
        if request.session_hash:
            self._sessions.end(request.session_hash)

    def side_by_side(self, wanted: bool) -> Any:
        """Show or hide the second column."""
        return gr.update(visible=wanted)

    def _session(self, request: gr.Request) -> Session:
        return self._sessions.of(request.session_hash or "")

    def _asked(self, values: Values) -> tuple[str | None, str | None]:
        first, second = self._parts.columns
        return values[first.model], values[second.model] if values[self._parts.compare] else None

    def _shown(self, session: Session, problem: str) -> list[Any]:
        last = session.turns[-1].replies if session.turns else (None, None)
        return [
            plain(problem),
            *([message(box) for box in boxes(session.turns, column)] for column in (0, 1)),
            *(html.escape(note(reply)) for reply in last),
        ]


def message(box: Box) -> dict[str, Any]:
    """A box as gradio's chatbot takes it."""
    content: dict[str, Any] = {"path": box.file} if box.file else {"type": "text", "text": box.text}
    told: dict[str, Any] = {"role": box.role, "content": content}
    if box.title:
        told["metadata"] = {"title": box.title}
        if box.growing or not box.open:
            told["metadata"]["status"] = "pending" if box.growing else "done"
    return told


def plain(text: str) -> str:
    """A line of plain text as Markdown; what it holds shows as it is."""
    escaped = html.escape(text, quote=False)
    return "".join(f"\\{character}" if character in "\\`*_[]#|!~$" else character for character in escaped)
