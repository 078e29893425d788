"""No request to the server reads anything but segments of its recorders, however it is written."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.guarded_server import LOCAL, PASSWORD, Answer, Served, read_answer
from tests.support.property_settings import examples
from tests.support.recording import START_US, FixedClock
from tests.support.web_server import WebServer, run_web
from videostore.config import WebConfig
from videostore.web.guard import Guard
from videostore.web.headers import FIXED
from videostore.web.password import Password

MARK = b"what no one may read"
SECOND = START_US // 1_000_000
TRICKS = (
    "../secret",
    "../../../../../../../etc/passwd",
    "..%2fsecret",
    "..%252fsecret",
    "%2e%2e/secret",
    "%2e%2e%2fsecret",
    "%252e%252e%252fsecret",
    "..\\secret",
    "..%5csecret",
    "..%c0%afsecret",
    "..%ef%bc%8fsecret",
    "%u002e%u002e/secret",
    "....//secret",
    "..;/secret",
    "./../secret",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "~/secret",
    "secret%00.mp4",
    "secret\0.mp4",
    "secret%0a.mp4",
    "../secret?.mp4",
    "../secret%23.mp4",
    "secret.mp4",
    "notes.txt",
    "index.sqlite.db",
    "damaged/1.mp4",
    ".hidden",
    f"{SECOND - 100}.mp4",
    f"{SECOND - 101}.mp4",
    f"{SECOND - 102}.mp4",
    f"{SECOND}.mp4/../../secret",
    f"{SECOND}.mp4/..",
    "0.mp4",
    "-1.mp4",
    "99999999999999999999999999999999999999.mp4",
    "0-0-0-0.mp4",
    "--------.mp4",
    "*",
    "%",
    "%zz",
    "'; DROP TABLE files; --",
    "' OR 1=1 --.mp4",
    "${HOME}",
    "$(id).mp4",
    "|id",
    "CON",
    "x" * 3000,
    "%F0%9F%98%80",
    "\x7f\x80\xff",
)
PLACES = (
    "/{}",
    "/static/{}",
    "/static/page/{}",
    "/hls/{}/index.m3u8",
    "/hls/door/{}",
    "/api/recorders/{}/timeline",
    "/api/recorders/door/{}",
    "/api/recorders/door/saves/{}",
    "/api/recorders/door/frame.jpg?at={}",
    "/hls/door/index.m3u8?from={}",
    "/hls/door/index.m3u8?from_us={0}&to_us={0}",
)


class Watch:
    """Notes what this process opens, while it is told to."""

    def __init__(self) -> None:
        self.opened: set[str] = set()
        self.on = False
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in ("open", "os.listdir", "os.scandir", "sqlite3.connect"):
            self.opened.add(os.path.abspath(os.fsdecode(arguments[0])) if not isinstance(arguments[0], int) else "")


@pytest.fixture(scope="module")
def house(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage directory among files that no one may read: beside it, in it, and under the names of segments."""
    parent = tmp_path_factory.mktemp("house")
    directory = parent / "door"
    shutil.copytree(recording, directory)
    for name in (
        "secret",
        "secret.mp4",
        "door/notes.txt",
        "door/secret.mp4",
        "door/.hidden",
        f"door/{SECOND - 100}.mp4",
    ):
        (parent / name).write_bytes(MARK)
    (directory / "damaged").mkdir(exist_ok=True)
    (directory / "damaged" / "1.mp4").write_bytes(MARK)
    (directory / f"{SECOND - 101}.mp4").symlink_to(parent / "secret")
    os.mkfifo(directory / f"{SECOND - 102}.mp4")
    return directory


@pytest.fixture(scope="module")
def web(house: Path) -> Iterator[WebServer]:
    access = WebConfig(LOCAL, 8600)
    with run_web([house], Guard(access)) as server:
        yield server


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def port_of(server: WebServer) -> int:
    return int(server.url.rstrip("/").rpartition(":")[2])


def ask(server: WebServer, target: bytes, *lines: bytes, method: bytes = b"GET") -> Answer:
    """Ask for a target as it is written, over a connection of its own."""
    head = b"".join(line + b"\r\n" for line in (b"Host: localhost", b"Connection: close", *lines))
    request = method + b" " + target + b" HTTP/1.1\r\n" + head + b"\r\n"
    return read_answer(asyncio.run(Served(port_of(server), FixedClock()).send(request)))


def assert_harmless(answer: Answer) -> None:
    """Check that an answer tells nothing that it may not, and that its server did not fail."""
    assert MARK not in answer.body and b"root:x:" not in answer.body and b"SQLite format" not in answer.body
    assert answer.status != 500 and b"Traceback" not in answer.body
    assert answer.headers["content-security-policy"] == FIXED["Content-Security-Policy"]


def assert_only_segments(watch: Watch, house: Path) -> None:
    """Check that nothing was opened but segments and the index of the recorder."""
    allowed = (f"{house}/1", f"{house}/index.sqlite.db")
    others = {path for path in watch.opened if not path.startswith(allowed)}
    # The store itself lists its directories now and then.
    others -= {str(house), str(house / "damaged")}
    assert [path for path in others if path.startswith((str(house.parent), "/etc/passwd"))] == []


def test_the_server_serves_what_it_may(web: WebServer) -> None:
    (piece, *_) = web.pieces(f"hls/door/index.m3u8?from_us={START_US}&to_us={START_US + 2_000_000}")
    assert web.get(f"hls/door/{piece.uri}").status == 200


@pytest.mark.parametrize("place", PLACES)
def test_no_trick_leads_out_of_the_recording(web: WebServer, house: Path, watch: Watch, place: str) -> None:
    watch.opened.clear()
    watch.on = True
    try:
        for trick in TRICKS:
            answer = ask(web, place.format(trick).encode("latin-1"))
            assert_harmless(answer)
            assert answer.status >= 400 or place.startswith("/hls/door/index.m3u8"), (place, trick, answer.status)
    finally:
        watch.on = False
    assert_only_segments(watch, house)


@examples(80, 5000)
@given(
    st.sampled_from(PLACES),
    st.lists(st.sampled_from(TRICKS) | st.binary(max_size=40).map(lambda one: quote_from_bytes(one, safe="/.?&=;:@"))),
)
def test_no_mixture_of_tricks_does(web: WebServer, house: Path, watch: Watch, place: str, parts: list[str]) -> None:
    watch.opened.clear()
    watch.on = True
    try:
        assert_harmless(ask(web, place.format("/".join(parts)).encode("latin-1")[:6000]))
    finally:
        watch.on = False
    assert_only_segments(watch, house)


@examples(80, 5000)
@given(st.binary(min_size=1, max_size=200), st.sampled_from([b"/", b"/api/recorders", b"/hls/door/index.m3u8"]))
def test_any_bytes_are_answered_or_dropped(web: WebServer, junk: bytes, target: bytes) -> None:
    send = Served(port_of(web), FixedClock()).send
    for request in (junk + b"\r\n\r\n", b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n" + junk + b"\r\n\r\n"):
        answer = asyncio.run(send(request + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"))
        assert MARK not in answer and b" 500 " not in answer[:20]


@examples(60, 3000)
@given(
    st.sampled_from([b"/", b"/api/recorders", b"/metrics", b"/api/session", b"/hls/door/index.m3u8"]),
    st.dictionaries(
        st.sampled_from(
            [
                *(b"Range", b"If-Range", b"Cookie", b"Authorization", b"Origin", b"Accept", b"Accept-Encoding"),
                *(b"X-Forwarded-For", b"X-Forwarded-Proto", b"Sec-Fetch-Site", b"If-Modified-Since", b"Expect"),
            ]
        ),
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.encode)
        | st.sampled_from([b"bytes=0-", b"bytes=-1", b"bytes=0-0,2-3", b"bytes=99999999999999999999-", b"Basic !!!!"]),
        max_size=5,
    ),
    st.sampled_from([b"GET", b"HEAD", b"POST", b"DELETE", b"PUT"]),
)
def test_any_headers_are_answered(web: WebServer, target: bytes, headers: dict[bytes, bytes], method: bytes) -> None:
    answer = ask(web, target, *(name + b": " + value for name, value in headers.items()), method=method)
    assert_harmless(answer)


def test_behind_a_password_every_address_is_as_if_there_were_nothing(house: Path) -> None:
    access = WebConfig(LOCAL, 8600, password_env="P")
    with run_web([house], Guard(access, Password(PASSWORD))) as server:
        told = set()
        for target in (b"/api/recorders", b"/api/recorders/door/timeline", b"/api/recorders/none/timeline", b"/none"):
            answer = ask(server, target)
            told.add((answer.status, answer.body))
        assert len(told) == 1 and {status for status, _ in told} == {401}
