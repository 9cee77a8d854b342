"""The chat in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from swift.chat.media.place import require_takes
from swift.chat.parse import parse_answer
from swift.errors import RowError
from swift.inference.answerers import Answerer
from swift.inference.found import draw_found, found_in
from swift.inference.prompt import Prompt
from swift.media import as_media
from swift.types import Conversation, MediaKind, Message, Origin, Placed, Sampling

HELP = """\
/system TEXT   set the system message and start anew; without TEXT, remove it
/image FILE    show a picture with the next message (also /video and /audio); FILE may be a URL
/clear         forget the conversation
/exit          leave (also: exit, quit, Ctrl-D)
/help          this list
A line that ends in \\ goes on in the next one. A line of three double quotes begins and ends a block of lines.
Ctrl-C stops an answer.
"""

_ORIGIN = "the terminal"
_KINDS: dict[str, MediaKind] = {"/image": "image", "/video": "video", "/audio": "audio"}


class Chat:
    """A conversation with one model, or with several side by side, each with its own history.

    Args:
        answerers: Who answers.
        sampling: How.
        system: System message, or None.
        stream: Show answers while they are made.
        color: Use colours; default: where standard output is a terminal.
        draw_folder: Where pictures go when an answer names places in them.
    """

    def __init__(
        self,
        answerers: Sequence[Answerer],
        sampling: Sampling,
        *,
        system: str | None = None,
        stream: bool = True,
        color: bool | None = None,
        draw_folder: Path | None = None,
    ) -> None:
        self._answerers = tuple(answerers)
        self._sampling = sampling
        self._system = system
        self._stream = stream
        self._color = sys.stdout.isatty() if color is None else color
        self._draw_folder = draw_folder
        self._histories: list[list[Message]] = [[] for _ in answerers]
        self._turns = 0
        self._media: list[Placed] = []

    def once(self, text: str, media: Sequence[Placed] = ()) -> int:
        """Answer one message, with media if there are any; returns the exit code, 1 where nobody could."""
        self._media = list(media)
        return 0 if self._answer(text) else 1

    def run(self) -> int:
        """Answer turns until the user leaves; returns the exit code."""
        prompt = Prompt(sys.stdin)
        if prompt.interactive:
            sys.stderr.write("/help lists the commands\n")
        while True:
            try:
                text = prompt.read()
            except KeyboardInterrupt:
                sys.stderr.write("\n(Ctrl-D or /exit leaves)\n")
                continue
            if text is None or text.strip() in ("exit", "quit", "/exit", "/quit"):
                return 0
            if text.startswith("/"):
                self._command(text.strip())
            elif text.strip():
                self._answer(text)

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        if name == "/system":
            self._system = rest.strip() or None
            self._forget()
            sys.stderr.write("(new conversation)\n")
        elif name == "/clear":
            self._forget()
            sys.stderr.write("(new conversation)\n")
        elif name in _KINDS:
            self._attach(_KINDS[name], rest.strip())
        elif name == "/help":
            sys.stderr.write(HELP)
        else:
            sys.stderr.write(f"unknown command {name}; /help lists them\n")

    def _attach(self, kind: MediaKind, source: str) -> None:
        """Show or play something with the next message; what cannot be found is told at once."""
        if not source:
            sys.stderr.write(f"which file? /{kind} FILE\n")
            return
        placed = Placed(0, as_media(kind, source))
        try:
            for answerer in self._answerers:
                require_takes(answerer.engine.codec, placed.media)
        except RowError as error:
            sys.stderr.write(f"error: {error}\n")
            return
        self._media.append(placed)
        sys.stderr.write(f"({kind} with the next message: {source})\n")

    def _forget(self) -> None:
        self._histories = [[] for _ in self._answerers]
        self._media = []

    def _answer(self, text: str) -> bool:
        """Everyone's answer to the user's next message; False where nobody could give one."""
        self._turns += 1
        answered = False
        message = Message("user", text, media=tuple(self._media))
        self._media = []
        for answerer, history in zip(self._answerers, self._histories, strict=True):
            if len(self._answerers) > 1:
                sys.stdout.write(f"\033[1m[{answerer.name}]\033[0m\n" if self._color else f"[{answerer.name}]\n")
            said = self._show(answerer, [*history, message])
            if said is not None:
                self._draw(answerer, said, [*history, message])
                history += [message, parse_answer(said, answerer.engine.codec)]
                answered = True
        return answered

    def _show(self, answerer: Answerer, messages: Sequence[Message]) -> str | None:
        """Print one answer as it comes; returns what was printed, or None where there is no answer."""
        system = () if self._system is None else (Message("system", self._system),)
        conversation = Conversation((*system, *messages), Origin(_ORIGIN, self._turns))
        pieces: list[str] = []
        sampling = self._sampling
        if sampling.seed is not None:  # another seed each turn, or a repeated question would get a repeated answer
            sampling = replace(sampling, seed=sampling.seed + self._turns - 1)
        finishes: list[str] = []
        try:
            for piece in answerer.stream(conversation, sampling, on_done=lambda _, done: finishes.append(done.finish)):
                pieces.append(piece)
                if self._stream:
                    self._write(piece)
        except RowError as error:
            sys.stderr.write(f"error: {error}\n")
            return None
        except KeyboardInterrupt:
            finishes.append("stopped")
        self._write("\n" if self._stream else "".join([*pieces, "\n"]))
        if finishes == ["length"]:
            sys.stderr.write("(cut at the length limit; --max_new_tokens raises it)\n")
        elif finishes == ["stopped"]:
            sys.stderr.write("(stopped)\n")
            return "".join(pieces) or None
        return "".join(pieces)

    def _draw(self, answerer: Answerer, said: str, messages: Sequence[Message]) -> None:
        """The picture with the places that the answer names."""
        if self._draw_folder is None:
            return
        prompt, codec = Conversation(tuple(messages), Origin(_ORIGIN, self._turns)), answerer.engine.codec
        which = f"-{answerer.name}" if len(self._answerers) > 1 else ""
        path = self._draw_folder / f"{self._turns:03d}{which}.png"
        if draw_found(found_in(said, prompt, codec), prompt, codec, path):
            sys.stderr.write(f"(drawn: {path})\n")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def named_media(images: Sequence[str], videos: Sequence[str], audios: Sequence[str]) -> tuple[Placed, ...]:
    """Media in front of a message, named on the command line."""
    kinds: dict[MediaKind, Sequence[str]] = {"image": images, "video": videos, "audio": audios}
    return tuple(Placed(0, as_media(kind, source)) for kind, sources in kinds.items() for source in sources)
