"""Lets in who belongs here: checks each request before anything else sees it, and answers for the sessions."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from videostore.base.clock import Clock, SystemClock
from videostore.base.errors import RequestError
from videostore.config import WebConfig
from videostore.web.attempts import Attempts
from videostore.web.body import read_object
from videostore.web.origin import Names, caller_address, came_by_tls, is_foreign, split_host
from videostore.web.password import Password
from videostore.web.refusal import Refused
from videostore.web.sessions import Sessions

_LOGGER = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

READS, CHANGES = frozenset({"GET", "HEAD"}), frozenset({"POST", "DELETE"})
SESSION_PATH = "/api/session"
HEALTH_PATH = "/healthz"
PAGE_PATH = "/"
STATIC_PATH = "/static/"
_MOST_PASSWORD_BODY_BYTES = 4096
_BROWSER = "Mozilla/"
"""How all browsers begin to describe themselves. They get no question for a password of their own: the page asks."""
_BASIC = "basic "
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")


class Guard:
    """Knows the names of the page, its password and the sessions. Without a password every session is open."""

    def __init__(self, access: WebConfig, password: Password | None = None, clock: Clock | None = None) -> None:
        if access.has_password != (password is not None):
            raise ValueError("the password of the config was not read")
        clock = clock or SystemClock()
        self._password = password
        self._names = Names(access)
        self._attempts = Attempts(clock)
        self._sessions = Sessions(clock)
        # Cookies belong to a host and not to a port, of which each may have a server.
        self._cookie = f"videostore-{access.port}"

    def routes(self) -> Sequence[web.RouteDef]:
        """The requests of sessions, which it answers itself."""
        return [
            web.get(SESSION_PATH, self._describe),
            web.post(SESSION_PATH, self._begin),
            web.delete(SESSION_PATH, self._end),
        ]

    def is_open(self, request: web.Request) -> bool:
        """Whether the sender of a request has given the password, or needs none."""
        return self._password is None or self._sessions.is_open(request.cookies.get(self._cookie, ""))

    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, if it may be answered. It comes before everything else.

        Raises:
            Refused: it may not.
        """
        self._refuse_stranger(request)
        if not _is_public(request.path) and not self.is_open(request):
            self._need_password(request)
        return await handler(request)

    def _refuse_stranger(self, request: web.Request) -> None:
        """Raises Refused if something is wrong with where a request comes from."""
        if request.method not in READS | CHANGES:
            allowed = ", ".join(sorted(READS | CHANGES))
            error = RequestError("method-unknown", value=request.method, expected=allowed)
            raise Refused(error, {"Allow": allowed})
        hosts, origins = request.headers.getall("Host", []), request.headers.getall("Origin", [])
        name = split_host(hosts[0])[0] if len(hosts) == 1 else None
        if name is None or not request.raw_path.startswith("/") or len(origins) > 1:
            raise Refused(RequestError("request-malformed"))
        if not self._names.allow(hosts[0], _address(request, "sockname")):
            raise Refused(RequestError("host-unknown", value=name))
        fetch_site = request.headers.get("Sec-Fetch-Site")
        if request.path == PAGE_PATH and request.headers.get("Sec-Fetch-Dest") == "document":
            fetch_site = None  # a link to a moment may be anywhere
        if is_foreign(hosts[0], origins[0] if origins else None, fetch_site, changes=request.method in CHANGES):
            raise Refused(RequestError("origin-foreign"))
        if request.method == "POST" and request.content_type != "application/json":
            raise Refused(RequestError("content-not-json", reason=None))

    def _need_password(self, request: web.Request) -> None:
        """Raises Refused if a request without a session does not have the password itself."""
        given = _basic_password(request)
        if given is not None:
            self._try(request, given)
            return
        browser = request.headers.get("User-Agent", "").startswith(_BROWSER)
        headers = {} if browser else {"WWW-Authenticate": 'Basic realm="videostore", charset="UTF-8"'}
        # ffmpeg gives up where the answer is not about the bytes that it asked for, instead of sending its password.
        # Others have to ignore this header (RFC 9110, 14.4).
        if headers and (asked := _RANGE.fullmatch(request.headers.get("Range", ""))):
            headers["Content-Range"] = f"bytes {asked[1]}-{asked[2] or asked[1]}/*"
        raise Refused(RequestError("password-needed"), headers)

    def _try(self, request: web.Request, given: str) -> None:
        """Raises Refused unless it is the password. Nothing is awaited, so that no two attempts count as one."""
        assert self._password is not None
        caller = caller_address(_address(request, "peername"), request.headers.getall("X-Forwarded-For", []))
        wait_s = self._attempts.wait_s(caller)
        if wait_s:
            raise Refused(RequestError("too-many-attempts", wait_s=wait_s), {"Retry-After": str(wait_s)})
        if not self._password.matches(given):
            self._attempts.failed(caller)
            _LOGGER.warning("A wrong password came from %s.", caller or "an unknown address")
            raise Refused(RequestError("password-wrong"))
        self._attempts.succeeded(caller)

    async def _describe(self, request: web.Request) -> web.Response:
        return web.json_response({"needed": self._password is not None, "open": self.is_open(request)})

    async def _begin(self, request: web.Request) -> web.Response:
        if self._password is None:
            return await self._describe(request)
        given = (await read_object(request, _MOST_PASSWORD_BODY_BYTES)).get("password")
        if not isinstance(given, str):
            raise Refused(RequestError("field-missing", field="password", expected="a text"))
        self._try(request, given)
        self._sessions.end(request.cookies.get(self._cookie, ""))
        response = web.json_response({"needed": True, "open": True})
        by_tls = came_by_tls(_address(request, "peername"), request.headers.get("X-Forwarded-Proto"))
        response.set_cookie(self._cookie, self._sessions.begin(), httponly=True, samesite="Strict", secure=by_tls)
        return response

    async def _end(self, request: web.Request) -> web.Response:
        self._sessions.end(request.cookies.get(self._cookie, ""))
        response = web.json_response({"needed": self._password is not None, "open": self._password is None})
        response.headers["Clear-Site-Data"] = '"cache"'  # pictures
        response.del_cookie(self._cookie, httponly=True, samesite="Strict")
        return response


def _is_public(path: str) -> bool:
    """What a browser gets before there is a session: the page, which asks for the password, and whether all is well."""
    return path in (PAGE_PATH, SESSION_PATH, HEALTH_PATH) or path.startswith(STATIC_PATH)


def _basic_password(request: web.Request) -> str | None:
    """The password that comes with a request (HTTP Basic), whatever the user is called; None if none does."""
    header = request.headers.get("Authorization", "")
    if header[: len(_BASIC)].lower() != _BASIC:
        return None
    try:
        return base64.b64decode(header[len(_BASIC) :].strip(), validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return ""


def _address(request: web.Request, which: str) -> str | None:
    """The address of one end of the connection; None of a socket without."""
    name = request.transport.get_extra_info(which) if request.transport is not None else None
    return str(name[0]) if isinstance(name, tuple) else None
