"""`swift check --engine NAME`: does another engine get the same prompts, and give the same answers?

Greedy answers of two engines that are both right still differ where two tokens are as likely as each other, within
rounding: whichever is taken, the rest goes another way. So where answers part, transformers is asked how likely it
finds both tokens there, in float32. Near enough is a tie; anything else means that one of the two computes another
model.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from rich.console import Console
from rich.text import Text as Line

from swift.chat.codec import Codec
from swift.chat.encode import prompt_ids
from swift.checking.visible import visible
from swift.config.engine import ServedConfig, TransformersConfig
from swift.config.looks import CheckConfig
from swift.data.plugins import load_plugins
from swift.data.select import select
from swift.engines.base import Engine
from swift.engines.folders import Plan, plan_model
from swift.engines.open import open_engine, open_remote
from swift.engines.openai import OpenAIEngine
from swift.errors import ConfigError, RowError
from swift.inference.batch import read_items
from swift.types import Completion, Conversation, Ids, Origin, Request, Sampling, Text

ROUNDING = {"float32": 0.01, "float16": 0.1, "bfloat16": 0.5}
"""Differences of logits that are taken for rounding, by the type that the compared engine computes in.

Logits of language models are of the order of 20. There, neighbouring numbers of bfloat16 are 0.125 apart, and a network
in bfloat16 adds up to a few of such steps; two implementations in float32 were seen up to 0.001 apart.
"""

_SHOWN = 5
_LIKELIEST = 20
_ROWS, _TOKENS = 8, 4096


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two answers part.

    Attributes:
        origin: The row.
        place: Which token of the answer, from 1.
        said: What both answers say up to there.
        ours: The token of transformers, as text.
        theirs: That of the other engine.
        gap: How much likelier transformers finds its own, as a difference of logarithms; at least so much, where the
            other token is not among the likeliest.
        exact: Whether that is the difference itself.
        tie: Whether it is rounding.
    """

    origin: Origin
    place: int
    said: str
    ours: str
    theirs: str
    gap: float
    exact: bool
    tie: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Attributes:
        rows: How many were asked.
        same: Answers that are the same, token for token.
        partings: One for every other answer.
        failed: Rows that only one of the two has answered, with what the other one says.
        neither: Rows that none of them answers.
        told: How many prompts the engine told to have seen.
        other_prompts: Of those, rows whose prompt it has seen as other tokens.
    """

    rows: int
    same: int
    partings: tuple[Parting, ...]
    failed: tuple[tuple[Origin, str], ...]
    neither: int
    told: int = 0
    other_prompts: tuple[Origin, ...] = ()

    @property
    def agrees(self) -> bool:
        """Whether nothing but ties differs, and something was compared."""
        compared = self.same + len(self.partings)
        return bool(compared) and not (self.other_prompts or self.failed or any(not p.tie for p in self.partings))


def compare(config: CheckConfig) -> int:
    """Compare `config.engine` with transformers on the rows, and show what came out.

    Returns:
        0 where they agree, 2 where they do not.

    Raises:
        SwiftError: A model, file or engine cannot be used at all.
    """
    load_plugins(config.loop.plugins)
    assert isinstance(config.engine, ServedConfig)
    plan = plan_model(config.model, config.adapters, config.chat, config.media)
    requests, origins = _requests(config)
    other = open_remote(config.engine, plan, merge_lora=config.merge_lora)
    try:
        about, codec = other.description, other.codec
        sys.stderr.write(f"{about}\n")
        theirs = other.generate(requests)
        seen = other.seen(requests)
    finally:
        other.close()  # before the other model comes: there need not be room for two
    reference = open_engine(TransformersConfig(), _exact(plan), max_tokens=_TOKENS, max_rows=_ROWS)
    sys.stderr.write(f"transformers: {reference.description}\n")
    tolerance = _tolerance(config, plan, other)
    answers = _answers(requests, origins, theirs, reference, plan, tolerance)
    comparison = replace(
        answers,
        told=sum(isinstance(item, tuple) for item in seen),
        other_prompts=tuple(_other_prompts(requests, origins, seen, codec, plan)),
    )
    _show(comparison, about, tolerance, Console(highlight=False, soft_wrap=True))
    return 0 if comparison.agrees else 2


def _requests(config: CheckConfig) -> tuple[list[Request], list[Origin]]:
    """The first rows, to be answered greedily."""
    data = config.data
    rows = {"validation": data.validation or data.train, "train": (), "split_ratio": 0.0, "streaming": False}
    data = data.model_copy(update=rows)
    rules = Sampling(max_new_tokens=config.compare_tokens)
    requests, origins = [], []
    for item in islice(read_items(select(data), data), config.compare_rows):
        if not isinstance(item.sample, RowError):
            requests.append(Request(item.sample, rules))
            origins.append(item.origin)
    if not requests:
        raise ConfigError("none of the rows can be read", hint="swift check without --engine tells why")
    return requests, origins


def _exact(plan: Plan) -> Plan:
    """The same model in float32, so that what is measured is the other engine's rounding, not ours."""
    return replace(plan, model=plan.model.model_copy(update={"dtype": "float32"}))


def _tolerance(config: CheckConfig, plan: Plan, engine: OpenAIEngine) -> float:
    if config.compare_tolerance is not None:
        return config.compare_tolerance
    words = engine.description.replace(",", " ").split()
    named = next((dtype for dtype in ROUNDING if dtype in words), None)
    return ROUNDING[named or (plan.model.dtype if plan.model.dtype in ROUNDING else "bfloat16")]


def _other_prompts(
    requests: Sequence[Request],
    origins: Sequence[Origin],
    seen: Sequence[tuple[int, ...] | RowError | None],
    codec: Codec,
    plan: Plan,
) -> Iterator[Origin]:
    for request, origin, told in zip(requests, origins, seen, strict=True):
        if not isinstance(told, tuple):
            continue
        assert isinstance(request.prompt, Conversation | Text)
        if list(told) != prompt_ids(request.prompt, codec, plan.chat):
            yield origin


def _answers(
    requests: Sequence[Request],
    origins: Sequence[Origin],
    theirs: Sequence[Completion | RowError],
    reference: Engine,
    plan: Plan,
    tolerance: float,
) -> Comparison:
    """The comparison of answers, without that of prompts."""
    same = neither = 0
    partings: list[Parting] = []
    failed: list[tuple[Origin, str]] = []
    ours = reference.generate(requests)
    for request, origin, our, their in zip(requests, origins, ours, theirs, strict=True):
        if isinstance(our, RowError) and isinstance(their, RowError):
            neither += 1
        elif isinstance(our, RowError) or isinstance(their, RowError):
            failed.append((origin, str(our if isinstance(our, RowError) else their)))
        else:
            parting = _parting(request, origin, our, their, reference, plan, tolerance)
            same += parting is None
            partings += [] if parting is None else [parting]
    return Comparison(len(requests), same, tuple(partings), tuple(failed), neither)


def _parting(
    request: Request,
    origin: Origin,
    our: Completion,
    their: Completion,
    reference: Engine,
    plan: Plan,
    tolerance: float,
) -> Parting | None:
    """Where two answers part; None where they do not."""
    codec = reference.codec
    left, right = _tokens(our, codec), _tokens(their, codec)
    place = next((n for n, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    if place is None and len(left) == len(right):
        return None
    if place is None:
        place = min(len(left), len(right))
    mine, other = _at(left, place), _at(right, place)
    assert isinstance(request.prompt, Conversation | Text)
    prompt = prompt_ids(request.prompt, codec, plan.chat)
    gap, exact = _gap(reference, [*prompt, *left[:place]], mine, other)
    return Parting(
        origin,
        place + 1,
        codec.decode(left[:place]),
        _shown(codec, mine),
        _shown(codec, other),
        gap,
        exact,
        exact and gap <= tolerance,
    )


def _tokens(answer: Completion, codec: Codec) -> list[int]:
    """The tokens of an answer; where the engine does not tell them, those of its text. Every stop token is the same."""
    ids = list(answer.token_ids) or codec.encode_middle(answer.text)
    if ids and ids[-1] in codec.eos_ids:
        ids.pop()
    return [*ids, *([codec.end_id] if answer.finish == "stop" else [])]


def _at(ids: Sequence[int], place: int) -> int | None:
    return ids[place] if place < len(ids) else None


def _gap(reference: Engine, prefix: Sequence[int], mine: int | None, other: int | None) -> tuple[float, bool]:
    """How much likelier one token is than another behind a prefix, and whether that is exact."""
    request = Request(Ids(tuple(prefix)), Sampling(max_new_tokens=1, logprobs=_LIKELIEST))
    (answer,) = reference.generate([request])
    if isinstance(answer, RowError) or not answer.logprobs:
        return float("inf"), False
    likeliest = {item.id: item.logprob for item in answer.logprobs[0].top}
    for stop in reference.codec.eos_ids:  # any of them ends an answer
        end = reference.codec.end_id
        likeliest[end] = max(likeliest.get(end, float("-inf")), likeliest.get(stop, float("-inf")))
    least = min(likeliest.values())
    best = max(likeliest.values())
    first = best if mine is None else likeliest.get(mine, best)
    if other is None or likeliest.get(other, float("-inf")) == float("-inf"):
        return first - least, False
    return abs(first - likeliest[other]), True


def _shown(codec: Codec, token: int | None) -> str:
    if token is None:
        return "nothing more"
    return "its end" if token in codec.eos_ids else repr(codec.decode([token]))


def _show(found: Comparison, about: str, tolerance: float, console: Console) -> None:
    """Print what came out; why they do not agree goes to standard error, a line `error:` each."""
    console.print(Line("Engines compared", style="bold underline"))
    ties = [parting for parting in found.partings if parting.tie]
    real = [parting for parting in found.partings if not parting.tie]
    prompts = f"{found.told - len(found.other_prompts):,} of {found.told:,} the same token for token"
    if not found.told:
        prompts = "the engine does not tell what it has seen"
    facts = [
        ("engine", about),
        ("rows", f"{found.rows:,}" + (f", of which none answers {found.neither:,}" if found.neither else "")),
        ("prompts", prompts),
        ("same answers", f"{found.same:,}"),
        ("ties", f"{len(ties):,}: two tokens within {tolerance:g} of each other, then another answer"),
        ("disagreements", f"{len(real):,}"),
    ]
    for name, value in facts:
        console.print(Line.assemble((f"{name:<14}", "cyan"), visible(value)))
    for parting in (ties[:_SHOWN], real[:_SHOWN])[bool(real)]:
        console.print(Line(f"  {_told(parting)}"))
    if ties and not real:
        print(
            f"warning: {len(ties):,} of {found.rows:,} answers are not those of float32, if only by rounding; "
            f"the largest difference is {max(parting.gap for parting in ties):.3g}",
            file=sys.stderr,
        )
    for message, hint in _errors(found, real):
        print(f"error: {message}", file=sys.stderr)
        if hint:
            print(f"hint: {hint}", file=sys.stderr)


def _told(parting: Parting) -> str:
    said = visible(parting.said[-40:])
    more = "" if parting.exact else "at least "
    return (
        f"{parting.origin}, token {parting.place}, behind {said!r}: transformers {parting.ours}, the engine "
        f"{parting.theirs}, {more}{parting.gap:.3g} less likely"
    )


def _errors(found: Comparison, real: Sequence[Parting]) -> Iterator[tuple[str, str]]:
    if found.other_prompts:
        yield (
            f"the engine has seen other prompts in {len(found.other_prompts):,} rows, first {found.other_prompts[0]}",
            "its tokenizer or template is another one: give it the checkpoint's",
        )
    if real:
        yield (
            f"the engine answers otherwise than transformers in {len(real):,} of {found.rows:,} rows: {_told(real[0])}",
            "try --torch_dtype float32, another version of the engine, or --engine transformers",
        )
    if found.failed:
        origin, why = found.failed[0]
        yield f"{len(found.failed):,} rows have an answer of one engine only, first {origin}: {why}", ""
    if not found.same and not found.partings:
        yield "nothing could be compared", "see the rows' errors with swift infer"
