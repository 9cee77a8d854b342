"""What a call looks like up to its arguments, for formats in which those are verbatim JSON.

Each pattern has the group `name`, and `id` where the format has ids, and ends in front of the `{` of the arguments.
Such a call can be told while its arguments are still being written.
"""

from __future__ import annotations

import re

_STRING = r'"(?P<name>[^"\\]+)"'


def in_json(before: str, *, name: str = "name", arguments: str = "arguments", ahead: str = "") -> re.Pattern[str]:
    r"""The beginning of a call that is a JSON object.

    Only with the key for arguments that the format reads first: another one might still follow, and would count.

    Args:
        before: A pattern for what stands before the object.
        name: The key of the function's name.
        arguments: The key of its arguments.
        ahead: A pattern for what may stand in the object before the name.
    """
    return re.compile(rf'{before}\s*\{{\s*{ahead}"{name}"\s*:\s*{_STRING}\s*,\s*"{arguments}"\s*:\s*(?=\{{)')


def behind(mark: str, between: str) -> re.Pattern[str]:
    """The beginning of a call whose name stands behind one mark and whose arguments stand behind another.

    Args:
        mark: A pattern.
        between: A pattern.
    """
    return re.compile(rf"{mark}(?P<name>[^\s<\[{{]+){between}(?=\{{)")
