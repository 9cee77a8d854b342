"""What is known of a server that is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from swift.engines.base import BASE
from swift.engines.wires import Takes, Wire
from swift.errors import RowError

Send = str
"""`ids`, `text` or `messages`; see `OpenaiConfig`."""


@dataclass(frozen=True, slots=True)
class Served:
    """What is known of a server.

    Attributes:
        model: Its name for the model.
        takes: What it takes and tells.
        send: How prompts are sent: `ids`, `text`, or `messages`.
        adapters: Names of adapters to its names for them.
        context: Tokens that it takes, prompt and answer; None where that is not known.
        wire: How prompts of ids are sent, where not to `/completions`.
        about: One line for banners.
    """

    model: str
    takes: Takes
    send: Send = "ids"
    adapters: Mapping[str, str] = field(default_factory=dict)
    context: int | None = None
    wire: Wire | None = None
    about: str = ""

    def name_of(self, wanted: str | None) -> str:
        """The server's name for what a request asks for.

        Raises:
            RowError: It has no such adapter.
        """
        name = wanted or next(iter(self.adapters), BASE)
        if name == BASE:
            return self.model
        if name not in self.adapters:
            loaded = ", ".join(self.adapters) or "none"
            raise RowError("unknown_adapter", f"{name!r} is not loaded; loaded: {loaded}")
        return self.adapters[name]
