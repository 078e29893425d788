"""The password of a source leaves the module in no form, whatever happens: only the machine config holds it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from grpclib import GRPCError

from scripts.fakes.painted_camera import PaintedCamera
from scripts.fakes.viam_server import Parent
from tests.support.amount import some
from tests.support.child_processes import running_children
from tests.support.guarded_camera import USER, RtspCamera
from tests.support.machine import NAME, Machine, now_us

PASSWORD = "s3cr@t/w%rd&k=v#é"
WRITTEN = quote(PASSWORD, safe="")
FORMS = {
    *(PASSWORD, WRITTEN, "s3cr@t", "s3cr%40t", base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()),
    *(base64.b64encode(PASSWORD.encode()).decode(), PASSWORD.encode("unicode_escape").decode()),
}
"""The password as it is, as a URL has it, and as a camera gets it."""


class Watch:
    """Collects what others can see."""

    def __init__(self, machine: Machine) -> None:
        self.seen: list[str] = []
        self._machine = machine

    def look(self) -> None:
        """What the list of processes shows at the moment. Blocking."""
        module = psutil.Process(self._machine.parent.process.pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [module, *module.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.seen += [*one.cmdline(), *one.environ().values(), one.name()]

    async def until(self, words: str) -> None:
        """Wait until the reason in the status has these words; empty: until it records."""

        async def reached() -> bool:
            await asyncio.to_thread(self.look)
            status = await self._machine.status()
            self.seen.append(str(status))
            return words in status["reason"] if words else bool(status["recording"])

        await self._machine.until(reached)

    async def call(self, name: str, **fields: Any) -> None:
        """Send a command, and keep its answer without the video."""
        try:
            answer = dict(await self._machine.command(name, **fields))
            self.seen.append(str({key: value for key, value in answer.items() if key != "video"}))
            self.seen.append(base64.b64decode(answer.get("video", "")).decode("latin-1"))
        except GRPCError as error:
            self.seen.append(f"{error!r} {error.details}")


def files_below(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_file():
            yield f"{path} {path.read_bytes().decode('latin-1')}"


@some("scheme", ["rtsp", "http"], 1)
async def test_no_password_of_a_source_leaves_the_module(tmp_path: Path, scheme: str) -> None:
    rtsp = RtspCamera()
    rtsp.password = PASSWORD
    await rtsp.start()
    camera = PaintedCamera("cam", width=320, height=180)
    url = rtsp.url_with(WRITTEN).replace("rtsp:", f"{scheme}:")
    try:
        async with Parent([camera]) as parent:
            await parent.start_module(args=["--log-level=DEBUG"])
            machine = Machine(parent, camera, tmp_path)
            watch = Watch(machine)
            for wrong in ({"source": [url]}, {"source": f"{url}\n"}, {"source": f"ftp{url}"}, {"source": url[4:]}):
                with pytest.raises(GRPCError) as refused:
                    await machine.add(camera=None, **wrong)
                watch.seen.append(f"{refused.value!r} {refused.value.details}")
            with pytest.raises(GRPCError) as refused:
                await machine.add(camera=None, source=url, source_options={"hedaers": f"Authorization: {PASSWORD}"})
            watch.seen.append(f"{refused.value!r} {refused.value.details}")
            await machine.add(camera=None, source=url)
            if scheme == "http":  # the camera speaks RTSP only
                await watch.until("the input http")
            else:
                await record_in_spite_of_everything(machine, watch, rtsp)
            await parent.remove(NAME)
            watch.seen += [f"{line.level} {line.message}" for line in parent.logs] + parent.module_output
    finally:
        await rtsp.stop()
    watch.seen += await asyncio.to_thread(lambda: list(files_below(tmp_path)))
    assert any(f"{scheme}://…@127.0.0.1" in text for text in watch.seen)
    shown = [text[max(0, text.find(form) - 80) :][:200] for text in watch.seen for form in FORMS if form in text]
    assert shown == []


async def record_in_spite_of_everything(machine: Machine, watch: Watch, rtsp: RtspCamera) -> None:
    """Let the stream be refused, redirected, cut and recorded, and its ffmpeg crash; save and fetch it."""
    await watch.until("")
    begun_us = now_us()
    for refusal, words in (
        ("401 Unauthorized", "(401)"),
        (f"302 Moved\r\nLocation: {rtsp.url_with(WRITTEN)}/elsewhere", "the input rtsp"),
        ("454 Session Not Found", "(454)"),
    ):
        rtsp.refusal = refusal
        await rtsp.drop()
        await watch.until(words)
    await rtsp.stop()
    await watch.until("it refuses the connection")
    rtsp.refusal = ""
    await rtsp.start()
    await watch.until("")
    (input,) = running_children(psutil.Process(machine.parent.process.pid), "concat")
    os.kill(input.pid, signal.SIGABRT)
    await watch.until("signal")
    await watch.until("")
    await machine.until(lambda: list(machine.storage.glob("*.mp4")))
    to_us = now_us()
    await watch.call("get-storage-state")
    await watch.call("fetch", from_us=begun_us, to_us=to_us)
    await watch.call("save", from_us=begun_us, to_us=to_us, tags=["door"])
    await watch.call("fetch", from_us=0, to_us=1)
    images, _ = await machine.parent.camera(NAME).get_images()
    watch.seen += [image.data.decode("latin-1") for image in images]
