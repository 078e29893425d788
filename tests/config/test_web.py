"""Where the page is served, and that no one is let in by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from videostore.base.errors import ConfigError
from videostore.config import WebConfig, is_loopback, parse_config
from videostore.config.web import read_host

SECRET = {"password_file": "/etc/videostore/password"}
FILE = Path("/etc/videostore/password")


def web_of(web: Any) -> WebConfig | None:
    return parse_config("door", {"sync": "dm", "storage": {"size_gb": 1}, "web": web})[0].web


def refusal(web: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        web_of(web)
    return caught.value


def test_without_the_object_there_is_no_page_and_an_empty_one_takes_the_defaults() -> None:
    assert web_of(None) is None
    assert web_of({}) == WebConfig("127.0.0.1", 8600)
    assert not WebConfig("127.0.0.1", 8600).has_password


def test_everything_is_read() -> None:
    given = {"host": "0.0.0.0", "port": 8080.0, **SECRET, "hosts": ["Cameras.example.COM.", "192.168.1.5", "[::1]"]}
    assert web_of(given) == WebConfig("0.0.0.0", 8080, FILE, hosts=("cameras.example.com", "192.168.1.5", "::1"))
    assert web_of({"host": "door.local", "password_env": "DOOR_PASSWORD"}) == WebConfig(
        "door.local", 8600, password_env="DOOR_PASSWORD"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_this_machine_alone_needs_no_password(host: str) -> None:
    web = web_of({"host": host})
    assert web is not None and is_loopback(web.host) and not web.has_password


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "fe80::1%eth0", "jetson", "localhost.example.com"])
def test_others_do_not_get_in_without_a_password(host: str) -> None:
    error = refusal({"host": host})
    assert error.code == "web-needs-password" and error.attribute == "web.host"
    assert web_of({"host": host, **SECRET}) is not None


def test_names_of_a_proxy_take_a_password_because_it_passes_on_what_others_ask_for() -> None:
    assert refusal({"hosts": ["cameras.example.com"]}).code == "web-needs-password"
    assert web_of({"hosts": ["cameras.example.com"], "password_env": "P"}) is not None


def test_a_password_in_the_config_is_refused_and_not_shown() -> None:
    error = refusal({"password": "secret-word"})
    assert error.code == "web-password-in-config" and "secret-word" not in str(error)
    assert refusal({**SECRET, "password_env": "P"}).code == "web-two-passwords"


@pytest.mark.parametrize(
    ("web", "attribute"),
    [
        ("yes", "web"),
        ({"host": "http://0.0.0.0"}, "web.host"),
        ({"host": "0.0.0.0:8600"}, "web.host"),
        ({"host": "a b"}, "web.host"),
        ({"host": "127.1"}, "web.host"),
        ({"host": "fe80::1%a b"}, "web.host"),
        ({"port": 65536}, "web.port"),
        ({"port": -1}, "web.port"),
        ({"port": 0.0}, "web.port"),
        ({"port": 8600.5}, "web.port"),
        ({"port": "8600"}, "web.port"),
        ({"password_file": "password"}, "web.password_file"),
        ({"password_env": "A B"}, "web.password_env"),
        ({**SECRET, "hosts": "cameras.example.com"}, "web.hosts"),
        ({**SECRET, "hosts": ["https://cameras.example.com"]}, "web.hosts"),
        ({**SECRET, "hosts": ["cameras.example.com:443"]}, "web.hosts"),
        ({**SECRET, "hosts": [5]}, "web.hosts"),
        ({**SECRET, "hosts": ["a"] * 33}, "web.hosts"),
    ],
)
def test_what_is_wrong_is_named(web: Any, attribute: str) -> None:
    assert refusal(web).attribute == attribute


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("cameras.example.org:443", "contains 'cameras.example.org:443'. Each entry must be a name or an IP address,"),
        ("cameras.example.org:443", "such as cameras.example.org."),
        ("https://cameras.example.org/door", "such as cameras.example.org."),
        ("[fe80::1]:8600", "such as fe80::1."),
        (5.0, "contains 5. Each entry must be"),
        ("a b", "such as cameras.example.com."),
    ],
)
def test_a_wrong_name_of_the_page_is_told_with_what_was_meant(entry: Any, said: str) -> None:
    assert said in str(refusal({**SECRET, "hosts": ["good.example", entry]}))


def test_an_unknown_attribute_makes_a_warning() -> None:
    _, warnings = parse_config("door", {"sync": "dm", "storage": {"size_gb": 1}, "web": {"prot": 8600}})
    assert warnings == ["The attribute web.prot is unknown and is ignored. Did you mean web.port?"]


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Door.Local", "door.local"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("[::1]", "::1"),
        ("*", None),
        ("-door", None),
        ("a" * 64, None),
        ("a..b", None),
        ("", None),
        ("0x7f.1", None),
        ("dóor", None),
    ],
)
def test_a_host_has_one_form(text: str, host: str | None) -> None:
    assert read_host(text) == host


def test_the_address_is_that_of_a_url() -> None:
    assert (WebConfig("::1", 1).address, WebConfig("localhost", 2).address) == ("[::1]:1", "localhost:2")
