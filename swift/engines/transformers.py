"""The engine over a transformers model in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.chat.encode import prompt_of
from swift.config.chat import ChatConfig
from swift.engines.adapters import Switch
from swift.engines.adjust import Chooser
from swift.engines.base import BASE, WRONG_TASK, AnyRequest, Listener, OnDone, OnScored
from swift.engines.echoes import EchoEntry, Echoes
from swift.engines.entry import Entry
from swift.engines.guide import Guides, Match
from swift.engines.hot import HotSwitch
from swift.engines.job import Job
from swift.engines.lanes import Lanes, Limits
from swift.engines.scorer import Scorer
from swift.engines.scoring import answer_tokens, require_given, tokens_of
from swift.engines.shape import context_length, forward_parameters, input_device
from swift.engines.text import TextStream
from swift.engines.together import answer_all, answer_stream
from swift.errors import ConfigError, ResourceError, RowError, SwiftError
from swift.models.structure import embedding_rows, generating
from swift.types import (
    Ability,
    Completion,
    Conversation,
    EchoRequest,
    EncodeRequest,
    Given,
    Guide,
    Request,
    Scored,
    Tokens,
)

_DEFAULT = Limits()


class TransformersEngine:
    """Generates with a model of transformers: batched, rows released as they end.

    It computes when `step`, `generate`, `stream` or `score` are called, which is for one thread at a time; `submit` and
    `cancel` are for any.

    Args:
        model: The model, with adapters already attached to its layers where there are any.
        codec: Its text side.
        chat: How requests are rendered.
        switch: Its adapters.
        limits: Batch limits.
        note: Appended to the description.

    Raises:
        ConfigError: An adapter stands in front of rows, and the model's states are not keys and values.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        codec: Codec,
        chat: ChatConfig,
        *,
        switch: Switch | None = None,
        limits: Limits = _DEFAULT,
        note: str = "",
    ) -> None:
        model = generating(model.eval())
        self._model = model
        self._codec = codec
        self._chat = chat
        self._switch = switch
        self._limits = limits
        self._note = note
        self._lanes = Lanes(model, forward_parameters(model), switch=switch, limits=limits)
        self._scorer = Scorer(model, self._lanes, limits)
        self._echoes = Echoes(self._scorer, codec, limits)
        self._echoes_next = False
        lengths = [length for length in (context_length(model), limits.length) if length is not None]
        self._context = min(lengths, default=None)
        self._vocabulary = embedding_rows(model)
        self._guides: Guides | None = None
        self._tickets = count()
        self._arrived: deque[Entry | EchoEntry] = deque()
        self._cancelled: deque[int] = deque()
        self._entries: dict[int, Entry] = {}

    @property
    def model(self) -> PreTrainedModel:
        """The model, for who measures it."""
        return self._model

    @property
    def codec(self) -> Codec:
        """How this model's text becomes tokens."""
        return self._codec

    @property
    def adapters(self) -> tuple[str, ...]:
        """Names of the loaded adapters."""
        return self._switch.names if self._switch is not None else ()

    @property
    def description(self) -> str:
        """One line for banners."""
        path = "own batched loop" if self._lanes.own_loop else "transformers generate, prompts of equal length batched"
        weights = next(self._model.parameters())
        return f"{path}, {str(weights.dtype).removeprefix('torch.')} on {weights.device}{self._note}"

    @property
    def ability(self) -> Ability:
        """It answers."""
        return Ability(longest=self._context, scores=True)

    def submit(self, request: AnyRequest, listener: Listener, *, pieces: bool = True) -> int:
        """Take a request in; it is answered by further calls of `step`. May be called from any thread.

        Args:
            request: What to answer; it is rendered here and now.
            listener: Gets what happens to it: at once where it cannot be answered, else from `step`.
            pieces: Tell pieces too, not only the end.

        Returns:
            A number by which it can be cancelled.
        """
        ticket = next(self._tickets)
        try:
            self._arrived.append(self._entry(ticket, request, listener, pieces=pieces))
        except (RowError, SwiftError) as error:
            listener(error)
        return ticket

    def cancel(self, ticket: int) -> None:
        """Stop answering a request; nothing happens where it is answered. May be called from any thread."""
        self._cancelled.append(ticket)

    def settle(self) -> None:
        """Take in what arrived, forget what was cancelled; computes nothing. By the thread that steps."""
        while self._arrived:
            entry = self._arrived.popleft()
            if isinstance(self._switch, HotSwitch) and not self._switch.holds(entry.adapter):
                entry.listener(RowError("unknown_adapter", "it was unloaded"))
                continue
            if isinstance(entry, EchoEntry):
                self._echoes.add(entry)
                continue
            self._entries[entry.job.number] = entry
            self._lanes.add(entry.job, entry.adapter)
        while self._cancelled:
            ticket = self._cancelled.popleft()
            self._echoes.drop(ticket)
            gone = self._entries.pop(ticket, None)
            if gone is not None:
                self._lanes.drop(gone.job)
        if isinstance(self._switch, HotSwitch):
            for key in list(self._switch.leaving):
                if not (self._lanes.holds(key) or self._echoes.holds(key)):
                    self._lanes.forget(key)
                    self._switch.remove(key)

    def load_adapter(self, name: str, folder: Path) -> None:
        """Load one more adapter. By the thread that steps.

        Args:
            name: By which requests ask for it from now on.
            folder: Which `check_lora` has found good.

        Raises:
            ConfigError: The engine was not loaded for that, or the name is taken.
            CheckpointError: It does not fit the model; everything is as before then.
        """
        self._hot().add(name, folder)

    def unload_adapter(self, name: str) -> None:
        """Take no more requests for an adapter; it goes when those that it has are answered. By the thread that steps.

        Raises:
            ConfigError: The engine was not loaded for that, or there is no such adapter.
        """
        self._hot().retire(name)

    def _hot(self) -> HotSwitch:
        if not isinstance(self._switch, HotSwitch):
            raise ConfigError("this engine takes no adapters at run time", hint="start it with --adapter_root FOLDER")
        return self._switch

    def step(self) -> bool:
        """Compute one forward pass, and tell listeners. By one thread at a time.

        Returns:
            Whether there was anything to do.
        """
        self.settle()
        busy = self._lanes.busy
        if self._echoes.busy and (self._echoes_next or not busy):
            self._echoes_next = False
            self._echoes.step()
            return True
        self._echoes_next = True
        if not busy:
            return False
        try:
            moved = self._lanes.step()
        except torch.OutOfMemoryError:
            self._give_up()
            return True
        for job in moved:
            self._entries[job.number].tell()
            if job.ended:
                del self._entries[job.number]
        return True

    def generate(self, requests: Sequence[Request], *, on_done: OnDone | None = None) -> list[Completion | RowError]:
        """Answer all requests.

        Args:
            requests: In any order and of any length.
            on_done: Called with number and answer as each one is finished.

        Returns:
            One item a request, in order; a RowError for a request that cannot be answered.

        Raises:
            SwiftError: There is not enough memory, or a library is missing.
        """
        return answer_all(self, requests, on_done)

    def stream(self, request: Request, *, on_done: OnDone | None = None) -> Iterator[str]:
        """The answer in pieces of valid text as it is made; they join to the completion's text.

        Args:
            request: What to answer.
            on_done: Called once, at the end, with 0 and the whole answer.

        Raises:
            RowError: The request cannot be answered.
            SwiftError: There is not enough memory, or a library is missing.
        """
        return answer_stream(self, request, on_done)

    def score(self, samples: Sequence[Conversation], *, adapter: str | None = None) -> list[Scored | RowError]:
        """How likely each conversation's last turn, which is the assistant's, is behind the turns before it.

        Args:
            samples: In any order and of any length.
            adapter: As in a request.

        Returns:
            One item a conversation, in order; a RowError for one that cannot be scored.
        """
        name = self._adapter(adapter)
        room = self._room(name)
        results: dict[int, Scored | RowError] = {}
        ready: dict[int, Tokens] = {}
        for number, sample in enumerate(samples):
            try:
                ready[number] = answer_tokens(sample, self._codec, self._chat, room)
            except RowError as error:
                results[number] = error
        numbers = list(ready)
        media = None if self._codec.media is None else self._codec.media.inputs
        self._scorer.score(
            list(ready.values()), name, lambda place, scored: results.update({numbers[place]: scored}), media
        )
        return [results[number] for number in range(len(samples))]

    def score_ids(self, samples: Sequence[Given], on_done: OnScored, *, adapter: str | None = None) -> None:
        """How likely given tokens are behind those before them.

        Args:
            samples: In any order and of any length; what they share at their beginning is computed once.
            on_done: Called with the number of each sample and its score, in any order.
            adapter: As in a request.

        Raises:
            RowError: The adapter is unknown, or the model does not take a sample.
        """
        name = self._adapter(adapter)
        room = self._room(name)
        for sample in samples:
            require_given(sample, room)
        self._scorer.score([tokens_of(sample) for sample in samples], name, on_done)

    def _room(self, adapter: str) -> int | None:
        """Tokens that the model takes behind what an adapter puts in front."""
        front = self._lanes.front(adapter)
        return self._context if self._context is None or front is None else self._context - front.length

    @torch.inference_mode()
    def logits(self, ids: Sequence[int], *, adapter: str | None = None) -> Tensor:
        """What the model predicts behind each token of a sequence: [length, vocabulary], in float32 on the CPU.

        Args:
            ids: The sequence, which needs no batch of others.
            adapter: As in a request.

        Raises:
            RowError: The adapter is unknown, or puts something in front of rows.
        """
        name = self._adapter(adapter)
        if self._lanes.front(name) is not None:
            raise RowError("front", f"{name!r} stands in front of rows")
        self._lanes.activate(name)
        row = torch.tensor([list(ids)], device=input_device(self._model))
        logits: Tensor = self._model(input_ids=row, use_cache=False).logits[0]
        return logits.float().cpu()

    def _adapter(self, wanted: str | None) -> str:
        """The adapter that is meant by what a request says."""
        name = wanted or (self.adapters[0] if self.adapters else BASE)
        key = self._switch.key(name) if isinstance(self._switch, HotSwitch) else name
        if key is None or (key == name != BASE and name not in self.adapters):
            raise RowError("unknown_adapter", f"{name!r} is not loaded; loaded: {', '.join(self.adapters) or 'none'}")
        return key

    def _entry(self, number: int, request: AnyRequest, listener: Listener, *, pieces: bool) -> Entry | EchoEntry:
        if isinstance(request, EncodeRequest):
            raise RowError(WRONG_TASK, "the model answers, and was not loaded for vectors, labels or scores")
        adapter = self._adapter(request.adapter)
        if isinstance(request, EchoRequest):
            return self._echo(number, request, adapter, listener)
        job = self._job(number, request, adapter, pieces=pieces)
        return Entry(job, adapter, listener, self._codec, pieces)

    def _echo(self, number: int, request: EchoRequest, adapter: str, listener: Listener) -> EchoEntry:
        ids, media = prompt_of(request.prompt, self._codec, self._chat)
        if media is not None:
            raise RowError("unsupported_option", "prompts that show something are not judged")
        self._require_known(ids)
        if len(ids) > 1:
            require_given(Given(ids, (len(ids) - 1,)), self._room(adapter))
        return EchoEntry(number, tuple(ids), request.top, adapter, listener)

    def _require_known(self, ids: Sequence[int], others: Sequence[int] = ()) -> None:
        if not ids:
            raise RowError("empty_prompt", "the prompt has no tokens")
        wrong = next((token for token in (*ids, *others) if not 0 <= token < self._vocabulary), None)
        if wrong is not None:
            raise RowError("unknown_token", f"token {wrong} is beyond the model's {self._vocabulary} embeddings")

    def _job(self, number: int, request: Request, adapter: str, *, pieces: bool) -> Job:
        ids, media = prompt_of(request.prompt, self._codec, self._chat)
        rules = request.sampling
        self._require_known(ids, [token for token, _ in rules.logit_bias])
        front = self._lanes.front(adapter)
        before = 0 if front is None else front.length
        room = rules.max_new_tokens if self._context is None else self._context - before - len(ids)
        if room < 1:
            more = f" behind {before} learned ones" if before else ""
            raise RowError("too_long", f"the prompt has {len(ids)} tokens{more}, the model takes {self._context}")
        ends = self._codec.eos_ids | frozenset(rules.stop_ids)
        match = None if rules.guide is None else self._guide(rules.guide)
        chooser = Chooser.new(rules, eos_ids=ends, match=match)
        chooser.begin(ids, self._vocabulary, input_device(self._model))
        return Job(
            number=number,
            prompt=ids,
            limit=min(rules.max_new_tokens, room),
            eos_ids=ends,
            chooser=chooser,
            text=TextStream(self._codec.decode, rules.stop) if pieces or rules.stop else None,
            media=media,
            front=before,
        )

    def _guide(self, guide: Guide) -> Match:
        if self._guides is None:
            self._guides = Guides(self._codec)
        return self._guides.start(guide)

    def fail(self, error: SwiftError) -> None:
        """Forget all requests, and tell each listener why. By the thread that steps."""
        self.settle()
        entries, self._entries = self._entries, {}
        self._lanes.clear()
        self._echoes.fail(error)
        for entry in entries.values():
            entry.listener(error)

    def _give_up(self) -> None:
        """Tell everybody whose jobs were computed last that there is not enough memory."""
        jobs = self._lanes.give_up()
        error = ResourceError(
            f"out of memory with {len(jobs)} requests in batches of {self._limits.tokens} tokens",
            hint="lower --max_batch_tokens or --max_batch_size",
        )
        for job in jobs:
            self._entries.pop(job.number).listener(error)
