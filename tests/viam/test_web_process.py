"""The server's process is kept running, told what to show, and ended. tests/faults has it with a module around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.recording import until
from videostore.config import WebConfig
from videostore.viam.web_process import ShownRecorder, WebProcess, child_command
from videostore.web.control import read_message

LOGGER = logging.getLogger("videostore.tests.web_process")
WEB = WebConfig("127.0.0.1", 8600)
SAYS = """
import json, sys
print('not a message')
print('x' * 3_000_000)
print(json.dumps({"kind": "serving", "text": "http://here/"}), flush=True)
print("30 a wrong password came", file=sys.stderr)
print("Traceback of something", file=sys.stderr, flush=True)
for line in sys.stdin:
    open(sys.argv[1], "a").write(line)
    print(json.dumps({"kind": "alive"}), flush=True)
"""


@contextlib.asynccontextmanager
async def running(command: Sequence[str]) -> AsyncIterator[WebProcess]:
    process = WebProcess(WEB, LOGGER, command=command, status_s=0.05)
    process.start()
    try:
        yield process
    finally:
        await process.close()
        assert process.process_id is None


def recorder(name: str, status: Mapping[str, Any] | None = None) -> ShownRecorder:
    def tell() -> Mapping[str, Any]:
        if status is None:
            raise RuntimeError("no status")
        return status

    return ShownRecorder(name, Path(f"/srv/{name}"), Path("/srv/up"), 10**9, tell)


async def test_it_is_told_what_to_show_and_how_that_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = tmp_path / "told"
    told.touch()

    def heard() -> list[Mapping[str, Any]]:
        messages = map(read_message, told.read_bytes().splitlines())
        return [{"kind": one.kind, **one.fields} for one in messages if one is not None]

    async with running([sys.executable, "-c", SAYS, str(told)]) as process:
        process.show(recorder("door", {"recording": True}))
        await until(lambda: process.url == "http://here/" and process.trouble is None)
        process.show(recorder("broken"))
        process.show(recorder("yard", {}))
        process.hide("yard")
        process.hide("yard")
        await until(lambda: {"kind": "remove", "name": "yard"} in heard())
        count = len(heard())
        await until(lambda: len(heard()) > count + 1)
        pid = process.process_id
        assert pid is not None and psutil.Process(pid).nice() >= 10
    first, *rest = heard()
    assert first["kind"] == "serve" and first["port"] == 8600
    shown = [one for one in rest if one["kind"] != "status"]
    assert shown[0] == {"kind": "add", "name": "door", "directory": "/srv/door", "upload_path": "/srv/up"}
    assert [(one["kind"], one["name"]) for one in shown[1:]] == [("add", "broken"), ("add", "yard"), ("remove", "yard")]
    said = {"recording": True, "limit_bytes": 10**9, "min_free_gb": None}
    assert rest[-1] == {"kind": "status", "of": {"door": said}}
    lines = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert (logging.WARNING, "a wrong password came") in lines
    assert (logging.ERROR, "Traceback of something") in lines and (
        logging.INFO,
        "The page is at http://here/.",
    ) in lines
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_one_that_ends_is_started_again_later_each_time(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    script = f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(7)"
    async with running([sys.executable, "-c", script]) as process:
        await until(lambda: starts.exists() and len(starts.read_text()) >= 3)
        assert process.url is None and process.trouble is not None
        assert "127.0.0.1:8600" in process.trouble and "exit code 7" in process.trouble


async def test_one_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    async with running([str(tmp_path / "none")]) as process:
        await until(lambda: process.trouble is not None)
        assert process.url is None


async def test_one_that_does_not_end_is_killed() -> None:
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"
    async with running([sys.executable, "-c", script]) as process:
        await until(lambda: process.process_id is not None)
        pid = process.process_id
    assert pid is not None and not psutil.pid_exists(pid)


async def test_one_that_answers_nothing_any_more_is_told_and_started_again(tmp_path: Path) -> None:
    script = f"""
import json, sys, time
open({str(tmp_path / "starts")!r}, "a").write("x")
print(json.dumps({{"kind": "serving", "text": "http://here/"}}), flush=True)
time.sleep(1000)
"""
    async with running([sys.executable, "-c", script]) as process:
        await until(lambda: process.trouble is not None)
        assert process.trouble is not None and "did not answer" in process.trouble and process.url is None
        await until(lambda: (tmp_path / "starts").read_text() == "xx" and process.url is not None)


async def test_one_that_reads_nothing_does_not_fill_the_memory() -> None:
    async with running([sys.executable, "-c", "import time; time.sleep(1000)"]) as process:
        process.show(recorder("door", {"long": "x" * 100_000}))
        await until(lambda: process._process is not None)
        await asyncio.sleep(2)  # twenty times as much as it may be behind
        assert process._process is not None and process._process.stdin is not None
        assert process._process.stdin.transport.get_write_buffer_size() < 600_000


def test_the_command_is_this_program() -> None:
    assert child_command() == [sys.executable, "-m", "videostore", "web-child"]


async def test_a_fault_in_what_it_is_told_is_logged_and_it_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running([sys.executable, "-c", SAYS, str(tmp_path / "told")]) as process:
        await until(lambda: process.url)
        first = process.process_id
        process.show(recorder("door", {("no", "name of a field"): True}))  # type: ignore[dict-item]
        await until(lambda: process.trouble is not None and "TypeError" in process.trouble)
        process.hide("door")
        await until(lambda: process.url and process.process_id != first)
    assert any(one.exc_info for one in caplog.records), "with the place of the fault"


async def test_a_request_that_fails_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asks = 'import sys, json; print(json.dumps({"kind": "ask"}), flush=True); sys.stdin.read()'
    async with running([sys.executable, "-c", asks]):
        await until(lambda: "A request of the web server" in caplog.text)
