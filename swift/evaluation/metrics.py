"""The metrics of `swift eval` by name: which turns they judge, how an answer is got, and what it sums up to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from swift.chat.parse import parse_answer
from swift.chat.tools.offer import names_of
from swift.engines.base import Engine
from swift.errors import RowError
from swift.evaluation.exact import ChoiceSummary, ExactSummary, is_exact, likeliest, percent
from swift.evaluation.toolbench import Summary as ToolbenchSummary
from swift.evaluation.toolbench import Verdict, judge, summarize
from swift.evaluation.turns import Filter, Turn
from swift.inference.results import message_json
from swift.types import Completion, Conversation, Message, Request, Sampling, Scored

Line = dict[str, Any]
"""One object of the file of predictions; `scores` is what the summary is made of."""

Scores = Mapping[str, Any]
Summary = ToolbenchSummary | ExactSummary | ChoiceSummary
OnDone = Callable[[int], None]
Predict = Callable[[Engine, Sequence[Turn], Sampling, OnDone], list[Line]]


@dataclass(frozen=True, slots=True)
class Metric:
    """A way to judge.

    Attributes:
        titles: Names under which values of the summary are shown.
        filter: What is left out.
        predict: Answers of an engine to turns, a line each; the last argument is called with how many are done.
        summarize: The summary of all lines' `scores`.
    """

    titles: Mapping[str, str]
    filter: Filter
    predict: Predict
    summarize: Callable[[Sequence[Scores]], Summary]


def _generate(
    compare: Callable[[Message, Turn], Scores],
    engine: Engine,
    turns: Sequence[Turn],
    rules: Sampling,
    on_done: OnDone,
) -> list[Line]:
    """Generate an answer to each turn, and compare it with the reference."""
    requests = [Request(turn.prompt, rules) for turn in turns]
    answers = engine.generate(requests, on_done=lambda number, completion: on_done(1))
    on_done(sum(isinstance(answer, RowError) for answer in answers))
    return [_line(engine, compare, turn, answer) for turn, answer in zip(turns, answers, strict=True)]


def _line(
    engine: Engine, compare: Callable[[Message, Turn], Scores], turn: Turn, answer: Completion | RowError
) -> Line:
    told = {**turn.key(), "reference": message_json(turn.reference)}
    if isinstance(answer, RowError):
        return {**told, "error": str(answer)}
    predicted = parse_answer(answer.text, engine.codec, turn.prompt.tools)
    return {
        **told,
        "prediction": message_json(predicted),
        "response": answer.text,
        "finish": answer.finish,
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.new_tokens,
        "scores": compare(predicted, turn),
    }


def _choose(engine: Engine, turns: Sequence[Turn], rules: Sampling, on_done: OnDone) -> list[Line]:
    """The likelihood of each choice, instead of an answer."""
    samples = [
        replace(turn.prompt, messages=(*turn.prompt.messages, Message("assistant", choice)))
        for turn in turns
        for choice in turn.choices
    ]
    scored = iter(engine.score(samples))
    lines = [_chosen(turn, [next(scored) for _ in turn.choices]) for turn in turns]
    on_done(len(turns))
    return lines


def _chosen(turn: Turn, scored: Sequence[Scored | RowError]) -> Line:
    told = {**turn.key(), "reference": message_json(turn.reference), "choices": turn.choices}
    failed = next((item for item in scored if isinstance(item, RowError)), None)
    if failed is not None:
        return {**told, "error": str(failed)}
    likely = [item for item in scored if isinstance(item, Scored)]
    right = turn.choices.index(turn.reference.content)
    whole, norm = likeliest(likely, turn.choices)
    return {
        **told,
        "prediction": turn.choices[whole],
        "logprobs": [item.logprob for item in likely],
        "scores": {"right": whole == right, "right_norm": norm == right, "choices": len(turn.choices)},
    }


def _exact_summary(scores: Sequence[Scores]) -> ExactSummary:
    return ExactSummary(percent([line["right"] for line in scores]), len(scores))


def _choice_summary(scores: Sequence[Scores]) -> ChoiceSummary:
    return ChoiceSummary(
        percent([line["right"] for line in scores]),
        percent([line["right_norm"] for line in scores]),
        percent([1 / line["choices"] for line in scores]),
        len(scores),
    )


def _without_tools(sample: Conversation) -> str:
    return "" if sample.tools else "no tools"


def _calls_the_unknown(turn: Turn) -> str:
    unknown = any(call.name not in names_of(turn.prompt.tools) for call in turn.reference.tool_calls)
    return "unknown reference" if unknown else ""


def _without_choices(turn: Turn) -> str:
    return "" if len(turn.choices) > 1 and turn.reference.content in turn.choices else "no choices"


def _without_text(turn: Turn) -> str:
    return "" if turn.reference.content.strip() else "no text"


METRICS: dict[str, Metric] = {
    "toolbench": Metric(
        {
            "plan_em": "Plan.EM",
            "act_em": "Act.EM",
            "f1": "Avg.F1",
            "hallucination": "Hallucination",
            "rouge_l": "Rouge-L",
            "turns": "turns",
            "calls": "calls",
            "answers": "answers",
        },
        Filter(
            row=_without_tools,
            turn=_calls_the_unknown,
            told={
                "no tools": "rows without tools",
                "unknown reference": "turns whose reference calls what is not offered",
            },
        ),
        partial(_generate, lambda predicted, turn: asdict(judge(predicted, turn.reference, turn.offered))),
        lambda scores: summarize([Verdict(**line) for line in scores]),
    ),
    "exact": Metric(
        {"accuracy": "Accuracy", "turns": "turns"},
        Filter(turn=_without_text, told={"no text": "turns whose reference has no text"}),
        partial(_generate, lambda predicted, turn: {"right": is_exact(predicted.content, turn.reference.content)}),
        _exact_summary,
    ),
    "choice": Metric(
        {"accuracy": "Accuracy", "accuracy_norm": "by length", "chance": "chance", "turns": "turns"},
        Filter(turn=_without_choices, told={"no choices": "turns whose answer is not one of two or more `choices`"}),
        _choose,
        _choice_summary,
    ),
}
"""By the name of `--metric`."""
