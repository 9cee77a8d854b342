"""What clients are told when something cannot be done: OpenAI's shape, and Anthropic's on its routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import HTTPException
from starlette.responses import Response

from swift.errors import RowError
from swift.media import reasons as media_reasons

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    421: "permission_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
    505: "invalid_request_error",
}
_ANTHROPIC_KINDS = {**_KINDS, 500: "api_error", 503: "overloaded_error"}

_MEDIA = {
    media_reasons.MISSING: "a picture, video or sound of the request is not there",
    media_reasons.OUTSIDE_ROOT: "a picture, video or sound of the request may not be read",
    media_reasons.REFUSED_HOST: "a picture, video or sound of the request is at an address that may not be asked",
    media_reasons.UNREACHABLE: "a picture, video or sound of the request cannot be fetched",
    media_reasons.TOO_LARGE: "a picture, video or sound of the request is too large",
    media_reasons.UNREADABLE: "a picture, video or sound of the request is not readable",
    media_reasons.EMPTY: "a picture, video or sound of the request is empty",
    media_reasons.BAD_SOURCE: "a picture, video or sound of the request is neither a data: URI, nor an address or file "
    "that may be used",
    media_reasons.BAD_OPTION: "an option of a picture, video or sound of the request is out of range",
}
"""The details of these may tell of files and addresses that are no client's business."""


class ApiError(HTTPException):
    """Something that a client is told.

    Args:
        status: The HTTP status.
        message: One line, in words for the client.
        param: The field that is wrong, if one is.
        code: A short constant, if there is one.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, dict(headers or {}))
        self.status = status
        self.message = message
        self.param = param
        self.code = code


def bad(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """A request that cannot be right."""
    return ApiError(400, message, param, code)


def unavailable(message: str = "the engine is not ready; try again soon", *, wait: int = 2) -> ApiError:
    """The server cannot do it at the moment."""
    return ApiError(503, message, code="engine_not_ready", headers={"Retry-After": str(wait)})


def refused(reason: str, detail: str) -> ApiError:
    """What a RowError means to a client."""
    if reason in _MEDIA:
        return bad(_MEDIA[reason], code=reason)
    if reason == "unknown_adapter":
        return ApiError(404, "the model does not exist", param="model", code="model_not_found")
    if reason == "too_long":
        return bad(detail, code="context_length_exceeded")
    return bad(detail or reason.replace("_", " "), code=reason)


def refused_row(error: RowError) -> ApiError:
    """As `refused`."""
    return refused(error.reason, error.detail)


def body_of(error: ApiError, *, anthropic: bool = False) -> dict[str, Any]:
    """The JSON object that tells of an error."""
    if anthropic:
        kind = _ANTHROPIC_KINDS.get(error.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": error.message}}
    kind = _KINDS.get(error.status, "server_error")
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def is_anthropic(path: str) -> bool:
    """Whether a route speaks Anthropic's language."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def error_response(error: ApiError, path: str) -> Response:
    """The answer that tells of an error.

    Args:
        error: It.
        path: The route, which decides the shape.
    """
    return Response(
        orjson.dumps(body_of(error, anthropic=is_anthropic(path))),
        status_code=error.status,
        headers=dict(error.headers or {}),
        media_type="application/json",
    )
