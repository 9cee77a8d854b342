"""Whether a hub answers, and how a failure to reach one is told in one line."""

from __future__ import annotations

import http.client
import os
import queue
import threading
import urllib.error
import urllib.parse
import urllib.request

from swift.errors import HubError

SECONDS = 5.0
"""How long a hub may take to answer at all before it counts as unreachable."""


def hf_endpoint() -> str:
    """Address of the Hugging Face hub, or of the mirror that `HF_ENDPOINT` names."""
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")


def ms_endpoint() -> str:
    """Address of the ModelScope hub, or of the one that `MODELSCOPE_ENDPOINT` or `MODELSCOPE_DOMAIN` names."""
    if os.environ.get("MODELSCOPE_ENDPOINT"):
        return os.environ["MODELSCOPE_ENDPOINT"].rstrip("/")
    return f"https://{os.environ.get('MODELSCOPE_DOMAIN', 'modelscope.cn')}"


def is_offline() -> bool:
    """Whether the user has forbidden the network (`HF_HUB_OFFLINE` or `SWIFT_OFFLINE` is 1, true, yes or on)."""
    values = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "SWIFT_OFFLINE"))
    return any(value.strip().lower() in ("1", "true", "yes", "on") for value in values)


def unreachable(url: str, seconds: float = SECONDS) -> str | None:
    """Why the server at `url` does not answer within `seconds`; None where it answers, whatever it says.

    Name resolution has no time-out of its own, hence the thread, which is left behind where it hangs.
    """
    if is_offline():
        return "HF_HUB_OFFLINE or SWIFT_OFFLINE is set"
    answers: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_ask(url, seconds)), daemon=True).start()
    try:
        return answers.get(timeout=seconds)
    except queue.Empty:
        return f"no answer within {seconds:g} s"


def require_reachable(hub: str, url: str, what: str, *, hint: str = "") -> None:
    """Fail in one line, quickly, before a library starts to retry.

    Args:
        hub: Name of the hub in words.
        what: What was to be downloaded.
        hint: The way out; default: check the connection or name a local folder.

    Raises:
        HubError: The hub does not answer.
    """
    reason = unreachable(url)
    if reason is not None:
        raise offline_error(hub, what, reason, hint=hint)


def offline_error(hub: str, what: str, reason: str, *, hint: str = "") -> HubError:
    """The one-line error for a download that cannot begin."""
    return HubError(
        f"{what} is not cached and {hub} cannot be reached: {one_line(reason)}",
        hint=hint or "check the connection or the proxy, or name a local folder or file instead",
    )


def one_line(error: object, limit: int = 200) -> str:
    """An error's text on one line, shortened."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _ask(url: str, seconds: float) -> str | None:
    host = urllib.parse.urlsplit(url).hostname or url
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=seconds):
            return None
    except urllib.error.HTTPError as answer:
        return f"{host}: HTTP {answer.code}" if answer.code in (407, 502, 503, 504) else None
    except urllib.error.URLError as error:
        return f"{host}: {one_line(error.reason)}"
    except (OSError, http.client.HTTPException) as error:
        return f"{host}: {one_line(error)}"
