"""The engine of models that give vectors, labels and scores, in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from swift.chat.codec import Codec
from swift.engines.adapters import Switch
from swift.engines.base import BASE, WRONG_TASK, AnyRequest, Listener
from swift.engines.encoding.facts import Activation
from swift.engines.encoding.heads import Head, padded
from swift.engines.encoding.inputs import InputRow, Inputs
from swift.engines.lanes import Limits
from swift.engines.scoring import batches
from swift.errors import ConfigError, ResourceError, RowError, SwiftError
from swift.types import Ability, Encoded, EncodeRequest

OnEncoded = Callable[[int], None]
"""Called with the number of a request as soon as it is finished, in any order."""

_LOOK = 8
"""Batches' worth of waiting requests among which those of like length are looked for, where somebody waits for each."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What becomes of a head's numbers.

    Attributes:
        activation: What makes scores of them.
        normalize: Whether vectors are made one long.
        dimensions: Lengths that vectors may be cut to; empty for any.
    """

    activation: Activation = "none"
    normalize: bool = False
    dimensions: tuple[int, ...] = ()

    def require(self, request: EncodeRequest, ability: Ability) -> None:
        """Make sure that a request asks for what there is.

        Raises:
            RowError: It wants more numbers than a vector has, or other ones than the model was made for.
        """
        wanted, has = request.dimensions, ability.dimensions
        if wanted is None:
            return
        if not 1 <= wanted <= has:
            told = f"vectors have {has} numbers" if has else "the model gives no vectors"
            raise RowError("bad_dimensions", f"{wanted} numbers are wanted, and {told}")
        if self.dimensions and wanted not in (*self.dimensions, has):
            raise RowError("bad_dimensions", f"vectors may have {', '.join(map(str, self.dimensions))} numbers")

    def __call__(self, values: NDArray[np.float32], request: EncodeRequest) -> NDArray[np.float32]:
        """The numbers of one row."""
        values = values[: request.dimensions]
        if request.raw:
            return values
        if self.normalize:
            return (values / max(float(np.linalg.norm(values)), 1e-12)).astype(np.float32)
        wide = values.astype(np.float64)
        if self.activation == "sigmoid":
            wide = np.where(wide >= 0, 1 / (1 + np.exp(-np.abs(wide))), 1 - 1 / (1 + np.exp(-np.abs(wide))))
        elif self.activation == "softmax":
            powers = np.exp(wide - wide.max())
            wide = powers / powers.sum()
        return wide.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Entry:
    """A request that waits."""

    ticket: int
    request: EncodeRequest
    row: InputRow
    adapter: str
    listener: Listener


def no_later_adapters() -> ConfigError:
    """Such models take their adapters at the start."""
    return ConfigError(
        "adapters can be loaded at run time only beside models that answer",
        hint="name them with --adapters, and take out --adapter_root",
    )


class EncoderEngine:
    """Turns prompts into numbers: batched by length, in bounded memory.

    It computes when `step` or `encode` are called, which is for one thread at a time; `submit` and `cancel` are for
    any.

    Args:
        head: Makes numbers of batches.
        inputs: Makes rows of requests.
        finish: What becomes of the numbers.
        ability: What the model does.
        device: Where it lies.
        pad_id: What fills rows up.
        switch: Its adapters.
        limits: Batch limits.
        description: One line for banners.
    """

    def __init__(
        self,
        head: Head,
        inputs: Inputs,
        finish: Finish,
        ability: Ability,
        *,
        device: torch.device,
        pad_id: int,
        limits: Limits,
        switch: Switch | None = None,
        description: str = "",
    ) -> None:
        self._head = head
        self._inputs = inputs
        self._finish = finish
        self._device = device
        self._pad_id = pad_id
        self._limits = limits
        self._switch = switch
        self._tickets = count()
        self._arrived: deque[Entry] = deque()
        self._cancelled: deque[int] = deque()
        self._waiting: dict[int, Entry] = {}
        self.ability = ability
        self.description = description

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""
        return self._inputs.codec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return self._switch.names if self._switch is not None else ()

    def encode(
        self, requests: Sequence[EncodeRequest], *, on_done: OnEncoded | None = None
    ) -> list[Encoded | RowError]:
        """The numbers of each prompt, in order; a request that cannot be answered has a RowError in its place.

        Raises:
            SwiftError: There is not enough memory, or the model's numbers are not finite.
        """
        results: dict[int, Encoded | RowError] = {}
        broken: list[SwiftError] = []

        def listener(number: int) -> Listener:
            def hear(event: object) -> None:
                if isinstance(event, SwiftError):
                    broken.append(event)
                elif isinstance(event, Encoded | RowError):
                    results[number] = event
                    if on_done is not None:
                        on_done(number)

            return hear

        tickets = [self.submit(request, listener(number)) for number, request in enumerate(requests)]
        try:
            while len(results) < len(requests) and not broken:
                self.step()
        finally:
            for ticket in tickets:
                self.cancel(ticket)
            self.settle()
        if broken:
            raise broken[0]
        return [results[number] for number in range(len(requests))]

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Take a request in; it is answered by further calls of `step`. May be called from any thread.

        Args:
            request: What to answer; it is tokenized here and now.
            listener: Gets what happens to it: at once where it cannot be answered, else from `step`.
            pieces: Of no account: numbers come whole.

        Returns:
            A number by which it can be cancelled.
        """
        del pieces
        ticket = next(self._tickets)
        try:
            if not isinstance(request, EncodeRequest):
                raise RowError(WRONG_TASK, f"the model is for the task {self.ability.task} and does not answer")
            self._finish.require(request, self.ability)
            entry = Entry(ticket, request, self._inputs.row(request), self._adapter(request.adapter), listener)
        except (RowError, SwiftError) as error:
            listener(error)
        else:
            self._arrived.append(entry)
        return ticket

    def cancel(self, ticket: int) -> None:
        """Forget a request; nothing happens where it is answered. May be called from any thread."""
        self._cancelled.append(ticket)

    def settle(self) -> None:
        """Take in what arrived, forget what was cancelled; computes nothing. By the thread that steps."""
        while self._arrived:
            entry = self._arrived.popleft()
            self._waiting[entry.ticket] = entry
        while self._cancelled:
            self._waiting.pop(self._cancelled.popleft(), None)

    def step(self) -> bool:
        """Compute one batch, and tell listeners. By one thread at a time.

        Returns:
            Whether there was anything to do.
        """
        self.settle()
        if not self._waiting:
            return False
        group = self._next()
        for entry in group:
            del self._waiting[entry.ticket]
        if self._switch is not None:
            self._switch.activate(group[0].adapter)
        try:
            values = self._numbers([entry.row for entry in group])
        except torch.OutOfMemoryError:
            error: SwiftError = ResourceError(
                f"out of memory with {len(group)} prompts in a batch of {self._limits.tokens} tokens",
                hint="lower --max_batch_tokens or --max_batch_size",
            )
            for entry in group:
                entry.listener(error)
            return True
        for entry, numbers in zip(group, values, strict=True):
            entry.listener(self._told(entry, numbers))
        return True

    def load_adapter(self, name: str, folder: Path) -> None:
        """Never: adapters are loaded at the start.

        Raises:
            ConfigError: Always.
        """
        raise no_later_adapters()

    def unload_adapter(self, name: str) -> None:
        """Never: adapters are loaded at the start.

        Raises:
            ConfigError: Always.
        """
        raise no_later_adapters()

    def fail(self, error: SwiftError) -> None:
        """Forget all requests, and tell each listener why. By the thread that steps."""
        self.settle()
        waiting, self._waiting = self._waiting, {}
        for entry in waiting.values():
            entry.listener(error)

    def _next(self) -> list[Entry]:
        """The batch that the request is in which waits the longest."""
        oldest = next(iter(self._waiting.values()))
        near = [entry for entry in self._waiting.values() if entry.adapter == oldest.adapter]
        if self._limits.live:
            near = near[: _LOOK * self._limits.rows]
        groups = batches([len(entry.row) for entry in near], self._limits.tokens, self._limits.rows)
        return next([near[place] for place in group] for group in groups if 0 in group)

    @torch.inference_mode()
    def _numbers(self, rows: Sequence[InputRow]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self._head(padded(rows, self._pad_id, self._device)).cpu().numpy()
        return found

    def _told(self, entry: Entry, numbers: NDArray[np.float32]) -> Encoded | SwiftError:
        if not np.isfinite(numbers).all():
            return SwiftError("the model's numbers are not finite", hint="compute with --torch_dtype float32")
        return Encoded(np.ascontiguousarray(self._finish(numbers, entry.request)), len(entry.row))

    def _adapter(self, wanted: str | None) -> str:
        """The adapter that is meant by what a request says."""
        name = wanted or (self.adapters[0] if self.adapters else BASE)
        if name != BASE and name not in self.adapters:
            raise RowError("unknown_adapter", f"{name!r} is not loaded; loaded: {', '.join(self.adapters) or 'none'}")
        return name
