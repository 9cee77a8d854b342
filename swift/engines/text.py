"""From token ids to text that can be shown at once: whole characters only, and stop texts never shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_HALF = "\ufffd"
"""What decoders write for bytes that are not (yet) a whole character."""


class TextStream:
    """Decodes one answer token by token.

    Each step decodes a short window of tokens twice, without and with the new ones, and takes the
    difference, so that joining rules of the tokenizer (spaces, byte pieces) hold across tokens.

    Args:
        decode: Token ids to text.
        stop: Texts at which the answer ends.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode = decode
        self._stop = tuple(text for text in stop if text)
        self._ids: list[int] = []
        self._window = 0  # first token of the window
        self._done = 0  # tokens before this one are in `_text` whole
        self._known = ""  # the window's text up to `_done`
        self._taken = 0  # characters of the window's text after `_known` that are in `_text` already
        self._text = ""
        self._shown = 0
        self.stopped = False

    @property
    def text(self) -> str:
        """All that is known to be part of the answer so far."""
        return self._text

    def add(self, token: int) -> None:
        """Take one more token. Sets `stopped` where a stop text is complete."""
        self._ids.append(token)
        window = self._decode(self._ids[self._window :])
        whole = window.rstrip(_HALF)
        self._extend(whole)
        if len(whole) == len(window):
            self._window, self._done = self._done, len(self._ids)
            self._known = self._decode(self._ids[self._window : self._done])
            self._taken = 0

    def finish(self) -> None:
        """No more tokens: what was held back as half a character belongs to the answer."""
        self._extend(self._decode(self._ids[self._window :]))

    def _extend(self, window: str) -> None:
        """Append what is new in the window's text."""
        piece = window[len(self._known) + self._taken :]
        self._taken += len(piece)
        self._append(piece)

    def take(self, *, final: bool = False) -> str:
        """The text that is new since the last call and safe to show.

        Args:
            final: The answer is over, so nothing is held back.
        """
        end = len(self._text) if final or self.stopped else len(self._text) - self._held_back()
        piece = self._text[self._shown : end]
        self._shown = max(self._shown, end)
        return piece

    def _append(self, piece: str) -> None:
        if not piece or self.stopped:
            return
        begin = max(0, len(self._text) - max((len(stop) for stop in self._stop), default=0))
        self._text += piece
        found = [at for stop in self._stop if (at := self._text.find(stop, begin)) >= 0]
        if found:
            self._text = self._text[: min(found)]
            self.stopped = True

    def _held_back(self) -> int:
        """How many characters at the end may be the beginning of a stop text."""
        for size in range(max((len(stop) - 1 for stop in self._stop), default=0), 0, -1):
            tail = self._text[-size:]
            if len(tail) == size and any(stop.startswith(tail) for stop in self._stop):
                return size
        return 0
