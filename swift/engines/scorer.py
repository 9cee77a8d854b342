"""How likely a model in this process finds given tokens: as a tree where it can be proved, else in padded batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from transformers import PreTrainedModel

from swift.data.collate import Media
from swift.engines.base import BASE, OnScored
from swift.engines.chances import Tally
from swift.engines.lanes import Lanes, Limits
from swift.engines.likelihood import tree_tallies
from swift.engines.probe import tree_is_right
from swift.engines.scoring import given_of, padded_tallies
from swift.engines.shape import forward_parameters
from swift.models.forward import make_backbone
from swift.models.head import HeadTransform
from swift.models.structure import backbone, head_transform
from swift.tuners.prompt import behind
from swift.types import Tokens


class Scorer:
    """Scores token sequences under one of an engine's adapters at a time.

    Args:
        model: The model.
        lanes: Which know its adapters, and what is proved of it.
        limits: Of padded batches.
    """

    def __init__(self, model: PreTrainedModel, lanes: Lanes, limits: Limits) -> None:
        self._model = model
        self._lanes = lanes
        self._limits = limits
        self._measured: list[HeadTransform | None] = []
        self._tree: bool | None = None  # not known yet

    def score(self, samples: Sequence[Tokens], adapter: str, on_done: OnScored, media: Media | None = None) -> None:
        """Tell how likely the targets of samples are.

        Args:
            samples: In any order and of any length.
            adapter: The adapter, or `base`.
            on_done: Called with the number of each sample and its score, in any order.
            media: Loads what samples show; None where all are text.
        """
        for done in self.work(samples, adapter, media):
            for number, tally in done:
                on_done(number, tally.scored())

    def work(
        self,
        samples: Sequence[Tokens],
        adapter: str,
        media: Media | None = None,
        *,
        top: int = 0,
        wanted: Callable[[int], bool] = lambda number: True,
    ) -> Iterator[list[tuple[int, Tally]]]:
        """The same, a batch at a time; others may use the model in between.

        Args:
            samples: In any order and of any length.
            adapter: The adapter, or `base`.
            media: Loads what samples show; None where all are text.
            top: How many of the likeliest tokens are told for each target.
            wanted: Whether a sample's results are wanted still; asked before more of it is computed.

        Yields:
            After each batch, the samples that are done: their numbers, and what was found.
        """
        texts = [number for number, sample in enumerate(samples) if sample.shown is None]
        if self._lanes.front(adapter) is not None or not self._tree_is_right():
            texts = []
        plain = set(texts)
        others = [number for number in range(len(samples)) if number not in plain]
        trees = tree_tallies(
            self._model,
            self._transform(),
            [given_of(samples[number]) for number in texts],
            before=lambda: self._lanes.activate(adapter),
            top=top,
            wanted=lambda place: wanted(texts[place]),
        )
        for done in trees:
            yield [(texts[place], tally) for place, tally in done]
        rest = [samples[number] for number in others]
        for done in self._padded(rest, adapter, media, top, lambda place: wanted(others[place])):
            yield [(others[place], tally) for place, tally in done]

    def _padded(
        self, samples: Sequence[Tokens], adapter: str, media: Media | None, top: int, wanted: Callable[[int], bool]
    ) -> Iterator[list[tuple[int, Tally]]]:
        if not samples:
            return iter(())
        front = self._lanes.front(adapter)
        plain = make_backbone(backbone(self._model))
        together = self._lanes.own_loop and self._lanes.padding_safe()
        return padded_tallies(
            self._model,
            plain if front is None else behind(plain, self._model, front),
            self._transform(),
            samples,
            media=media,
            max_tokens=self._limits.tokens,
            max_rows=self._limits.rows if together else 1,
            before=lambda: self._lanes.activate(adapter),
            top=top,
            wanted=wanted,
        )

    def _tree_is_right(self) -> bool:
        """Proved once, on the bare model."""
        if self._tree is None:
            transform = self._transform()
            self._lanes.activate(BASE)
            parameters = forward_parameters(self._model)
            self._tree = self._lanes.own_loop and tree_is_right(self._model, parameters, transform)
        return self._tree

    def _transform(self) -> HeadTransform | None:
        """Measured once, on the bare model."""
        if not self._measured:
            self._lanes.activate(BASE)
            self._measured = [head_transform(self._model)]
        return self._measured[0]
