"""What a request brings has a bound, in bytes and in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.support.guarded_server import LOCAL, Served, protected
from tests.support.recording import FixedClock
from videostore.base.errors import RequestError
from videostore.config import WebConfig
from videostore.web.body import read_object, time_field
from videostore.web.guard import Guard
from videostore.web.server import serve


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    app = protected(Guard(WebConfig(LOCAL, 0)))

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(await read_object(request, 1000, 0.5))

    app.router.add_post("/echo", answer)
    async with serve(app, LOCAL, 0) as url:
        yield Served(int(url.rstrip("/").rpartition(":")[2]), FixedClock())


async def test_an_object_is_read_and_nothing_is_an_empty_one(served: Served) -> None:
    assert (await served.ask("/echo", method="POST", body=b'{"a": [1, "\\ud83d\\ude00"]}')).json == {"a": [1, "😀"]}
    assert (await served.ask("/echo", method="POST", Content_Type="application/json")).json == {}


@pytest.mark.parametrize("body", [b"[1]", b"5", b"null", b"{", b"\xff", b"[" * 900, b'{"a": NaN} x'])
async def test_anything_else_is_refused(served: Served, body: bytes) -> None:
    answer = await served.ask("/echo", method="POST", body=body)
    assert (answer.status, answer.json["error"]) == (400, "content-not-json")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"[1]", "its body is [1]"),
        (b"null", "its body is null"),
        (b'{"a": "x', "its body ends too early, after 8 characters"),
        (b'{"a": [1, ', "its body ends too early, after 10 characters"),
        (b'{"a": tru}', "see character 7"),
        (b'{"a": 1} {}', "see character 10"),
        (b'{"a": "\xe9"}', "its body is no text, byte 7 cannot be read"),
    ],
)
async def test_what_is_wrong_with_it_is_told(served: Served, body: bytes, told: str) -> None:
    answer = await served.ask("/echo", method="POST", body=body)
    assert answer.json["message"].endswith(f"application/json: {told}."), answer.json


async def test_a_number_of_thousands_of_digits_is_a_number(served: Served) -> None:
    answer = await served.ask("/echo", method="POST", body=b'{"a": -%s, "b": 12}' % (b"9" * 900))
    assert answer.json == {"a": -float("inf"), "b": 12}


@pytest.mark.parametrize("sends", [b"x" * 1001, b"x" * 5_000_000])
async def test_too_much_is_refused_however_it_comes(served: Served, sends: bytes) -> None:
    answer = await served.ask("/echo", method="POST", body=sends)
    assert (answer.status, answer.json["error"]) == (413, "body-too-large")
    head = (
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{len(sends):x}\r\n"
    )
    assert (await served.send(head.encode() + sends + b"\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 413")


async def test_a_packed_body_is_not_unpacked(served: Served) -> None:
    bomb = await asyncio.to_thread(lambda: __import__("gzip").compress(json.dumps({"a": "x" * 10**7}).encode()))
    answer = await served.ask("/echo", method="POST", body=bomb[:900], Content_Encoding="gzip")
    assert (answer.status, answer.json["error"]) == (400, "content-not-json")


async def test_one_that_comes_too_slowly_is_given_up(served: Served) -> None:
    head = "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    answer = await served.send(head.encode())
    assert answer.startswith(b"HTTP/1.1 408") and b"body-too-slow" in answer


def test_a_time_that_is_not_there_is_told_to_be_missing() -> None:
    with pytest.raises(RequestError, match=r"The field 'at_us' is missing. It must be whole microseconds since 1970"):
        time_field({"at": "now"}, "at_us")
    with pytest.raises(RequestError, match=r"'at_us' is '5'. It must be whole microseconds since 1970"):
        time_field({"at_us": "5"}, "at_us")
    with pytest.raises(RequestError, match=r"'at_us' is 0.5. It must be whole microseconds since 1970"):
        time_field({"at_us": 0.5}, "at_us")


def test_a_time_may_be_written_as_a_number_that_is_whole() -> None:
    assert time_field(json.loads('{"at_us": 1.725e15}'), "at_us") == 1_725_000_000_000_000
    for value in (float("nan"), float("inf"), 1e300):
        with pytest.raises(RequestError, match="It must be whole microseconds"):
            time_field({"at_us": value}, "at_us")
