"""From where a request comes is read from what browsers and proxies say, and from no one else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videostore.config import WebConfig
from videostore.web.origin import Names, caller_address, came_by_tls, is_foreign, is_loopback_address, split_host


@pytest.mark.parametrize(
    ("host", "split"),
    [
        ("Door.local", ("door.local", None)),
        ("door.local:8600", ("door.local", 8600)),
        ("[::1]:80", ("::1", 80)),
        ("[0:0:0:0:0:0:0:1]", ("::1", None)),
        ("127.0.0.1:8600", ("127.0.0.1", 8600)),
        ("::1", (None, None)),
        ("user@door.local", (None, None)),
        ("door.local:", (None, None)),
        ("door.local:-1", (None, None)),
        ("door.local/x", (None, None)),
        ("door .local", (None, None)),
        ("2130706433", (None, None)),
        ("0x7f000001", (None, None)),
        ("127.1", (None, None)),
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(host: str, split: tuple[str | None, int | None]) -> None:
    assert split_host(host) == split


@given(st.text())
def test_no_text_is_taken_for_this_machine_but_its_names(text: str) -> None:
    allowed = Names(WebConfig("127.0.0.1", 8600)).allow(text, "127.0.0.1")
    assert not allowed or (split_host(text)[0] or "").startswith(("127.", "localhost", "::1"))


def test_names_are_those_of_the_config_and_the_address_that_was_reached() -> None:
    anywhere = Names(WebConfig("0.0.0.0", 8600, password_env="P", hosts=("cameras.example.com",)))
    assert anywhere.allow("cameras.example.com", "192.168.1.5")
    assert anywhere.allow("192.168.1.5:8600", "192.168.1.5") and anywhere.allow("192.168.1.5", "::ffff:192.168.1.5")
    assert not anywhere.allow("192.168.1.6:8600", "192.168.1.5")
    assert not anywhere.allow("localhost:8600", "192.168.1.5"), "another machine's localhost is not this one"
    assert not anywhere.allow("0.0.0.0:8600", "192.168.1.5")
    assert anywhere.allow("localhost:8600", "127.0.0.1") and anywhere.allow("[::1]:8600", "::1")
    named = Names(WebConfig("door.local", 8600, password_env="P"))
    assert named.allow("DOOR.local:8600", "192.168.1.5") and not named.allow("evil.example", "192.168.1.5")


@pytest.mark.parametrize(
    ("host", "origin", "site", "changes", "foreign"),
    [
        ("door:8600", None, None, True, False),
        ("door:8600", "http://door:8600", "same-origin", True, False),
        ("door", "http://door:80", None, True, False),
        ("door", "https://door", None, True, False),
        ("door:443", "https://door", None, True, False),
        ("door:8600", None, "none", False, False),
        ("door:8600", "null", None, False, False),
        ("door:8600", "null", None, True, True),
        ("door:8600", "http://door:8601", None, True, True),
        ("door:8600", "http://evil", None, False, True),
        ("door:8600", "http://door:8600@evil", None, True, True),
        ("door:8600", "file://", None, True, True),
        ("door:8600", "chrome-extension://door:8600", None, True, True),
        ("door:8600", "http://[", None, True, True),
        ("door:8600", "", None, True, True),
        ("door:8600", "http://door:8600", "same-site", True, True),
        ("door:8600", None, "cross-site", False, True),
    ],
)
def test_the_page_of_another_site_is_told_by_its_origin(
    host: str, origin: str | None, site: str | None, changes: bool, foreign: bool
) -> None:
    assert is_foreign(host, origin, site, changes=changes) is foreign


@given(st.text(), st.text())
def test_any_origin_is_judged(host: str, origin: str) -> None:
    is_foreign(host, origin, None, changes=True)


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("192.0.2.1", ["203.0.113.1"], "192.0.2.1"),
        ("127.0.0.1", ["203.0.113.1"], "203.0.113.1"),
        ("127.0.0.1", ["1.1.1.1, 203.0.113.1"], "203.0.113.1"),
        ("127.0.0.1", ["1.1.1.1", "203.0.113.1"], "203.0.113.1"),
        ("::ffff:127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        (None, ["203.0.113.1"], ""),
    ],
)
def test_only_a_proxy_on_this_machine_is_believed(peer: str | None, forwarded: list[str], caller: str) -> None:
    assert caller_address(peer, forwarded) == caller


def test_tls_is_what_a_proxy_on_this_machine_says() -> None:
    assert came_by_tls("127.0.0.1", "https") and came_by_tls("::1", " HTTPS ")
    assert not came_by_tls("127.0.0.1", "http") and not came_by_tls("127.0.0.1", None)
    assert not came_by_tls("192.0.2.1", "https") and not came_by_tls(None, "https")


def test_this_machine_is_known_by_its_addresses() -> None:
    assert all(map(is_loopback_address, ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback_address, ("192.0.2.1", "::2", "", "evil", "::ffff:192.0.2.1")))
