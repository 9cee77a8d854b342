"""Which hosts media may be fetched from, and which addresses are public."""

from __future__ import annotations

import ipaddress
import queue
import socket
import threading
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST = ipaddress.IPv6Network("2000::/3")
# What Python's own tables, which change with its version, may take for public.
_NOT_PUBLIC = (
    ipaddress.ip_network("168.63.129.16/32"),  # by its number it is, but Azure answers it inside each machine
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("3fff::/20"),
)


def host_name(host: str) -> str:
    """A host in the form in which it is compared and looked up: ASCII, lower case, without a final dot.

    Raises:
        ValueError: It is no host name.
    """
    bare = host.strip("[]").rstrip(".").lower()
    # UnicodeError is a ValueError.
    return bare if bare.isascii() else bare.encode("idna").decode("ascii")


def is_named(host: str, hosts: Sequence[str]) -> bool:
    """Whether the user names this very host, which also allows a private address of it."""
    return host in (host_name(pattern) for pattern in hosts if not pattern.startswith("*"))


def is_allowed(host: str, hosts: Sequence[str]) -> bool:
    """Whether media may be fetched from a host; no hosts means all.

    Args:
        host: From `host_name`.
        hosts: Names; `*.example.org` stands for every host below example.org, `*` for every one.
    """
    if not hosts or is_named(host, hosts):
        return True
    below = [pattern[2:] for pattern in hosts if pattern.startswith("*.")]
    return "*" in hosts or any(host.endswith(f".{host_name(parent)}") for parent in below)


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, also when it holds an IPv4 address inside an IPv6 one."""
    address = _embedded(address) or address
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    special = address.is_multicast or address.is_reserved or any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not special


def addresses(host: str, seconds: float) -> list[Address]:
    """All addresses of a host, in the order in which they should be tried.

    Name resolution has no time-out of its own, hence the thread, which is left behind where it hangs.

    Raises:
        OSError: The name is unknown.
        TimeoutError: It takes too long to find out.
    """
    answers: queue.Queue[list[Address] | OSError] = queue.Queue()
    threading.Thread(target=lambda: answers.put(_look_up(host)), daemon=True).start()
    try:
        answer = answers.get(timeout=max(seconds, 0.001))
    except queue.Empty:
        raise TimeoutError(f"no answer about its name within {seconds:.1f} s") from None
    if isinstance(answer, OSError):
        raise answer
    return answer


def _look_up(host: str) -> list[Address] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))
    except OSError as error:
        return error
    except ValueError as error:  # a name that is too long, or holds strange characters
        return OSError(f"not a host name: {error}")


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address carries, to which a gateway sends what is sent to it."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
