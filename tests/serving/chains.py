"""Chains of requests along the links of the OpenAPI document: the stateful phase of schemathesis."""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from hypothesis import seed, settings

from tests.serving.cases import CHECKS, COMMON, headers_of, served

_ROUND, _STEPS = 10, 8
"""Chains at a time, and requests of the longest."""


def run(
    url: str,
    count: int,
    *,
    model: str,
    key: str | None = None,
    seen: Counter[str] | None = None,
    adapter: str | None = None,
) -> int:
    """Go along links until there were so many requests; returns how many there were.

    Args:
        url: The server.
        count: How many requests.
        model: A name that it serves.
        key: Sent with each.
        seen: Counts statuses of each link that was followed, and of each operation that was asked without one.
        adapter: A path below the server's folder of adapters.

    Raises:
        schemathesis.FailureGroup: An answer is not as promised.
    """
    tally: Counter[str] = Counter() if seen is None else seen
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers_of(key))
    # What a link puts into a wrong request may make it a right one, so that it could not be told what to expect.
    schema.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE], with_security_parameters=False)
    before = sum(tally.values())
    number = 0
    while sum(tally.values()) - before < count:
        last = sum(tally.values())
        machine = _machine(schema, model, key, tally, adapter)
        seed(number)(machine)
        machine.run(settings=settings(max_examples=_ROUND, stateful_step_count=_STEPS, **COMMON))
        assert sum(tally.values()) > last, "no link could be followed"
        number += 1
    return sum(tally.values()) - before


def _machine(schema: Any, model: str, key: str | None, tally: Counter[str], adapter: str | None) -> Any:
    base: Any = schema.as_state_machine()

    class Chains(base):  # type: ignore[misc]
        def step(self, input: Any) -> Any:
            followed = input.transition is not None and input.is_applied
            kept = {name for _, name in input.applied_parameters}
            if followed and isinstance(input.case.body, dict) and kept & input.case.body.keys():
                # A link's body is whole; what was drawn beside it would only make it a wrong one.
                input.case.body = {name: value for name, value in input.case.body.items() if name in kept}
            else:
                served(input.case, model, keep=kept, adapter=adapter)
            output = super().step(input)
            label = input.transition.id if followed else input.case.operation.label
            tally[f"{label} {output.response.status_code}"] += 1
            return output

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": headers_of(key), "timeout": 120}

        def validate_response(self, response: Any, case: Any, additional_checks: Any = None, **kwargs: Any) -> None:
            case.validate_response(response, checks=CHECKS, transport_kwargs=kwargs)

    return Chains
