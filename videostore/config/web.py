"""Reads the attributes of the page: where it is served, and what a browser must know to get in."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from videostore.base.errors import ConfigError
from videostore.config.defaults import DEFAULT_WEB_HOST, DEFAULT_WEB_PORT, MAX_WEB_HOSTS
from videostore.config.model import WebConfig
from videostore.config.section import Section

_MAX_PORT = 65535
_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
_ADDRESS = re.compile(r"[0-9A-Za-z.:_-]+(%[0-9A-Za-z._-]{1,32})?", re.ASCII)
"""What may be an address: Python takes anything as the interface after a %."""
_MAX_NAME_CHARS = 253
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_LOOPBACK_NAME = "localhost"
_AROUND_HOST = re.compile(r"(?:[a-z]+://)?([^/:]{1,253}|\[[^]/]{1,60}\])(?::[0-9]{1,5})?(?:/.*)?", re.IGNORECASE)
"""A host with what a URL has around it."""
_HOST = "an IP address or a name of this machine, without port, such as 0.0.0.0 or localhost"
_PORT = f"a whole number from 1 to {_MAX_PORT}"
_VARIABLE_NAME = "the name of an environment variable"


def parse_web(section: Section) -> WebConfig:
    """Where the page is served. What can be checked without reading a password is.

    Raises:
        ConfigError: an attribute is wrong, or others than this machine would get in without a password.
    """
    if section.get("password") is not None:
        raise ConfigError("web-password-in-config", attribute="web.password", **_SOURCES)
    given = section.text("host", _HOST) or DEFAULT_WEB_HOST
    host = read_host(given)
    if host is None:
        section.refuse("host", given, _HOST)
    password_file = section.path("password_file", "/") if section.get("password_file") not in (None, "") else None
    password_env = section.text("password_env", _VARIABLE_NAME)
    if password_env is not None and not _VARIABLE.fullmatch(password_env):
        section.refuse("password_env", password_env, _VARIABLE_NAME)
    if password_file is not None and password_env is not None:
        raise ConfigError("web-two-passwords", attribute="web.password_file", other="web.password_env")
    web = WebConfig(host, _port(section), password_file, password_env, _hosts(section))
    if not web.has_password:
        if not is_loopback(host):
            raise ConfigError("web-needs-password", attribute="web.host", value=given, **_SOURCES)
        if web.hosts:  # a proxy passes on what others ask for
            raise ConfigError("web-needs-password", attribute="web.hosts", value=list(web.hosts), **_SOURCES)
    return web


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what is served on a host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == _LOOPBACK_NAME


def read_host(text: str) -> str | None:
    """A name in small letters, or an IP address in its shortest form; None if it is neither. Brackets are left out."""
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if not _ADDRESS.fullmatch(inside):
            return None
        return str(ipaddress.ip_address(inside))
    except ValueError:
        name = text.lower()
        # What looks like an address but is none is not a name either: 127.1, 0x7f.1
        digits = name.rstrip(".").rpartition(".")[2][:1].isdigit()
        return name.rstrip(".") if _NAME.fullmatch(name) and len(name) <= _MAX_NAME_CHARS and not digits else None


def _port(section: Section) -> int:
    given = section.number("port", _PORT)
    if given is None:
        return DEFAULT_WEB_PORT
    if not (1 <= given <= _MAX_PORT and given.is_integer()):
        section.refuse("port", section.get("port"), _PORT)
    return int(given)


def _hosts(section: Section) -> tuple[str, ...]:
    given = section.get("hosts")
    if given is None or given == "":
        return ()
    expected = f'a list of at most {MAX_WEB_HOSTS} names or IP addresses, without port, such as ["cameras.example.com"]'
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or len(given) > MAX_WEB_HOSTS:
        section.refuse("hosts", given, expected)
    hosts = []
    for one in given:
        host = read_host(one) if isinstance(one, str) else None
        if host is None:
            section.refuse_entry("hosts", one, f"a name or an IP address, without port, such as {_meant_by(one)}")
        hosts.append(host)
    return tuple(dict.fromkeys(hosts))


def _meant_by(entry: object) -> str:
    """The host of what has more than one, such as a URL; otherwise an example."""
    host = None
    if isinstance(entry, str):
        bare = _AROUND_HOST.fullmatch(entry)
        host = read_host(bare[1]) if bare else None
    return host or "cameras.example.com"


_SOURCES = {"other": "web.password_file", "variable": "web.password_env"}
