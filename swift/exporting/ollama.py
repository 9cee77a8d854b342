"""An Ollama Modelfile: the chat template in Go's language, where that is proved to say the same.

Ollama runs templates of Go's text/template over `.Messages`, and keeps system messages apart as `.System`, too. What a
Jinja template does is not translated word by word: its layout is measured by rendering conversations of marks, written
down as what stands before and behind each role's words, and accepted only if it renders the held-out rows, and a few
more, as the template itself does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swift.chat.codec import Codec
from swift.chat.encode import prompt_text
from swift.config.chat import ChatConfig
from swift.errors import ModelError, RowError, TemplateError
from swift.exporting.rows import Sample
from swift.types import Conversation, Message, Origin

FILE = "Modelfile"
_SYSTEM, _ASKED, _SAID, _AGAIN = "\u2045s\u2046", "\u2045u\u2046", "\u2045a\u2046", "\u2045v\u2046"
_PARAMETERS = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
_NAMES = {"repetition_penalty": "repeat_penalty"}


@dataclass(frozen=True, slots=True)
class Layout:
    """What stands around the words of each role.

    Attributes:
        start: At the very start, where the first message is not the system's.
        before: By role.
        behind: By role.
        prompt: Before the answer that is to come.
    """

    start: str
    before: Mapping[str, str]
    behind: Mapping[str, str]
    prompt: str

    def render(self, messages: Sequence[Message]) -> str:
        """The text of a conversation that ends where an answer is to come; what `template` renders in Ollama."""
        start = "" if any(message.role == "system" for message in messages) else self.start
        turns = (f"{self.before[m.role]}{m.content}{self.behind[m.role]}" for m in messages)
        return f"{start}{''.join(turns)}{self.prompt}"

    def template(self) -> str:
        """The same in Go's language."""
        parts = [f"{{{{ if not .System }}}}{_literal(self.start)}{{{{ end }}}}"] if self.start else []
        parts.append("{{ range .Messages }}")
        for number, role in enumerate(self.before):
            word = "else if" if number else "if"
            open_, close = _literal(self.before[role]), _literal(self.behind[role])
            parts.append(f'{{{{ {word} eq .Role "{role}" }}}}{open_}{{{{ .Content }}}}{close}')
        parts += ["{{ end }}{{ end }}", _literal(self.prompt)]
        return "".join(parts)


def write_modelfile(
    folder: Path, gguf: Path, codec: Codec, chat: ChatConfig, samples: Sequence[Sample], generation: Mapping[str, Any]
) -> str:
    """Write the Modelfile beside a GGUF file; returns how much was proved, in words.

    Args:
        codec: The source's.
        chat: How rows are rendered.
        samples: Rows that must be rendered the same.
        generation: The model's generation configuration.

    Raises:
        ModelError: The template does more than a Modelfile can be proved to do.
    """
    layout = layout_of(codec, chat)
    count = require_same(layout, codec, chat, samples)
    text = layout.template()
    if codec.bos_id is not None and codec.encode_text("a")[:1] == [codec.bos_id]:
        begin = codec.decode([codec.bos_id])  # which Ollama puts there itself
        text = _without_begin(layout, begin).template()
    if '"""' in text:
        raise _refused('its text has """ in it')
    lines = [f"FROM ./{gguf.name}", f'TEMPLATE """{text}"""']
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in codec.stops]
    lines += [
        f"PARAMETER {_NAMES.get(name, name)} {generation[name]}"
        for name in _PARAMETERS
        if generation.get(name) is not None
    ]
    (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"the same text in {count} conversations, tools and thinking left out; Ollama itself was not run"


def layout_of(codec: Codec, chat: ChatConfig) -> Layout:
    """What the template puts around each role's words.

    Raises:
        ModelError: It does not just put something around them.
    """
    asked, said, again = Message("user", _ASKED), Message("assistant", _SAID), Message("user", _AGAIN)
    system = Message("system", _SYSTEM)
    short = _split(_rendered((asked,), codec, chat), _ASKED)
    long = _split(_rendered((asked, said, again), codec, chat), _ASKED, _SAID, _AGAIN)
    led = _split(_rendered((system, asked), codec, chat), _SYSTEM, _ASKED) if codec.template.dialect.system else None
    whole = codec.template.render((asked,))
    behind_user = whole.rpartition(_ASKED)[2]
    if not short[1].startswith(behind_user) or not long[1].startswith(behind_user):
        raise _refused("what stands behind a question depends on what follows")
    before_assistant = long[1].removeprefix(behind_user)
    behind_assistant = codec.template.render((asked, said)).rpartition(_SAID)[2]
    if not long[2].startswith(behind_assistant):
        raise _refused("what stands behind an answer depends on what follows")
    before_user = long[2].removeprefix(behind_assistant)
    if not short[0].endswith(before_user):
        raise _refused("the first question does not stand as later ones do")
    before, behind = {}, {}
    if led is not None:
        if not led[1].endswith(before_user):
            raise _refused("the system's message is not rendered apart")
        before["system"], behind["system"] = led[0], led[1].removesuffix(before_user)
    before |= {"user": before_user, "assistant": before_assistant}
    behind |= {"user": behind_user, "assistant": behind_assistant}
    return Layout(short[0].removesuffix(before_user), before, behind, short[1].removeprefix(behind_user))


def require_same(layout: Layout, codec: Codec, chat: ChatConfig, samples: Sequence[Sample]) -> int:
    """Make sure that a layout renders conversations as the template does; returns how many were compared.

    Raises:
        ModelError: One differs, or there is none to compare.
    """
    talks = [sample.row for sample in samples if isinstance(sample.row, Conversation)]
    talks = [talk for talk in talks if not talk.tools and all(_simple(message) for message in talk.messages)]
    more = [("user",), ("user", "assistant", "user"), ("user", "assistant") * 3 + ("user",)]
    if "system" in layout.before:
        more += [("system", *roles) for roles in more]
    origin = Origin("swift", 1)
    made = [Conversation(tuple(Message(r, f"{r} {n}") for n, r in enumerate(roles)), origin) for roles in more]  # type: ignore[arg-type]
    for talk in [*talks, *made]:
        messages = list(talk.messages)
        while messages and messages[-1].role == "assistant":
            messages.pop()
        try:
            expected = prompt_text(talk, codec, chat)
            found = layout.render(messages)
        except (RowError, TemplateError, KeyError) as error:
            raise _refused(f"a conversation cannot be rendered: {error}") from error
        if expected != found:
            raise _refused("a conversation is rendered otherwise")
    return len(talks) + len(made)


def _simple(message: Message) -> bool:
    return not (message.tool_calls or message.reasoning or message.media) and message.role != "tool"


def _rendered(messages: tuple[Message, ...], codec: Codec, chat: ChatConfig) -> str:
    try:
        return prompt_text(Conversation(messages, Origin("swift", 1)), codec, chat)
    except (RowError, TemplateError) as error:
        raise _refused(str(error)) from error


def _split(text: str, *marks: str) -> list[str]:
    """The text between marks, each of which stands in it once and in order."""
    parts = []
    for mark in marks:
        if text.count(mark) != 1:
            raise _refused("a message is not rendered word by word, once")
        part, _, text = text.partition(mark)
        parts.append(part)
    return [*parts, text]


def _without_begin(layout: Layout, begin: str) -> Layout:
    before = dict(layout.before)
    if "system" in before:
        before["system"] = before["system"].removeprefix(begin)
    start = layout.start.removeprefix(begin)
    if start == layout.start and begin:
        before["user"] = before["user"].removeprefix(begin)
    return Layout(start, before, layout.behind, layout.prompt)


def _literal(text: str) -> str:
    """Text as it is in a Go template; as a string where it could be read as something else."""
    return text if "{{" not in text and "}}" not in text else "{{ " + json.dumps(text, ensure_ascii=False) + " }}"


def _refused(why: str) -> ModelError:
    return ModelError(
        f"the chat template cannot be proved to be the same in Ollama's language: {why}",
        hint="--to gguf: the file carries the template itself, which llama.cpp runs",
    )
