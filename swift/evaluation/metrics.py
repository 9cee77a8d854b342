"""The metrics of `swift eval` by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from swift.evaluation.boxes import boxes_in, mean_iou
from swift.evaluation.calls import same_calls, same_names
from swift.evaluation.exact import is_exact
from swift.evaluation.item import Item
from swift.evaluation.metric import Filter, Measure, Metric, Scores, named
from swift.evaluation.structured import Check, json_in
from swift.evaluation.toolbench import judge
from swift.evaluation.words import anls, f1, letter_in, number_in, same_number, squad_exact, vqa
from swift.inference.overlap import bleu_counts, bleu_of, rouge_l, rouge_n
from swift.types import Conversation, Message

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _without_tools(sample: Conversation) -> str:
    return "" if sample.tools else "no tools"


def _calls_the_unknown(item: Item) -> str:
    unknown = any(call.name not in item.offered for call in item.reference.tool_calls)
    return "unknown reference" if unknown else ""


def _without_calls(item: Item) -> str:
    return "" if item.reference.tool_calls else "no calls"


def _without_choices(item: Item) -> str:
    return "" if len(item.choices) > 1 and item.reference.content in item.choices else "no choices"


def _without_text(item: Item) -> str:
    return "" if any(text.strip() for text in item.expected) else "no text"


def _without_number(item: Item) -> str:
    return "" if any(number_in(text) is not None for text in item.expected) else "no number"


def _without_boxes(item: Item) -> str:
    return "" if boxes_in(item.expected[0]) else "no boxes"


_TEXT = Filter(turn=_without_text, told={"no text": "turns whose reference has no text"})
_AGENT = Filter(
    row=_without_tools,
    turn=_calls_the_unknown,
    told={"no tools": "rows without tools", "unknown reference": "turns whose reference calls what is not offered"},
)
_RIGHT = {"accuracy": Measure("Accuracy", named("right"))}


def _of_texts(
    functions: Mapping[str, Callable[[str, Sequence[str]], float | bool]],
) -> Callable[[Message, Item], Scores]:
    """Scores of the answer's text against the right ones, by functions of both."""
    return lambda answer, item: {name: score(answer.content, item.expected) for name, score in functions.items()}


def _best(score: Callable[[str, str], float]) -> Callable[[str, Sequence[str]], float]:
    return lambda predicted, references: max(score(predicted, reference) for reference in references)


def _bleu(answer: Message, item: Item) -> Scores:
    return {"counts": bleu_counts(answer.content, item.expected)}


def _calls(answer: Message, item: Item) -> Scores:
    mine, theirs = answer.tool_calls, item.reference.tool_calls
    return {"right": same_calls(mine, theirs), "names": same_names(mine, theirs)}


def _json(check: Check | None, answer: Message, item: Item) -> Scores:
    valid, value = json_in(answer.content)
    return {"valid": valid} if check is None else {"valid": valid, "fits": valid and check(value)}


def json_metric(check: Check | None) -> Metric:
    """Whether answers are JSON, and with a check also whether they fit a schema."""
    measures = {"valid": Measure("JSON", named("valid"))}
    if check is not None:
        measures = {"fits": Measure("fits schema", named("fits")), **measures}
    return Metric(measures, partial(_json, check))


def letter_score(answer: Message, item: Item) -> Scores:
    """Whether the letter that an answer names is the right one's."""
    letter = letter_in(answer.content, LETTERS[: len(item.choices)])
    return {"right": letter == item.reference, "read": letter is not None, "choices": len(item.choices)}


CHANCE = Measure("chance", lambda scores: 1 / scores["choices"])
CHOICE = {
    "accuracy": Measure("Accuracy", named("right")),
    "accuracy_norm": Measure("by length", named("right_norm")),
    "chance": CHANCE,
}

METRICS: dict[str, Metric] = {
    "toolbench": Metric(
        {
            "plan_em": Measure("Plan.EM", named("plan")),
            "act_em": Measure("Act.EM", named("action")),
            "f1": Measure("Avg.F1", named("f1")),
            "hallucination": Measure("Hallucination", named("hallucinated"), lower=True),
            "rouge_l": Measure("Rouge-L", named("rouge")),
        },
        lambda answer, item: asdict(judge(answer, item.reference, item.offered)),
        filter=_AGENT,
    ),
    "exact": Metric(
        _RIGHT,
        _of_texts({"right": lambda predicted, right: any(is_exact(predicted, text) for text in right)}),
        filter=_TEXT,
    ),
    "choice": Metric(
        CHOICE,
        way="choose",
        filter=Filter(
            turn=_without_choices, told={"no choices": "turns whose answer is not one of two or more `choices`"}
        ),
    ),
    "letter": Metric({**_RIGHT, "read": Measure("letter found", named("read")), "chance": CHANCE}, letter_score),
    "f1": Metric(
        {"f1": Measure("F1", named("f1")), "exact": Measure("exact", named("exact"))},
        _of_texts({"f1": f1, "exact": squad_exact}),
        filter=_TEXT,
    ),
    "rouge": Metric(
        {name: Measure(name.upper().replace("_", "-"), named(name)) for name in ("rouge_l", "rouge_1", "rouge_2")},
        _of_texts(
            {
                "rouge_l": _best(rouge_l),
                "rouge_1": _best(partial(rouge_n, size=1)),
                "rouge_2": _best(partial(rouge_n, size=2)),
            }
        ),
        filter=_TEXT,
    ),
    "bleu": Metric({"bleu": Measure("BLEU", named("counts"), pooled=bleu_of)}, _bleu, filter=_TEXT),
    "number": Metric(
        _RIGHT,
        _of_texts({"right": same_number}),
        filter=Filter(turn=_without_number, told={"no number": "turns whose reference has no number"}),
    ),
    "json": json_metric(None),
    "calls": Metric(
        {"accuracy": Measure("Accuracy", named("right")), "names": Measure("names", named("names"))},
        _calls,
        filter=Filter(row=_without_tools, turn=_without_calls, told={**_AGENT.told, "no calls": "turns without calls"}),
    ),
    "vqa": Metric({"vqa": Measure("VQA accuracy", named("vqa"))}, _of_texts({"vqa": vqa}), filter=_TEXT),
    "anls": Metric({"anls": Measure("ANLS", named("anls"))}, _of_texts({"anls": anls}), filter=_TEXT),
    "iou": Metric(
        {
            "iou": Measure("IoU", named("iou")),
            "at_half": Measure("IoU > 0.5", lambda scores: float(scores["iou"] > 0.5)),
        },
        lambda answer, item: {"iou": mean_iou(boxes_in(answer.content), boxes_in(item.expected[0]))},
        filter=Filter(turn=_without_boxes, told={"no boxes": "turns whose reference names no boxes"}),
    ),
    "judge": Metric(
        {"grade": Measure("grade, 1 to 10", lambda scores: (scores["grade"] - 1) / 9)}, filter=_TEXT, judged=True
    ),
}
"""By the name of `--metric`, or of a benchmark's metric."""
