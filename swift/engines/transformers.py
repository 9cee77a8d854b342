"""The engine over a transformers model in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from transformers import PreTrainedModel

from swift.batch import MediaInputs
from swift.chat.codec import Codec
from swift.chat.encode import prompt_of
from swift.config.chat import ChatConfig
from swift.engines.adapters import Switch
from swift.engines.base import BASE, OnDone
from swift.engines.batching import Job, RowBatch
from swift.engines.cache import new_cache
from swift.engines.generic import run_generic
from swift.engines.probe import padding_is_safe
from swift.engines.sampling import Chooser
from swift.engines.schedule import Schedule
from swift.engines.scoring import answer_tokens, scores
from swift.engines.shape import cache_parameter, context_length, forward_parameters, input_device
from swift.engines.text import TextStream
from swift.errors import ResourceError, RowError
from swift.models.forward import make_backbone
from swift.models.head import HeadTransform
from swift.models.structure import backbone, embedding_rows, generating, head_transform
from swift.types import Completion, Conversation, Request, Scored, Tokens


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is generated at once.

    Attributes:
        tokens: Token slots of the cache of one batch, padding included.
        rows: Sequences in one batch.
    """

    tokens: int = 8192
    rows: int = 16


class TransformersEngine:
    """Generates with a model of transformers: batched by length, rows released as they end. Not thread-safe.

    Args:
        model: The model, with adapters already attached to its layers where there are any.
        codec: Its text side.
        chat: How requests are rendered.
        switch: Its adapters.
        limits: Batch limits.
        note: Appended to the description.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        codec: Codec,
        chat: ChatConfig,
        *,
        switch: Switch | None = None,
        limits: Limits = Limits(),
        note: str = "",
    ) -> None:
        model = generating(model.eval())
        self._model = model
        self._codec = codec
        self._chat = chat
        self._switch = switch
        self._limits = limits
        self._note = note
        self._parameters = forward_parameters(model)
        self._own_loop = (
            new_cache(model.config) is not None
            and cache_parameter(self._parameters) in self._parameters
            and not model._is_stateful
            and not model.config.is_encoder_decoder
        )
        self._padding_proved = False
        self._measured: list[HeadTransform | None] = []
        self._context = context_length(model)
        self._vocabulary = embedding_rows(model)

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
        path = "own batched loop" if self._own_loop else "transformers generate, prompts of equal length batched"
        weights = next(self._model.parameters())
        return f"{path}, {str(weights.dtype).removeprefix('torch.')} on {weights.device}{self._note}"

    def generate(self, requests: Sequence[Request], *, on_done: OnDone | None = None) -> list[Completion | RowError]:
        """Answer all requests.

        Args:
            requests: In any order and of any length.
            on_done: Called with number and answer as each one is finished.

        Returns:
            One item a request, in order; a RowError for a request that cannot be answered.
        """
        results: dict[int, Completion | RowError] = {}
        by_adapter: dict[str, list[Job]] = {}
        for number, request in enumerate(requests):
            try:
                job = self._job(number, request, streaming=False)
                by_adapter.setdefault(self._adapter(request.adapter), []).append(job)
            except RowError as error:
                results[number] = error
        for adapter, jobs in by_adapter.items():
            for moved in self._run(jobs, adapter):
                for job in moved:
                    if job.finish is not None:
                        results[job.number] = answer = self._completion(job)
                        if on_done is not None:
                            on_done(job.number, answer)
        return [results[number] for number in range(len(requests))]

    def stream(self, request: Request, *, on_done: OnDone | None = None) -> Iterator[str]:
        """The answer in pieces of valid text as it is made; they join to the completion's text.

        Args:
            request: What to answer.
            on_done: Called once, at the end, with 0 and the whole answer.

        Raises:
            RowError: The request cannot be answered.
        """
        job = self._job(0, request, streaming=True)
        text = job.text
        assert text is not None
        for _ in self._run([job], self._adapter(request.adapter)):
            piece = text.take(final=job.finish is not None)
            if piece:
                yield piece
        if on_done is not None:
            on_done(0, self._completion(job))

    def score(self, samples: Sequence[Conversation], *, adapter: str | None = None) -> list[Scored | RowError]:
        """How likely each conversation's last turn, which is the assistant's, is behind the turns before it.

        Args:
            samples: In any order and of any length.
            adapter: As in a request.

        Returns:
            One item a conversation, in order; a RowError for one that cannot be scored.
        """
        results: dict[int, Scored | RowError] = {}
        ready: dict[int, Tokens] = {}
        name = self._adapter(adapter)
        for number, sample in enumerate(samples):
            try:
                ready[number] = answer_tokens(sample, self._codec, self._chat, self._context)
            except RowError as error:
                results[number] = error
        together = self._own_loop and self._padding_safe()
        found = scores(
            self._model,
            make_backbone(backbone(self._model)),
            self._transform(),
            list(ready.values()),
            media=None if self._codec.media is None else self._codec.media.inputs,
            max_tokens=self._limits.tokens,
            max_rows=self._limits.rows if together else 1,
            before=lambda: self._activate(name),
        )
        results.update(zip(ready, found, strict=True))
        return [results[number] for number in range(len(samples))]

    def _transform(self) -> HeadTransform | None:
        """Measured once, on the bare model."""
        if not self._measured:
            self._activate(BASE)
            self._measured = [head_transform(self._model)]
        return self._measured[0]

    def _activate(self, adapter: str) -> None:
        if self._switch is not None:
            self._switch.activate(adapter)

    def _adapter(self, wanted: str | None) -> str:
        """The adapter that is meant by what a request says."""
        name = wanted or (self.adapters[0] if self.adapters else BASE)
        if name != BASE and name not in self.adapters:
            raise RowError("unknown_adapter", f"{name!r} is not loaded; loaded: {', '.join(self.adapters) or 'none'}")
        return name

    def _job(self, number: int, request: Request, *, streaming: bool) -> Job:
        ids, media = prompt_of(request.prompt, self._codec, self._chat)
        rules = request.sampling
        if not ids:
            raise RowError("empty_prompt", "the prompt has no tokens")
        if max(ids) >= self._vocabulary:
            raise RowError("unknown_token", f"token {max(ids)} is beyond the model's {self._vocabulary} embeddings")
        room = rules.max_new_tokens if self._context is None else self._context - len(ids)
        if room < 1:
            raise RowError("too_long", f"the prompt has {len(ids)} tokens, the model takes {self._context}")
        chooser = Chooser.new(rules)
        chooser.note(ids, self._vocabulary, input_device(self._model))
        return Job(
            number=number,
            prompt=ids,
            limit=min(rules.max_new_tokens, room),
            eos_ids=self._codec.eos_ids,
            chooser=chooser,
            text=TextStream(self._codec.decode, rules.stop) if streaming or rules.stop else None,
            media=media,
        )

    def _run(self, jobs: Sequence[Job], adapter: str) -> Iterator[list[Job]]:
        """Run jobs of one adapter, which is activated before every forward pass: streams may interleave."""

        activate = partial(self._activate, adapter)
        try:
            # nearly all architectures take position ids; one that does not may differ in other ways too
            trusted = len(jobs) == 1 and "position_ids" in self._parameters
            special = any(job.media is not None and _grows(job.media) for job in jobs)
            if self._own_loop and not special and (trusted or self._padding_safe()):
                rows = RowBatch(self._model, self._parameters)
                limits = self._limits
                schedule = Schedule(rows, max_tokens=limits.tokens, max_rows=limits.rows, before=activate)
                yield from schedule.run(jobs)
            else:
                yield from run_generic(self._model, jobs, max_rows=self._limits.rows, before=activate)
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"out of memory with {len(jobs)} requests in batches of {self._limits.tokens} tokens",
                hint="lower --max_batch_tokens or --max_batch_size",
            ) from error

    def _padding_safe(self) -> bool:
        """Prove once that this model's numbers do not change with padding on the left; else take the other path."""
        if not self._padding_proved:
            self._own_loop = padding_is_safe(self._model, self._parameters)
            self._padding_proved = True
        return self._own_loop

    def _completion(self, job: Job) -> Completion:
        assert job.finish is not None
        return Completion(
            text=job.text.text if job.text is not None else self._codec.decode(job.answer_ids),
            token_ids=tuple(job.ids),
            prompt_tokens=len(job.prompt),
            finish=job.finish,
        )


def _grows(media: MediaInputs) -> bool:
    """Whether each new token needs more than its place, such as which pictures it may look at."""
    return any(media.tensors[name].ndim > 2 for name in media.aligned)
