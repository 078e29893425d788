from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.coding import coded_packets
from tests.support.recording import Pulse, Stores, capture_times, until
from videostore.clips import picture_decoder
from videostore.clips.picture_child import MOST_LINE_BYTES, write_request
from videostore.clips.picture_decoder import AT_ONCE, PictureDecoders, shared_decoders
from videostore.media.look import Look
from videostore.media.shown_picture import ShownFrames
from videostore.store.store import VideoStore


@pytest.fixture(scope="module")
def shown() -> ShownFrames:
    packets = coded_packets(capture_times(1), "h264", gop=10)
    return ShownFrames("h264", (320, 180), Look(), tuple((n, one.data) for n, one in enumerate(packets[:5])), 160)


@asynccontextmanager
async def joined(*arguments: Any, **options: Any) -> AsyncIterator[PictureDecoders]:
    decoders = PictureDecoders(*arguments, **options)
    decoders.join()
    try:
        yield decoders
    finally:
        await decoders.leave()
        assert not decoders.processes


async def bring_up(decoders: PictureDecoders, shown: ShownFrames) -> int:
    """Ask until a decoder is there; returns its process."""
    while not decoders.is_ready:
        await decoders.show(shown)
        await asyncio.sleep(0.01)
    (found,) = decoders.processes
    return found


def stands_in(text: str) -> list[str]:
    """A decoder that does something else: it is ready, and then what the text says."""
    return [sys.executable, "-c", f"import sys, time; sys.stdout.write(chr(10)); sys.stdout.flush(); {text}"]


async def test_the_first_picture_starts_none_and_the_following_share_one(shown: ShownFrames) -> None:
    async with joined() as decoders:
        assert await decoders.show(shown) is None
        assert not decoders.processes and decoders._starting is None
        process = await bring_up(decoders, shown)
        for _ in range(3):
            jpeg = await decoders.show(shown)
            assert jpeg is not None and jpeg.startswith(b"\xff\xd8")
        assert decoders.processes == {process}
        assert psutil.Process(process).nice() > 0
    assert not psutil.pid_exists(process)


async def test_it_imports_nothing_from_where_a_user_is(
    shown: ShownFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    async with joined() as decoders:
        await decoders.show(shown)
        await decoders.show(shown)
        assert decoders._starting is not None
        await asyncio.wait({decoders._starting})
        assert decoders.is_ready and not (tmp_path / "ran").exists()


async def test_many_at_once_have_two_at_most(shown: ShownFrames) -> None:
    async with joined() as decoders:
        await bring_up(decoders, shown)
        for _ in range(20):
            found = await asyncio.gather(*(decoders.show(shown) for _ in range(8)))
            assert len(decoders.processes) <= AT_ONCE
        assert any(found)


async def test_one_that_has_nothing_to_do_is_ended(shown: ShownFrames) -> None:
    async with joined(idle_s=0.1) as decoders:
        process = await bring_up(decoders, shown)
        await until(lambda: not psutil.pid_exists(process) and not decoders.processes)


@pytest.mark.parametrize("command", [["/nowhere/python"], ["false"], stands_in("sys.exit(1)")])
async def test_one_that_cannot_be_had_costs_no_picture(shown: ShownFrames, command: list[str]) -> None:
    async with joined(command) as decoders:
        while decoders._failed < 0:
            assert await decoders.show(shown) is None
            await asyncio.sleep(0.01)
        assert await decoders.show(shown) is None and decoders._starting is None  # not again at once


@pytest.mark.parametrize(
    "text",
    [
        "time.sleep(1000)",
        "sys.stdout.buffer.write(bytes([255] * 8)); sys.stdout.flush(); time.sleep(1000)",
        "sys.stdout.buffer.write(bytes(3)); sys.stdout.flush(); sys.stdin.buffer.read(1)",
    ],
)
async def test_one_that_is_stuck_or_talks_nonsense_is_killed(shown: ShownFrames, text: str) -> None:
    async with joined(stands_in(text), within_s=0.3) as decoders:
        process = await bring_up(decoders, shown)
        assert await decoders.show(shown) is None
        await until(lambda: not psutil.pid_exists(process))


async def test_a_request_that_is_given_up_ends_its_decoder(shown: ShownFrames) -> None:
    async with joined(stands_in("time.sleep(1000)")) as decoders:
        process = await bring_up(decoders, shown)
        asking = asyncio.ensure_future(decoders.show(shown))
        await until(lambda: not decoders.is_ready)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: not psutil.pid_exists(process))


async def test_one_that_has_done_or_taken_enough_is_replaced(
    shown: ShownFrames, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with joined() as decoders:
        for name in ("MOST_PICTURES", "MOST_MEMORY_KIB"):
            process = await bring_up(decoders, shown)
            monkeypatch.setattr(picture_decoder, name, 1)
            assert await decoders.show(shown) is not None
            await until(lambda process=process: not psutil.pid_exists(process))  # type: ignore[misc]
            monkeypatch.undo()


async def test_what_would_keep_others_waiting_is_left_to_ffmpeg(shown: ShownFrames) -> None:
    async with joined() as decoders:
        await bring_up(decoders, shown)
        many = tuple((number, b"x") for number in range(1000))
        for heavy in (
            ShownFrames("h264", (320, 180), Look(), many, None),
            ShownFrames("h264", (320, 180), Look(), ((0, bytes(1 << 24)),), None),
            ShownFrames("h264", (16000, 9000), Look(), shown.frames, None),
        ):
            assert await decoders.show(heavy) is None
        assert len(decoders.processes) == 1 and decoders._failed < 0


def test_the_line_of_the_largest_request_is_read_whole(shown: ShownFrames) -> None:
    frames = tuple(
        (number, bytes(picture_decoder._MOST_BYTES // 200)) for number in range(picture_decoder._MOST_FRAMES)
    )
    line = write_request(ShownFrames("h264", (320, 180), Look(), frames, None)).partition(b"\n")[0]
    assert len(line) < MOST_LINE_BYTES / 2


async def test_stores_of_a_loop_share_their_decoders(recording: Path, times: list[int]) -> None:
    async with VideoStore.open(recording), VideoStore.open(recording) as other:
        decoders = shared_decoders()
        while not decoders.is_ready:
            await other.snapshot(times[3], exact=False)
            await asyncio.sleep(0.01)
        (process,) = decoders.processes
    assert not psutil.pid_exists(process)
    assert shared_decoders() is not decoders


async def test_a_decoder_that_is_killed_costs_neither_the_recording_nor_the_next_picture(tmp_path: Path) -> None:
    stores = Stores(tmp_path)
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=30)
    try:
        decoders = shared_decoders()
        await until(lambda: len(pulse.delivered) > 30)
        at_us = pulse.delivered[3]
        while not decoders.is_ready:
            expected = await store.snapshot(at_us)
        (process,) = decoders.processes
        os.kill(process, signal.SIGSTOP)
        asking = asyncio.ensure_future(store.snapshot(at_us))
        await until(lambda: not decoders.is_ready)
        os.kill(process, signal.SIGKILL)
        assert (await asking).captured_us == expected.captured_us
        assert (await store.snapshot(at_us)).captured_us == expected.captured_us
        recorder = store.health().recorder
        assert recorder is not None and (recorder.ffmpeg_restarts, recorder.dropped_frames) == (0, 0)
    finally:
        await stores.close()
