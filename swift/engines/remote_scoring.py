"""How likely a server finds given tokens: what it is asked, and what its answer means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from swift.engines.wires import OTHER_PROMPT, Takes
from swift.errors import EngineError, RowError
from swift.types import Scored


def scoring_body(model: str, ids: Sequence[int], takes: Takes) -> dict[str, Any]:
    """The JSON object that asks for the log-probability of each of these tokens."""
    new = 0 if takes.bare_echo else 1
    body: dict[str, Any] = {"model": model, "prompt": list(ids), "max_tokens": new, "temperature": 0.0}
    if takes.scores == "prompt_logprobs":
        return body | {"prompt_logprobs": 0}
    return body | {"echo": True, "logprobs": 1}


def likelihood(data: Mapping[str, Any], ids: Sequence[int], targets: Sequence[int], takes: Takes) -> Scored:
    """The sum over targets.

    Args:
        data: The server's response.
        ids: What it was asked about.
        targets: Places in `ids` of the tokens that count.
        takes: What the server is.

    Raises:
        RowError: It has seen other tokens.
        EngineError: It tells no log-probabilities.
    """
    choice = data["choices"][0]
    values = _by_id(choice, ids) if takes.scores == "prompt_logprobs" else _in_order(choice)
    if values is None:
        raise EngineError(
            f"{takes.server} tells no log-probabilities of prompts", hint="score with --engine transformers"
        )
    # An echo may be followed by the one token that had to be generated.
    if len(values) not in (len(ids), len(ids) + 1) or any(values[place] is None for place in targets):
        raise RowError(OTHER_PROMPT, f"{takes.server} has made {len(values)} tokens of {len(ids)}")
    by_id = takes.scores == "prompt_logprobs"
    best = [_is_best_by_id(choice, place, ids[place]) if by_id else _is_best(choice, place) for place in targets]
    greedy = None if None in best else all(best)
    return Scored(sum(values[place] or 0.0 for place in targets), len(targets), greedy)


def _is_best_by_id(choice: Mapping[str, Any], place: int, token: int) -> bool | None:
    """Whether vLLM ranks a token first; None where it does not tell."""
    rank = choice["prompt_logprobs"][place][str(token)].get("rank")
    return None if rank is None else rank == 1


def _is_best(choice: Mapping[str, Any], place: int) -> bool | None:
    """Whether no token is told that is likelier than an echo's own; None where none is told."""
    told = choice["logprobs"]
    top = told.get("top_logprobs") or []
    others = top[place] if place < len(top) else None
    return max(others.values()) <= told["token_logprobs"][place] if others else None


def _by_id(choice: Mapping[str, Any], ids: Sequence[int]) -> list[float | None] | None:
    """vLLM's `prompt_logprobs`: for each token but the first, an object from ids to log-probabilities."""
    told = choice.get("prompt_logprobs")
    if not told:
        return None
    values: list[float | None] = []
    for entry, token in zip(told, ids, strict=False):
        found = (entry or {}).get(str(token))
        values.append(None if found is None else float(found["logprob"]))
    return values


def _in_order(choice: Mapping[str, Any]) -> list[float | None] | None:
    """An echo's `token_logprobs`: in the order of the tokens, none for the first."""
    told = (choice.get("logprobs") or {}).get("token_logprobs")
    return None if not told else list(told)
