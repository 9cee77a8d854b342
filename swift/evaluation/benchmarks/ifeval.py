"""IFEval (Zhou et al. 2023, arXiv 2311.07911): instructions about the form of an answer, which a program can check.

The rules are those of the paper, in words of our own. Two things differ from the authors' program: sentences are
counted by their ends and not by a trained model, and rows that ask for a language are left out, since telling languages
apart takes one, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from swift.errors import RowError
from swift.evaluation.benchmarks.base import LEFT_OUT, Benchmark, Hub, Question, Values, id_of, text_of, user
from swift.evaluation.benchmarks.ifeval_options import options_of
from swift.evaluation.item import Item
from swift.evaluation.metric import Scores
from swift.evaluation.structured import json_in
from swift.types import Message

Options = Mapping[str, Any]
Follows = Callable[[str, Options], bool]

_SENTENCE = re.compile(r"[^.!?。！？]*[.!?。！？]+(?=\s|$|[\"')\]])|[^.!?。！？]+$")
_CHOICES = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def _as_many(count: int, wanted: Any, relation: Any) -> bool:
    """Whether a count is `less than` or `at least` what is wanted."""
    return count < int(wanted) if relation == "less than" else count >= int(wanted)


def _has(text: str, word: str) -> int:
    return len(re.findall(re.escape(word), text, re.IGNORECASE))


def _forbidden(text: str, options: Options) -> bool:
    words = options["forbidden_words"]
    return not any(re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) for word in words)


def _sentences(text: str, options: Options) -> bool:
    count = sum(bool(sentence.strip()) for sentence in _SENTENCE.findall(text))
    return _as_many(count, options["num_sentences"], options["relation"])


def _paragraphs(text: str, options: Options) -> bool:
    """Paragraphs stand between lines of three stars; none but the outer ones may be empty."""
    parts = re.split(r"\s?\*\*\*\s?", text)
    inner = [part for place, part in enumerate(parts) if part.strip() or 0 < place < len(parts) - 1]
    return all(part.strip() for part in inner) and len(inner) == int(options["num_paragraphs"])


def _first_word(text: str, options: Options) -> bool:
    parts = [part.strip() for part in re.split(r"\n\n", text)]
    filled = [part for part in parts if part]
    place = int(options["nth_paragraph"]) - 1
    if len(filled) != int(options["num_paragraphs"]) or place >= len(parts) or not parts[place]:
        return False
    first = re.match(r"[\"']*([^\s.,?!'\"]*)", parts[place])
    return first is not None and first[1].lower() == str(options["first_word"]).lower()


def _postscript(text: str, options: Options) -> bool:
    marker = str(options["postscript_marker"])
    loose = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}.get(marker, re.escape(marker.lower()))
    return (
        re.search(rf"^\s*{loose}", text.lower(), re.MULTILINE) is not None or re.search(loose, text.lower()) is not None
    )


def _bullets(text: str, options: Options) -> bool:
    count = len(re.findall(r"^\s*\*[^*].*$", text, re.MULTILINE)) + len(re.findall(r"^\s*-.*$", text, re.MULTILINE))
    return count == int(options["num_bullets"])


def _highlights(text: str, options: Options) -> bool:
    single = [found for found in re.findall(r"(?<!\*)\*([^\n*]+)\*(?!\*)", text) if found.strip()]
    double = [found for found in re.findall(r"\*\*([^\n*]+)\*\*", text) if found.strip()]
    return len(single) + len(double) >= int(options["num_highlights"])


def _sections(text: str, options: Options) -> bool:
    begin = re.escape(str(options["section_spliter"]))
    return len(re.findall(rf"\s?{begin}\s?\d+\s?", text)) >= int(options["num_sections"])


def _two(text: str, options: Options) -> bool:
    parts = [part.strip() for part in text.split("******")]
    inner = [part for place, part in enumerate(parts) if part or 0 < place < len(parts) - 1]
    return len(inner) == 2 and all(inner) and inner[0] != inner[1]


def _capitals(text: str, options: Options) -> bool:
    words = [word for word in re.findall(r"\b[^\W\d_][\w'-]*\b", text) if word.isupper()]
    return _as_many(len(words), options["capital_frequency"], options["capital_relation"])


def _end(text: str, options: Options) -> bool:
    return text.strip().strip('"').lower().endswith(str(options["end_phrase"]).strip().lower())


_RULES: dict[str, Follows] = {
    "keywords:existence": lambda text, given: all(_has(text, word) for word in given["keywords"]),
    "keywords:frequency": lambda text, given: _as_many(
        _has(text, given["keyword"]), given["frequency"], given["relation"]
    ),
    "keywords:forbidden_words": _forbidden,
    "keywords:letter_frequency": lambda text, given: _as_many(
        text.lower().count(str(given["letter"]).lower()), given["let_frequency"], given["let_relation"]
    ),
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:number_words": lambda text, given: _as_many(
        len(re.findall(r"\w+", text)), given["num_words"], given["relation"]
    ),
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": lambda text, given: (
        len(re.findall(r"\[.*?\]", text)) >= int(given["num_placeholders"])
    ),
    "detectable_content:postscript": _postscript,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": lambda text, given: any(choice in text for choice in _CHOICES),
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": lambda text, given: json_in(text)[0],
    "detectable_format:title": lambda text, given: any(found.strip() for found in re.findall(r"<<([^\n]+)>>", text)),
    "combination:two_responses": _two,
    "combination:repeat_prompt": lambda text, given: (
        text.strip().lower().startswith(str(given["prompt_to_repeat"]).strip().lower())
    ),
    "startend:end_checker": _end,
    "startend:quotation": lambda text, given: len(text.strip()) > 1 and text.strip()[0] == text.strip()[-1] == '"',
    "change_case:capital_word_frequency": _capitals,
    "change_case:english_capital": lambda text, given: text.isupper(),
    "change_case:english_lowercase": lambda text, given: text.islower(),
    "punctuation:no_comma": lambda text, given: "," not in text,
}
_LANGUAGE = "language:response_language"


def _ask(row: Values) -> Question:
    names, options = row.get("instruction_id_list"), row.get("kwargs")
    if not isinstance(names, list) or not isinstance(options, list) or len(names) != len(options) or not names:
        raise RowError("bad_row", "its instruction_id_list and kwargs are not lists of one length")
    if _LANGUAGE in names:
        raise RowError(LEFT_OUT)
    unknown = [name for name in names if not isinstance(name, str) or name not in _RULES]
    if unknown:
        raise RowError("bad_row", f"its instruction {unknown[0]!r} is not known")
    given = [options_of(name, one) for name, one in zip(names, options, strict=True)]
    reference = [{"rule": name, "options": one} for name, one in zip(names, given, strict=True)]
    return Question(user(text_of(row, "prompt")), reference=reference, id=id_of(row, "key"))


def follows(text: str, rule: str, options: Options) -> bool:
    """Whether an answer follows an instruction; an empty one follows none.

    Raises:
        RowError: The instruction lacks an option.
    """
    try:
        return bool(text.strip()) and _RULES[rule](text, options)
    except KeyError as error:
        raise RowError("bad_row", f"the instruction {rule} lacks {error}") from error


def loosened(text: str) -> list[str]:
    """An answer, also without its first line, its last, or both, and each without stars."""
    lines = text.split("\n")
    forms = [text, "\n".join(lines[1:]).strip(), "\n".join(lines[:-1]).strip(), "\n".join(lines[1:-1]).strip()]
    return forms + [form.replace("*", "") for form in forms]


def followed(answer: Message, item: Item) -> Scores:
    """Which instructions an answer follows: strictly each, all of them, and all of them loosely."""
    rules = [(one["rule"], one["options"]) for one in item.reference]
    each = [follows(answer.content, *rule) for rule in rules]
    loose = all(any(follows(form, *rule) for form in loosened(answer.content)) for rule in rules)
    return {"strict": all(each), "loose": loose, "each": each}


def failed(item: Item) -> Scores:
    """Scores of a question that could not be asked."""
    return {"strict": False, "loose": False, "each": [False] * len(item.reference)}


IFEVAL = Benchmark(
    about="instructions about the form of an answer (Zhou 2023)",
    licence="Apache-2.0",
    origin=Hub("google/IFEval", "", "train"),
    metric="ifeval",
    prompt="as-is-1",
    ask=_ask,
    max_new_tokens=1024,
)
