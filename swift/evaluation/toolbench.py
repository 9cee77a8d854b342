"""The metrics by which ToolBench judges agents (arXiv 2307.16789, 2401.07324; used in arXiv 2408.05517).

Each turn of the assistant is predicted behind the true history, and compared with the turn of the data set:

- **Plan.EM**: share of turns that decide what the reference decides: to call functions, to answer, or to give up.
- **Act.EM**: of the turns whose reference calls functions, the share that calls the same ones, by name and in order.
- **Avg.F1**: of the same turns, the mean F1 of arguments: an argument with the right value counts 1, one with only the
  right name 0.5. It is 0 where the functions differ.
- **Hallucination**: share of all turns that call a function which was not offered.
- **Rouge-L**: of the turns whose reference answers, the mean ROUGE-L (Lin 2004) of the answers. A turn that calls
  functions instead has said nothing, 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from swift.chat.tools.toolbench import FINISH
from swift.inference.overlap import rouge_l
from swift.types import Message

Plan = Literal["call", "answer", "give up"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one turn compares with its reference.

    Attributes:
        plan: Whether it decides the same.
        action: Whether it calls the same functions; None where the reference calls none.
        f1: F1 of arguments, from 0 to 1; None where the reference calls none.
        rouge: ROUGE-L of the answer, from 0 to 1; None where the reference does not answer.
        hallucinated: Whether it calls a function that was not offered.
    """

    plan: bool
    action: bool | None
    f1: float | None
    rouge: float | None
    hallucinated: bool


def plan_of(message: Message) -> Plan:
    """What a turn decides. ToolBench's function `Finish` answers or gives up; without a call, a turn answers."""
    if not message.tool_calls:
        return "answer"
    last = message.tool_calls[-1]
    if last.name != FINISH:
        return "call"
    given = last.arguments if isinstance(last.arguments, dict) else {}
    return "answer" if given.get("return_type") == "give_answer" else "give up"


def answer_of(message: Message) -> str:
    """What a turn answers: its words, or what it hands to `Finish`; empty where it calls or gives up."""
    if plan_of(message) != "answer":
        return ""
    if not message.tool_calls:
        return message.content
    return str(message.tool_calls[-1].arguments.get("final_answer", ""))


def judge(predicted: Message, reference: Message, offered: Collection[str]) -> Verdict:
    """Compare a turn with its reference.

    Args:
        predicted: What the model said.
        reference: What the data set says.
        offered: Names of the functions that may be called.
    """
    plan, names = plan_of(reference), [call.name for call in predicted.tool_calls]
    action = f1 = rouge = None
    if plan == "call":
        action = names == [call.name for call in reference.tool_calls]
        pairs = zip(predicted.tool_calls, reference.tool_calls, strict=False)
        scores = [arguments_f1(mine.arguments, theirs.arguments) for mine, theirs in pairs]
        f1 = sum(scores) / len(scores) if action else 0.0
    elif plan == "answer":
        rouge = rouge_l(answer_of(predicted), answer_of(reference))
    return Verdict(
        plan=plan_of(predicted) == plan,
        action=action,
        f1=f1,
        rouge=rouge,
        hallucinated=any(name not in offered and name != FINISH for name in names),
    )


def arguments_f1(predicted: Any, reference: Any) -> float:
    """F1 of the arguments of a call, from 0 to 1.

    An argument counts 1 where its value is equal (as JSON: 1 and true differ), and 0.5 where only its name is known
    to the reference. No arguments where none are wanted is 1. Arguments without names are equal or not.
    """
    if not isinstance(predicted, Mapping) or not isinstance(reference, Mapping):
        return float(same_value(predicted, reference))
    if not reference or not predicted:
        return float(len(reference) == len(predicted))
    known = [name for name in reference if name in predicted]
    matched = sum(1.0 if same_value(predicted[name], reference[name]) else 0.5 for name in known)
    recall, precision = matched / len(reference), matched / len(predicted)
    return 2 * recall * precision / (recall + precision) if matched else 0.0


def same_value(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal; 1 and true differ."""
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_value(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_value, left, right))
    return bool(left == right)
