"""Who gets in: by the name of the page, by where a request comes from, and by the password."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from tests.support.guarded_server import LOCAL, PASSWORD, Served, cookie_of, guarded
from videostore.config import WebConfig
from videostore.web.attempts import BURST, EVERY_S
from videostore.web.guard import Guard
from videostore.web.headers import FIXED
from videostore.web.password import Password
from videostore.web.sessions import IDLE_US

PRIVATE = ("/api/recorders", "/hls/door/index.m3u8", "/metrics")
PUBLIC = ("/", "/healthz", "/static/page.mjs", "/api/session")


@pytest.fixture
async def open_server() -> AsyncIterator[Served]:
    async with guarded() as served:
        yield served


@pytest.fixture
async def locked() -> AsyncIterator[Served]:
    async with guarded(password=PASSWORD, hosts=("cameras.example.com",)) as served:
        yield served


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


async def test_without_a_password_this_machine_gets_everything(open_server: Served) -> None:
    for path in PRIVATE + PUBLIC:
        assert (await open_server.ask(path)).status == 200, path
    assert (await open_server.ask("/api/session")).json == {"needed": False, "open": True}
    assert (await open_server.log_in("whatever")).json == {"needed": False, "open": True}


async def test_with_a_password_only_the_page_and_its_health_are_there_for_all(locked: Served) -> None:
    for path in PUBLIC:
        assert (await locked.ask(path)).status == 200, path
    for path in (*PRIVATE, "/no/such/path", "/api/session/../recorders", "/static", "/staticx", "//static/", "/%2e/x"):
        answer = await locked.ask(path)
        assert (answer.status, answer.json["error"]) == (401, "password-needed"), path
    assert (await locked.ask("/api/session")).json == {"needed": True, "open": False}


async def test_a_session_gets_in_until_it_is_ended(locked: Served) -> None:
    answer = await locked.log_in()
    assert answer.status == 200 and answer.json == {"needed": True, "open": True}
    flags = answer.headers["set-cookie"].split("; ")[1:]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(flags)
    cookie = cookie_of(answer)
    assert (await locked.ask("/metrics", Cookie=cookie)).status == 200
    assert (await locked.ask("/api/session", Cookie=cookie)).json == {"needed": True, "open": True}
    ended = await locked.ask("/api/session", method="DELETE", Cookie=cookie)
    assert ended.json == {"needed": True, "open": False} and ended.headers["clear-site-data"] == '"cache"'
    assert (await locked.ask("/metrics", Cookie=cookie)).status == 401


async def test_a_session_ends_by_itself_and_by_another_log_in_of_the_same_browser(locked: Served) -> None:
    first = cookie_of(await locked.log_in())
    second = cookie_of(await locked.log_in(Cookie=first))
    assert first != second
    assert [(await locked.ask("/metrics", Cookie=one)).status for one in (first, second)] == [401, 200]
    locked.clock.advance(IDLE_US / 1e6 + 1)
    assert (await locked.ask("/metrics", Cookie=second)).status == 401


@pytest.mark.parametrize("value", ["", "x", "videostore", "../..", "a" * 5000])
async def test_a_made_up_session_does_not_get_in(locked: Served, value: str) -> None:
    name = cookie_of(await locked.log_in()).partition("=")[0]
    assert (await locked.ask("/metrics", Cookie=f"{name}={value}")).status == 401


async def test_behind_tls_of_a_proxy_the_cookie_is_for_tls_alone(locked: Served) -> None:
    answer = await locked.log_in(X_Forwarded_Proto="https")
    assert "Secure" in answer.headers["set-cookie"].split("; ")


async def test_players_send_the_password_with_each_request(locked: Served) -> None:
    asked = await locked.ask("/hls/door/index.m3u8", User_Agent="Lavf/61")
    assert asked.headers["www-authenticate"].startswith("Basic ")
    assert (await locked.ask("/hls/door/index.m3u8", Authorization=basic(PASSWORD))).status == 200
    assert (await locked.ask("/hls/door/index.m3u8", Authorization=basic("wrong"))).json["error"] == "password-wrong"
    assert (await locked.ask("/hls/door/index.m3u8", Authorization="Basic ???")).json["error"] == "password-wrong"
    assert (await locked.ask("/hls/door/index.m3u8", Authorization="Bearer x")).json["error"] == "password-needed"


async def test_a_question_for_the_password_is_about_the_bytes_that_were_asked_for(locked: Served) -> None:
    # Otherwise ffmpeg, which every part of a playlist makes ask for other bytes than the first ones, gives up.
    for asked, told in (("bytes=939-2000", "bytes 939-2000/*"), ("bytes=939-", "bytes 939-939/*"), ("bytes=-5", None)):
        answer = await locked.ask("/hls/door/1-1.mp4", User_Agent="Lavf/61", Range=asked)
        assert (answer.status, answer.headers.get("content-range")) == (401, told)


async def test_a_browser_is_not_made_to_ask_in_a_window_of_its_own(locked: Served) -> None:
    assert "www-authenticate" not in (await locked.ask("/metrics", User_Agent="Mozilla/5.0 (X11)")).headers


async def test_after_some_wrong_passwords_the_right_one_has_to_wait_too(locked: Served) -> None:
    for _ in range(BURST):
        assert (await locked.log_in("wrong")).json["error"] == "password-wrong"
    for answer in (await locked.log_in(), await locked.ask("/metrics", Authorization=basic(PASSWORD))):
        assert (answer.status, answer.json["error"]) == (429, "too-many-attempts")
        assert answer.headers["retry-after"] == f"{EVERY_S:.0f}"
    locked.clock.advance(EVERY_S)
    assert (await locked.log_in()).status == 200


async def test_attempts_at_the_same_time_are_all_counted(locked: Served) -> None:
    answers = await asyncio.gather(*(locked.log_in(f"wrong-{number}") for number in range(4 * BURST)))
    assert [answer.status for answer in answers].count(401) == BURST


async def test_attempts_through_a_proxy_are_those_of_who_sent_them(locked: Served) -> None:
    for _ in range(BURST):
        await locked.log_in("wrong", X_Forwarded_For="9.9.9.9, 203.0.113.5")
    assert (await locked.log_in(X_Forwarded_For="8.8.8.8, 203.0.113.5")).status == 429
    assert (await locked.log_in(X_Forwarded_For="203.0.113.6")).status == 200


async def test_a_session_goes_on_while_others_guess(locked: Served) -> None:
    cookie = cookie_of(await locked.log_in())
    for _ in range(BURST + 1):
        await locked.log_in("wrong")
    assert (await locked.ask("/metrics", Cookie=cookie)).status == 200


@pytest.mark.parametrize("body", [b"{}", b'{"password": 5}', b'{"password": null}'])
async def test_a_log_in_without_a_password_says_what_is_missing(locked: Served, body: bytes) -> None:
    answer = await locked.ask("/api/session", method="POST", body=body)
    assert (answer.status, answer.json["error"]) == (400, "field-missing")


async def test_a_log_in_is_no_large_thing(locked: Served) -> None:
    answer = await locked.log_in("x" * 5000)
    assert (answer.status, answer.json["error"]) == (413, "body-too-large")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8600", "127.0.0.1.evil.example", "192.168.1.5", "0.0.0.0"]
)
async def test_another_name_is_refused_because_a_foreign_site_may_have_it(open_server: Served, host: str) -> None:
    for path in ("/", "/static/page.mjs", "/api/session", "/healthz", "/api/recorders"):
        answer = await open_server.ask(path, Host=host)
        assert (answer.status, answer.json["error"]) == (403, "host-unknown"), path


@pytest.mark.parametrize("host", [LOCAL, "localhost", "LocalHost:8600", "[::1]", "127.0.0.2"])
async def test_this_machine_may_be_called_by_all_its_own_names(open_server: Served, host: str) -> None:
    assert (await open_server.ask("/api/recorders", Host=host)).status == 200


async def test_a_name_of_the_config_is_allowed(locked: Served) -> None:
    assert (await locked.ask("/", Host="Cameras.Example.com:443")).status == 200
    assert (await locked.ask("/", Host="other.example.com")).status == 403


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a@b", "127.0.0.1:x", "127.0.0.1:8600:1", "[::1", "x" * 300, "*"])
async def test_a_host_that_is_none_is_refused(open_server: Served, host: str) -> None:
    assert (await open_server.ask("/", Host=host)).status == 400


@pytest.mark.parametrize(
    "head",
    [
        "GET / HTTP/1.1\r\nConnection: close\r\n",
        "GET / HTTP/1.0\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n",
        "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n",
    ],
)
async def test_a_request_with_no_host_or_several_is_refused(open_server: Served, head: str) -> None:
    answer = await open_server.send(f"{head}\r\n".encode())
    assert answer.split(b" ", 2)[1] in (b"400", b"405"), answer


@pytest.mark.parametrize("method", ["PUT", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_refused(open_server: Served, method: str) -> None:
    answer = await open_server.ask("/api/recorders", method=method)
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, POST")


async def test_the_page_of_another_site_changes_nothing(open_server: Served) -> None:
    own = f"http://{LOCAL}:{open_server.port}"
    assert (await open_server.ask("/api/recorders", method="POST", body=b"{}", Origin=own)).status == 200
    assert (await open_server.ask("/api/recorders", method="POST", body=b"{}")).status == 200
    for origin in (
        "https://evil.example",
        "null",
        own.replace(str(open_server.port), "1"),
        f"http://localhost:{open_server.port}",
    ):
        answer = await open_server.ask("/api/recorders", method="POST", body=b"{}", Origin=origin)
        assert (answer.status, answer.json["error"]) == (403, "origin-foreign"), origin


async def test_a_form_of_another_site_that_hides_its_origin_is_refused_by_its_type(open_server: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await open_server.ask("/api/recorders", method="POST", body=b'{"a":1}', Content_Type=kind)
        assert (answer.status, answer.json["error"]) == (415, "content-not-json")


async def test_another_site_reads_nothing_either_but_may_link_to_the_page(open_server: Served) -> None:
    for site in ("cross-site", "same-site"):
        for path in ("/api/recorders", "/hls/door/index.m3u8", "/static/page.mjs"):
            assert (await open_server.ask(path, Sec_Fetch_Site=site, Sec_Fetch_Dest="document")).status == 403
        assert (await open_server.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Dest="document")).status == 200
        assert (await open_server.ask("/", Sec_Fetch_Site=site, Sec_Fetch_Dest="iframe")).status == 403
    assert (await open_server.ask("/api/recorders", Sec_Fetch_Site="same-origin")).status == 200
    assert (await open_server.ask("/api/recorders", Origin="https://evil.example")).status == 403


async def test_every_answer_keeps_scripts_frames_and_other_sites_out(locked: Served) -> None:
    raw = await locked.send(b"nonsense\r\n\r\n")
    for answer in (
        await locked.ask("/"),
        await locked.ask("/metrics"),
        await locked.ask("/static/none"),
        await locked.ask("/static/fail"),
        await locked.ask("/", Host="evil.example"),
    ):
        headers = {name: answer.headers.get(name.lower()) for name in FIXED}
        assert headers == FIXED and answer.headers["cache-control"] == "no-store"
    assert b"script-src 'self';" in raw and b"unsafe" not in raw and b"aiohttp" not in raw and b"Python" not in raw


async def test_what_fails_tells_no_more_than_that(open_server: Served) -> None:
    answer = await open_server.ask("/static/fail", Accept="text/html")
    assert answer.status == 500 and answer.json["error"] == "request-failed"
    assert b"secret" not in answer.body and b"Traceback" not in answer.body


def test_a_password_that_was_not_read_lets_nobody_in() -> None:
    with pytest.raises(ValueError, match="not read"):
        Guard(WebConfig(LOCAL, 0, password_env="P"))
    with pytest.raises(ValueError, match="not read"):
        Guard(WebConfig(LOCAL, 0), Password(PASSWORD))
