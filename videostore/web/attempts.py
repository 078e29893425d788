"""How often a password may be tried: few times from one address, and not many times from all of them."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from videostore.base.clock import Clock
from videostore.base.constants import US_PER_SECOND

BURST, EVERY_S = 5, 30.0
"""Wrong passwords from one address: five at once, then one in half a minute, which are 2900 a day."""
BURST_OF_ALL, EVERY_S_OF_ALL = 50, 2.0
"""The same from all addresses that never sent the right one."""
MOST_ADDRESSES = 4096
"""Addresses that are remembered. The one that was seen the longest ago is forgotten first."""
_NETWORK_BITS = 64
"""A caller with IPv6 has all addresses of such a network."""


class Attempts:
    """Counts wrong passwords. One who sent too many has to wait, with the right one too: its answer would tell it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of_all = _Bucket(BURST_OF_ALL, EVERY_S_OF_ALL, self._now())
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._known: OrderedDict[str, None] = OrderedDict()
        """Addresses that sent the right one: what strangers try does not keep them out."""

    def wait_s(self, address: str) -> int:
        """Seconds until a password from this address is looked at; 0 if it is now."""
        now, name = self._now(), _network(address)
        bucket = self._buckets.get(name)
        wait_s = bucket.wait_s(now) if bucket is not None else 0.0
        if name not in self._known:
            wait_s = max(wait_s, self._of_all.wait_s(now))
        return math.ceil(wait_s)

    def failed(self, address: str) -> None:
        """A wrong password came from this address."""
        now, name = self._now(), _network(address)
        bucket = self._buckets.setdefault(name, _Bucket(BURST, EVERY_S, now))
        self._buckets.move_to_end(name)
        if len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        bucket.take(now)
        if name not in self._known:
            self._of_all.take(now)

    def succeeded(self, address: str) -> None:
        """The right password came from this address."""
        name = _network(address)
        self._known[name] = None
        self._known.move_to_end(name)
        if len(self._known) > MOST_ADDRESSES:
            self._known.popitem(last=False)

    def _now(self) -> float:
        return self._clock.monotonic_us() / US_PER_SECOND


class _Bucket:
    """Holds so many attempts, and gets one back every so many seconds."""

    __slots__ = ("_at_s", "_burst", "_every_s", "_left")

    def __init__(self, burst: int, every_s: float, now_s: float) -> None:
        self._burst, self._every_s = burst, every_s
        self._left, self._at_s = float(burst), now_s

    def take(self, now_s: float) -> None:
        self._refill(now_s)
        self._left = max(0.0, self._left - 1)

    def wait_s(self, now_s: float) -> float:
        self._refill(now_s)
        return 0.0 if self._left >= 1 else (1 - self._left) * self._every_s

    def _refill(self, now_s: float) -> None:
        self._left = min(self._burst, self._left + max(0.0, now_s - self._at_s) / self._every_s)
        self._at_s = now_s


def _network(address: str) -> str:
    """What counts as one address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return str(ipaddress.ip_network((int(ip), _NETWORK_BITS), strict=False))
        return str(ip.ipv4_mapped)
    return str(ip)
