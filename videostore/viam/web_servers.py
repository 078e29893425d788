"""The pages of a module: recorders that name the same host and port share one. Two that differ are told apart here."""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from videostore.base.clock import Clock, SystemClock
from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import ConfigError
from videostore.config import WebConfig
from videostore.viam.web_process import ShownRecorder, WebProcess

_CLAIMED_US = 60 * US_PER_SECOND
"""A config that was checked, and not used since, counts for so long: viam-server tries one again after 5 s."""

_ALL = {"0.0.0.0": 4, "::": 6}  # noqa: S104 (only compared)
"""Hosts that stand for all addresses, of one version of IP."""


@dataclass(frozen=True, slots=True)
class WebState:
    """Where the page of a recorder is, or why it is not there."""

    address: str | None
    trouble: str | None


@dataclass(slots=True)
class _Place:
    """A host and a port, and the recorders that name it, in the order in which they came."""

    members: dict[str, tuple[WebConfig, ShownRecorder]] = field(default_factory=dict)
    process: WebProcess | None = None
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)


class WebServers:
    """Owns the servers of all recorders. Each lives as long as a recorder needs it."""

    def __init__(
        self,
        logger: logging.Logger,
        *,
        clock: Clock | None = None,
        make: Callable[[WebConfig, logging.Logger], WebProcess] = WebProcess,
    ) -> None:
        self._logger = logger
        self._clock = clock or SystemClock()
        self._make = make
        self._places: dict[tuple[str, int], _Place] = {}
        self._joined: dict[str, WebConfig] = {}
        self._claims: dict[str, tuple[WebConfig, int]] = {}
        """What was checked last of each recorder, and when, in the order in which they came first."""

    def check(self, name: str, web: WebConfig | None) -> None:
        """Check a config of a recorder beside those of the others. The one that came first leads.

        A config that changes several is checked one by one. So the others may be what the first one is or is to be,
        and the first one may be what the others are or are to be.

        Raises:
            ConfigError: another recorder names the same host and port, and differs in something else.
        """
        now_us = self._clock.monotonic_us()
        if web is None:
            self._claims.pop(name, None)
            return
        self._claims[name] = (web, now_us)
        for other, (_, at_us) in list(self._claims.items()):
            if other not in self._joined and now_us - at_us > _CLAIMED_US:
                del self._claims[other]
        if self._joined.get(name) == web:
            return
        leader = self._leader(web)
        # One that is joined and claims nothing is about to go.
        running = [other for other in self._joined if other != name and other in self._claims]
        others = running if leader == name else [leader]
        for other in others:
            differing = [_differing(web, its) for its in (self._claims[other][0], self._joined.get(other)) if its]
            if all(differing):
                raise _error(name, other, web, differing[0])

    def _leader(self, web: WebConfig) -> str:
        """The first recorder with the address of a config; one that runs comes before those that ask to."""
        running = (name for name in self._claims if name in self._joined and _is_shared(self._joined[name], web))
        asking = (name for name, (its, _) in self._claims.items() if _is_shared(its, web))
        return next(itertools.chain(running, asking))

    def join(self, recorder: ShownRecorder, web: WebConfig) -> None:
        """Show a recorder. A page that others have with other settings does not."""
        name = recorder.name
        self._joined[name] = web
        self._claims.setdefault(name, (web, self._clock.monotonic_us()))
        place = self._places.setdefault((web.host, web.port), _Place())
        place.members[name] = (web, recorder)
        if place.process is None and not place.settling.locked():
            self._start(place)
        elif place.process is not None and place.process.web == web:
            place.process.show(recorder)
        elif place.process is not None:
            self._logger.error("%s is not shown. %s", name, self._refusal(place, name, web))

    async def leave(self, name: str) -> None:
        """Show a recorder no more. The server ends with its last one."""
        web = self._joined.pop(name, None)
        if web is None:
            return
        if self._claims.get(name, (None, 0))[0] == web:
            del self._claims[name]
        place = self._places[web.host, web.port]
        del place.members[name]
        async with place.settling:
            first = next(iter(place.members.values()), None)
            process = place.process
            if process is not None and (first is None or first[0] != process.web):
                place.process = None
                await process.close()
            elif process is not None:
                process.hide(name)
        if not place.members:
            if self._places.get((web.host, web.port)) is place:
                del self._places[web.host, web.port]
        elif place.process is None:
            self._start(place)

    def state(self, name: str) -> WebState | None:
        """Where the page of a recorder is; None if it has none."""
        web = self._joined.get(name)
        if web is None:
            return None
        process = self._places[web.host, web.port].process
        if process is None:
            return WebState(None, None)
        if process.web != web:
            return WebState(None, self._refusal(self._places[web.host, web.port], name, web))
        return WebState(process.url, process.trouble)

    def _start(self, place: _Place) -> None:
        """Start the server of those that have the settings of the first."""
        web, _ = next(iter(place.members.values()))
        place.process = self._make(web, self._logger)
        for its, recorder in place.members.values():
            if its == web:
                place.process.show(recorder)
        place.process.start()

    def _refusal(self, place: _Place, name: str, web: WebConfig) -> str:
        other, its = next((other, its) for other, (its, _) in place.members.items())
        return str(_error(name, other, web, _differing(web, its)))


def _is_shared(one: WebConfig, other: WebConfig) -> bool:
    """Whether two name the same port of the same address, which only one server can have."""
    return one.port == other.port and (_meet(one.host, other.host) or _meet(other.host, one.host))


def _differing(one: WebConfig, other: WebConfig) -> list[str]:
    """In what two differ that name the same port of the same address; nothing if they do not."""
    return list(_differences(one, other)) if _is_shared(one, other) else []


def _meet(host: str, other: str) -> bool:
    """Whether one host includes the other. Of a name that is not of this kind only the system knows what it means."""
    if host == other:
        return True
    address = _address(other)
    if host in _ALL:
        return other not in _ALL and (address is None or address.version == _ALL[host])
    return host == "localhost" and address is not None and str(address) in ("127.0.0.1", "::1")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _differences(one: WebConfig, other: WebConfig) -> Iterator[str]:
    if one.host != other.host:
        yield "host"
    if one.password_file != other.password_file:
        yield "password_file"
    if one.password_env != other.password_env:
        yield "password_env"
    if set(one.hosts) != set(other.hosts):
        yield "hosts"


def _error(name: str, other: str, web: WebConfig, differing: list[str]) -> ConfigError:
    return ConfigError("web-differs", attribute="web", name=name, other=other, address=web.address, differing=differing)
