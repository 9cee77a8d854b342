"""Answers to single requests, on disk as soon as they are there, so that a run that was stopped goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from swift.evaluation.result import read_lines
from swift.inference.results import Results, open_results

RESPONSES = "responses.jsonl"

Done = Callable[[int, Any], None]
"""Called with the number of a request and its answer, a JSON value, in any order."""


class Kept:
    """Answers by the hash of what was asked.

    Args:
        results: The file, open for appending.
        known: What stands in it.
    """

    def __init__(self, results: Results, known: dict[str, Any]) -> None:
        self._results = results
        self._known = known
        self.asked = 0
        """Requests of this run that had no answer yet."""

    def answers(self, keys: Sequence[str], ask: Callable[[list[int], Done], None]) -> list[Any]:
        """The answer to each request.

        Args:
            keys: What identifies each; equal ones are asked once.
            ask: Answers requests by their numbers.
        """
        numbers = {key: number for number, key in enumerate(keys) if key not in self._known}

        def done(number: int, answer: Any) -> None:
            self._known[keys[number]] = answer
            self._results.write({"key": keys[number], "answer": answer})

        if numbers:
            self.asked += len(numbers)
            ask(list(numbers.values()), done)
        return [self._known[key] for key in keys]


def keys_of(kind: str, requests: Sequence[Any], *, repeats: bool = False) -> list[str]:
    """What identifies requests.

    Args:
        kind: What is asked.
        requests: JSON values.
        repeats: Whether equal requests are different ones, as samples are.
    """
    seen: Counter[bytes] = Counter()
    keys = []
    for request in requests:
        text = orjson.dumps([kind, request], option=orjson.OPT_SORT_KEYS)
        keys.append(sha256(text + b"%d" % seen[text]).hexdigest()[:24])
        seen[text] += repeats
    return keys


@contextmanager
def kept(folder: Path, identity: Mapping[str, Any]) -> Iterator[Kept]:
    """The answers in a folder.

    Raises:
        DataError: They are another model's.
    """
    path = folder / RESPONSES
    with open_results(path, identity, "output_dir") as results:
        yield Kept(results, {line["key"]: line["answer"] for line in read_lines(path)})
