"""pass@k: the chance that one of k programs passes its tests."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import partial

from swift.config.benchmark import BenchmarkConfig
from swift.evaluation.benchmarks.humaneval import program
from swift.evaluation.code.sandbox import CodeLimits, run, shut_in
from swift.evaluation.item import Item
from swift.evaluation.metric import Measure, Metric, Scores, named
from swift.types import Message

_TOLD = {
    "network": "the network is not shut off (no unshare)",
    "files": "other files can be read (no Landlock)",
    "calls": "processes and signals are not refused by the kernel (no seccomp)",
}


def pass_at_k(count: int, right: int, k: int) -> float | None:
    """Unbiased estimate of pass@k from `count` answers of which `right` pass (Chen 2021, eq. 1), from 0 to 1.

    1 - C(n - c, k) / C(n, k): the chance that not all of k answers, drawn without repeats, are wrong. None where there
    are fewer than k answers.
    """
    if count < k:
        return None
    return 1 - math.comb(count - right, k) / math.comb(count, k)


def code_metric(options: BenchmarkConfig) -> Metric:
    """Whether programs pass their tests. Says what the machine cannot shut off."""
    missing = [_TOLD[name] for name, shut in shut_in().items() if not shut]
    if missing:
        sys.stderr.write(f"note: code runs with limits of time and memory, but {', and '.join(missing)}\n")
    limits = CodeLimits(options.code_seconds, options.code_megabytes << 20)
    return Metric(
        measures(options.pass_at),
        partial(_score, limits),
        failed=lambda item: {"passed": False, "outcome": "not asked"},
    )


def limits_of(options: BenchmarkConfig) -> dict[str, object]:
    """What decides, besides the program, whether it passes."""
    return {
        "code_seconds": options.code_seconds,
        "code_megabytes": options.code_megabytes,
        "shut_in": sorted(name for name, shut in shut_in().items() if shut),
    }


def measures(ks: Sequence[int]) -> dict[str, Measure]:
    """pass@k for each k."""
    return {f"pass@{k}": Measure(f"pass@{k}", named("passed"), combine=_at(k)) for k in sorted(set(ks))}


def _at(k: int) -> Callable[[Sequence[float]], float | None]:
    return lambda passed: pass_at_k(len(passed), round(sum(passed)), k)


def _score(limits: CodeLimits, answer: Message, item: Item) -> Scores:
    reference = item.reference
    code = program(answer.content, reference["prompt"], reference["test"], reference["entry_point"])
    ended = run(code, limits)
    return {"passed": ended.outcome == "passed", "outcome": ended.outcome, "said": ended.said[-500:]}
