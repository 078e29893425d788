"""From where a request comes: the name by which the page was called, the page that sent it, and the caller's address.

A page of another site can let a browser send requests here, and with DNS rebinding under a name of its own. The name
(`Host`), the sender (`Origin`, `Sec-Fetch-Site`) and the cookie's `SameSite` keep it out.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from videostore.config import WebConfig, is_loopback
from videostore.config.web import read_host

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?", re.ASCII)
_ANY = ("0.0.0.0", "::")  # noqa: S104 (only compared)
_PORTS = {"http": 80, "https": 443}


class Names:
    """The names under which the page may be called."""

    def __init__(self, web: WebConfig) -> None:
        own = () if web.host in _ANY else (web.host,)
        self._names = frozenset((*own, *web.hosts))

    def allow(self, host: str, reached: str | None) -> bool:
        """Whether a `Host` is one of them. `reached` is the address of this machine that the connection came to.

        This machine's own address is always allowed: no other site can have it as its name.
        """
        name = split_host(host)[0]
        if name is None:
            return False
        if name in self._names or (reached is not None and name == read_host(_plain(reached))):
            return True
        return is_loopback(name) and (reached is None or is_loopback_address(reached))


def split_host(host: str) -> tuple[str | None, int | None]:
    """Name and port of a `Host`; no name if it is malformed."""
    match = _AUTHORITY.fullmatch(host)
    name = read_host(match[1]) if match else None
    return (None, None) if match is None or name is None else (name, int(match[2]) if match[2] else None)


def is_foreign(host: str, origin: str | None, fetch_site: str | None, *, changes: bool) -> bool:
    """Whether the page of another site sent a request, by what its browser says.

    `changes` is whether the request changes something. Programs other than browsers send neither.
    """
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return True
    if origin is None or (origin == "null" and not changes):
        return False
    try:
        sender = urlsplit(origin)
        sender_host = sender.netloc
    except ValueError:
        return True
    default = _PORTS.get(sender.scheme)
    if default is None:
        return True
    name, port = split_host(sender_host)
    own_name, own_port = split_host(host)
    return name is None or (name, port or default) != (own_name, own_port or default)


def caller_address(peer: str | None, forwarded_for: Sequence[str]) -> str:
    """Whose password attempts are counted together. Only a proxy on this machine is believed, and only its own word."""
    if peer is None:
        return ""
    if not is_loopback_address(peer) or not forwarded_for:
        return _plain(peer)
    last = forwarded_for[-1].rpartition(",")[2].strip()
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:
        return _plain(peer)


def came_by_tls(peer: str | None, forwarded_proto: str | None) -> bool:
    """Whether the browser reached a proxy on this machine by TLS."""
    return peer is not None and is_loopback_address(peer) and (forwarded_proto or "").strip().lower() == "https"


def is_loopback_address(address: str) -> bool:
    """Whether an address of a connection is this machine's own."""
    return is_loopback(_plain(address))


def _plain(address: str) -> str:
    """An IPv4 address as such where a socket of IPv6 has it."""
    try:
        mapped = getattr(ipaddress.ip_address(address), "ipv4_mapped", None)
    except ValueError:
        return address
    return address if mapped is None else str(mapped)
