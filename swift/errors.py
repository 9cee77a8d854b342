"""Every error that `swift` raises on purpose, in one tree.

    SwiftError                 the user can fix it: exit code 2, one line `error:` and one line `hint:`
    ├── ConfigError            a value in the run's configuration
    │   └── UnknownNameError   a key, command or registry name that does not exist (carries suggestions)
    ├── DataError              a data file or a row of one
    ├── TemplateError          a chat template that fails a predicate or cannot render
    ├── ModelError             a model folder, its weights or its tokenizer
    ├── HubError               a download
    ├── ResourceError          memory, disk or device
    ├── CheckpointError        a checkpoint that is absent, corrupt or of another run
    ├── TrainingError          the run itself, such as a loss that is not finite
    ├── ServerError            a server that refuses a request, or cannot be reached
    ├── EngineError            an inference engine that does not start, does not answer or has died
    └── MissingExtraError      an optional library that is not installed

    RowError                   one row's problem; never leaves the data path, ends in the ledger

Anything else that escapes is a bug of ours: exit code 1 and a traceback.
"""

from __future__ import annotations

from collections.abc import Sequence


class SwiftError(Exception):
    """An error that the user can fix.

    Attributes:
        message: One line: the value that is wrong and the rule that it breaks.
        hint: One line: the way out. May be empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(SwiftError):
    """A value in the run's configuration is wrong."""


class UnknownNameError(ConfigError):
    """A name that does not exist, with the nearest names that do."""

    def __init__(self, kind: str, name: str, known: Sequence[str], *, hint: str = "") -> None:
        import difflib

        near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
        advice = f"did you mean {' or '.join(near)}?" if near else hint
        super().__init__(f"unknown {kind} {name!r}", hint=advice)
        self.suggestions = tuple(near)


class DataError(SwiftError):
    """A data file, or a row of one, cannot be used."""


class TemplateError(SwiftError):
    """A chat template cannot render, or fails a predicate that training depends on."""


class ModelError(SwiftError):
    """A model's folder, weights or tokenizer cannot be used."""


class HubError(SwiftError):
    """A download failed, or there is no network and nothing cached."""


class ResourceError(SwiftError):
    """Not enough memory or disk, or no such device."""


class CheckpointError(SwiftError):
    """A checkpoint is absent, incomplete, corrupt, or belongs to another run."""


class TrainingError(SwiftError):
    """The run itself went wrong, such as a loss that is not finite."""


class ServerError(SwiftError):
    """A server refuses a request, or cannot be reached.

    Attributes:
        status: The HTTP status; 0 where there was no answer.
    """

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class EngineError(SwiftError):
    """An inference engine cannot be started, does not answer, or has died."""


class MissingExtraError(SwiftError):
    """An optional library is needed and not installed."""

    def __init__(self, library: str, *, extra: str, why: str) -> None:
        super().__init__(
            f"{why} needs the library {library!r}, which is not installed",
            hint=f"pip install 'swift-finetune[{extra}]'",
        )


class RowError(Exception):
    """One row cannot be used. It ends in the ledger and never stops anything by itself.

    Attributes:
        reason: A short constant such as `empty_answer`, by which the ledger counts.
        detail: One line for this row.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[RowError], tuple[str, str]]:
        return (RowError, (self.reason, self.detail))
