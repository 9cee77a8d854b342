"""How likely a model finds given answers: their tokens are those that training would learn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from swift.chat.codec import Codec
from swift.chat.encode import encode
from swift.chat.loss_scale import LossScale
from swift.config.chat import ChatConfig
from swift.data.collate import Media, collate
from swift.engines.chances import Chances, Tally
from swift.engines.shape import input_device
from swift.errors import RowError
from swift.models.forward import Caller
from swift.models.head import HeadTransform
from swift.types import Conversation, Given, Origin, Tokens


def answer_tokens(sample: Conversation, codec: Codec, chat: ChatConfig, limit: int | None) -> Tokens:
    """The conversation's tokens; those of its last turn, with the token that ends it, have the weight 1.

    Args:
        limit: Tokens that the model takes; None where it sets no limit.

    Raises:
        RowError: The last turn is not the assistant's, is empty, or there is not enough room.
    """
    if not sample.messages or sample.messages[-1].role != "assistant":
        raise RowError("no_answer", "the last turn is not the assistant's, so there is nothing to score")
    options = chat.model_copy(update={"train_on": "last", "thinking": ChatConfig().thinking, "max_length": limit})
    (tokens,) = encode(sample, replace(codec, loss_scale=LossScale()), options).sequences
    if limit is not None and len(tokens) > limit:
        raise RowError("too_long", f"prompt and answer have {len(tokens)} tokens, the model takes {limit}")
    return tokens


@torch.inference_mode()
def padded_tallies(
    model: PreTrainedModel,
    backbone: Caller,
    transform: HeadTransform | None,
    samples: Sequence[Tokens],
    *,
    media: Media | None,
    max_tokens: int,
    max_rows: int,
    before: Callable[[], None],
    top: int = 0,
    wanted: Callable[[int], bool] = lambda number: True,
) -> Iterator[list[tuple[int, Tally]]]:
    """Compute how likely the targets of samples are, a batch at a time.

    Args:
        backbone: What takes a batch through the model.
        transform: What the architecture does to the head's output; None asks the whole model for logits.
        samples: In any order.
        media: Loads what samples show; None where all are text.
        max_tokens: Tokens of a batch, padding included.
        max_rows: Rows of a batch.
        before: Called before every forward pass.
        top: How many of the likeliest tokens are told for each target.
        wanted: Whether a sample's results are wanted still.

    Yields:
        After each batch, its samples: their numbers, and what was found.
    """
    chances = Chances(model, transform)
    for group in batches([len(sample) for sample in samples], max_tokens, max_rows):
        numbers = [number for number in group if wanted(number)]
        if not numbers:
            continue
        batch = collate([samples[number] for number in numbers], padding_free=False, pad_id=0, media=media)
        before()
        batch = batch.to(input_device(model))
        output = backbone(batch, model if transform is None else None)
        states: Tensor = output["logits" if transform is None else "last_hidden_state"]
        states = states.reshape(-1, states.shape[-1])[batch.target_index]
        found = chances.find(states, torch.arange(len(states), device=states.device), batch.targets, top)
        counts = [int(np.count_nonzero(samples[number].weights > 0)) for number in numbers]
        tallies = [Tally() for _ in numbers]
        for place, owner in enumerate(np.repeat(np.arange(len(numbers)), counts)):
            tallies[owner].add(found, place)
        yield list(zip(numbers, tallies, strict=True))


def batches(lengths: Sequence[int], max_tokens: int, max_rows: int) -> Iterator[list[int]]:
    """Numbers of rows, the longest first, so that a batch holds rows of like length and memory grows no more."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if batch and (len(batch) == max_rows or lengths[batch[0]] * (len(batch) + 1) > max_tokens):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def given_of(tokens: Tokens) -> Given:
    """The same without media and weights."""
    return Given(tokens.ids.tolist(), np.flatnonzero(tokens.weights > 0).tolist())


def tokens_of(given: Given) -> Tokens:
    """The same for a batch with padding."""
    weights = np.zeros(len(given.ids), np.float32)
    weights[list(given.targets)] = 1.0
    return Tokens(np.array(given.ids, np.int32), weights, Origin("given tokens", 1))


def require_given(given: Given, room: int | None) -> None:
    """Make sure that the model can judge given tokens.

    Args:
        room: Tokens that it takes; None where it sets no limit. The last target is not among them: it is not read.

    Raises:
        RowError: There is no target, or the first token is one, or there is not enough room.
    """
    if not given.targets or given.targets[0] < 1:
        raise RowError("no_answer", "no token behind another one is to be judged")
    if room is not None and given.targets[-1] > room:
        raise RowError("too_long", f"{given.targets[-1]} tokens stand before the last target, the model takes {room}")
