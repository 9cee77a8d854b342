"""Back from a model's text to places in the picture; whatever the text is, cut off in the middle or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from swift.chat.grounding.formats import Format
from swift.types import Spot

_NUMBER = r"(-?\d{1,9}(?:\.\d{1,9})?)\s*"
_FIELD = re.compile(r"\{(x1|y1|x2|y2)\}")
_LOOSE = re.compile(r"([\[\](),]) ?")
_LABEL = re.compile(r'"(?:label|ref|name|object)"\s*:\s*("(?:[^"\\]|\\.)*")')
_AXES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True, slots=True)
class _Found:
    """A box or point in the text: where it stands, and its numbers as x1, y1 (, x2, y2)."""

    start: int
    end: int
    numbers: tuple[float, ...]


def parse(
    text: str, form: Format, size: tuple[int, int], shown: tuple[int, int] | None = None, *, cut: bool = False
) -> list[Spot]:
    """The places that a text names, in order, in pixels of the picture.

    A box whose end is missing is left out. Corners in the wrong order are put right, and what lies outside the
    picture is moved to its edge.

    Args:
        text: What the model said.
        form: The format that its family writes.
        size: Width and height of the picture as its file has it, upright.
        shown: Its size as the model sees it; counts only where the format writes pixels. None is `size`.
        cut: Whether the text ends at a length limit, so that a point at its end may be half a box.
    """
    found = sorted(_found(text, form, cut=cut), key=lambda item: item.start)
    seen = shown or size
    spots = []
    for item, ref in zip(found, _refs(text, form, found), strict=True):
        shares = [form.coordinates.read(number, seen[place % 2]) for place, number in enumerate(item.numbers)]
        pixels = [share * size[place % 2] for place, share in enumerate(shares)]
        if len(pixels) == 4:
            (left, right), (upper, lower) = sorted(pixels[::2]), sorted(pixels[1::2])
            pixels = [left, upper, right, lower]
        spots.append(Spot(tuple(pixels), ref))
    return spots


def _found(text: str, form: Format, *, cut: bool) -> Iterator[_Found]:
    box, point = _pattern(form.box), _pattern(form.point)
    for start, end, closed in _regions(text, form):
        boxes = [_Found(*match.span(), _numbers(match, box[1])) for match in box[0].finditer(text, start, end)]
        yield from boxes
        if not closed:
            continue  # what looks like a point may be the first half of a box
        for match in point[0].finditer(text, start, end):
            inside = any(match.start() < item.end and match.end() > item.start for item in boxes)
            if not inside and not (form.tokens and _is_half(text[match.end() :], form, cut=cut)):
                yield _Found(*match.span(), _numbers(match, point[1]))


def _is_half(behind: str, form: Format, *, cut: bool) -> bool:
    """Whether two coordinates, each a token, are no point but the beginning of a box."""
    return behind.startswith(form.point.partition("{")[0]) or (cut and not behind.strip())


def _regions(text: str, form: Format) -> Iterator[tuple[int, int, bool]]:
    """Where boxes may stand: start, end, and whether the end mark is there. Without marks: the whole text."""
    before, behind = (mark.strip("[]") or mark for mark in form.around)
    if not before:
        yield 0, len(text), True
        return
    start = text.find(before)
    while start >= 0:
        begin = start + len(before)
        start = text.find(before, begin)
        limit = start if start >= 0 else len(text)
        end = text.find(behind, begin, limit)
        yield begin, (end if end >= 0 else limit), end >= 0


def _refs(text: str, form: Format, found: list[_Found]) -> list[str | None]:
    """What each place is called."""
    if form.naming == "marked":
        names = _marked(text, form)
        return [next((name for end, name in reversed(names) if end <= item.start), None) for item in found]
    if form.naming == "json":
        return [_label(text, item) for item in found]
    if form.naming == "none":
        return [None] * len(found)
    gaps = [text[one.end : other.start] for one, other in pairwise(found)]
    if form.naming == "after":
        behind = [*gaps, text[found[-1].end :]] if found else []
        return [gap.partition(";")[0].strip() or None for gap in behind]
    refs: list[str | None] = []
    for gap in [text[: found[0].start], *gaps] if found else []:
        # Several boxes behind one name are all of that name.
        refs.append(gap.strip(" \n,;.") or (refs[-1] if refs else None))
    return refs


def _marked(text: str, form: Format) -> list[tuple[int, str]]:
    """Names in their marks, and where each ends."""
    opening, closing = (re.escape(mark) for mark in form.reference)
    return [(match.end(), match[1].strip()) for match in re.finditer(f"{opening}(.*?){closing}", text, re.DOTALL)]


def _label(text: str, item: _Found) -> str | None:
    """The label in the JSON object that the place stands in."""
    start = text.rfind("{", 0, item.start)
    if start < 0 or text.rfind("}", 0, item.start) > start:
        return None
    ends = [place for mark in "{}" if (place := text.find(mark, item.end)) >= 0]
    match = _LABEL.search(text, start, min(ends, default=len(text)))
    if match is None:
        return None
    try:
        return str(json.loads(match[1], strict=False))
    except ValueError:  # an escape that JSON does not have
        return match[1][1:-1]


@lru_cache(maxsize=64)
def _pattern(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """What a template matches, with any white space between numbers and punctuation, and what its numbers are."""
    parts = _FIELD.split(template)
    written = [_loose(part) if place % 2 == 0 else _NUMBER for place, part in enumerate(parts)]
    return re.compile("".join(written)), tuple(parts[1::2])


def _loose(literal: str) -> str:
    pieces = _LOOSE.split(literal)
    return "".join(re.escape(piece) if place % 2 == 0 else rf"\{piece}\s*" for place, piece in enumerate(pieces))


def _numbers(match: re.Match[str], axes: tuple[str, ...]) -> tuple[float, ...]:
    values = dict(zip(axes, match.groups(), strict=True))
    return tuple(float(values[axis]) for axis in _AXES if axis in values)
