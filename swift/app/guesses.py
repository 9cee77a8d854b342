"""How often a client may say a wrong password."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

AT_ONCE, PER_MINUTE = 10, 10
"""Wrong passwords of one address: so many at once, and so many a minute for ever."""
MOST = 4096
"""Addresses that are remembered; of more, those that guessed the longest ago are forgotten."""


class Guesses:
    """Counts wrong passwords of addresses. An IPv6 client has all of its network's 2^64 addresses, which count as one.

    Args:
        clock: Seconds from some time on.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait(self, address: str) -> int:
        """Seconds until an address may try again; 0 for at once."""
        left = self._of(_network(address))
        return 0 if left >= 1 else math.ceil((1 - left) * 60 / PER_MINUTE)

    def wrong(self, address: str) -> None:
        """Note a wrong password."""
        network = _network(address)
        self._left[network] = (self._of(network) - 1, self._clock())
        self._left.move_to_end(network)
        while len(self._left) > MOST:
            self._left.popitem(last=False)

    def _of(self, network: str) -> float:
        """How often it may still be wrong."""
        left, then = self._left.get(network, (float(AT_ONCE), 0.0))
        return min(float(AT_ONCE), left + (self._clock() - then) * PER_MINUTE / 60)


def _network(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""  # all that are no addresses together
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((int(found), 64), strict=False))
    return str(found)
