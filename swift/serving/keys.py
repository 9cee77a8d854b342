"""Keys of clients: read from words or files, and compared without telling how much of one was right."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swift.errors import ConfigError

_NAME = re.compile(r"[\w.@-]{1,64}")
_SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and how much it may ask for in a minute, where that is said of it."""

    text: str
    requests: int | None = None
    tokens: int | None = None


class Keyring:
    """Names of clients by their keys.

    Args:
        keys: By name. Only digests of keys are kept.

    Attributes:
        requests: How many requests a key may make in a minute, by name, where that was said of it.
        tokens: The same of tokens.
    """

    def __init__(self, keys: Mapping[str, Key]) -> None:
        self._digests = tuple((name, _digest(key.text)) for name, key in keys.items())
        self.requests = {name: key.requests for name, key in keys.items() if key.requests is not None}
        self.tokens = {name: key.tokens for name, key in keys.items() if key.tokens is not None}

    def __bool__(self) -> bool:
        return bool(self._digests)

    def name(self, key: str) -> str | None:
        """Whose key it is; None where it is nobody's. Takes as long whichever it is."""
        digest = _digest(key)
        found = None
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):
                found = name
        return found

    def holds(self, name: str, key: str) -> bool:
        """Whether a key is that of a name. Takes as long whoever it is."""
        digest = _digest(key)
        found = False
        for known_name, known in self._digests:
            found |= hmac.compare_digest(digest, known) & (known_name == name)
        return found


def read_keys(given: Iterable[str], *, flag: str = "--api_keys", rates: bool = True) -> Keyring:
    """Keys from `NAME=KEY` words, or from files with such a line for each; `#` begins a comment.

    Behind a key may stand `requests=N` and `tokens=N`, what it may take in a minute.

    Args:
        given: Words and paths.
        flag: Where they were given, for messages.
        rates: Whether a key may have rates.

    Raises:
        ConfigError: A word is neither, a key has rates where it may have none, a key is short, or a name is given
            twice. The key itself is never told.
    """
    keys: dict[str, Key] = {}
    for place, word in enumerate(given, 1):
        path = Path(word).expanduser()
        if path.is_file():
            for number, line in enumerate(_lines(path, flag), 1):
                if line:
                    _add(keys, line, f"{flag}: line {number} of {word}", flag)
        else:
            _add(keys, word, f"{flag}: number {place}", flag)
    limited = next((name for name, key in keys.items() if key.requests or key.tokens), None)
    if limited is not None and not rates:
        raise ConfigError(
            f"{flag}: {limited!r} has a rate, and none are kept here",
            hint="take it out; `swift deploy --api_keys` keeps them",
        )
    return Keyring(keys)


def _lines(path: Path, flag: str) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{flag}: {path} cannot be read", hint="it needs a line NAME=KEY for each key") from error
    return ["" if line.lstrip().startswith("#") else line.strip() for line in text.splitlines()]


def _add(keys: dict[str, Key], line: str, where: str, flag: str) -> None:
    name, equals, rest = line.partition("=")
    name, (key, *more) = name.strip(), rest.split() or [""]
    if not equals or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{where} is neither a file nor NAME=KEY",
            hint=f"such as {flag} alice=... or {flag} keys.txt; a name has letters, digits and . _ @ -",
        )
    if len(key) < _SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"{where}: the key of {name!r} is shorter than {_SHORTEST} characters, or has others than ASCII",
            hint='make one with: python -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    if name in keys:
        raise ConfigError(f"{where}: two keys are called {name!r}", hint="give each a name of its own")
    rates: dict[str, int] = {}
    for word in more:
        what, _, number = word.partition("=")
        if what not in ("requests", "tokens") or not number.isdecimal() or not 0 < len(number) < 12 or int(number) < 1:
            raise ConfigError(
                f"{where}: what stands behind the key of {name!r} is no rate",
                hint="such as NAME=KEY requests=60 tokens=100000, for a minute",
            )
        rates[what] = int(number)
    keys[name] = Key(key, rates.get("requests"), rates.get("tokens"))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
