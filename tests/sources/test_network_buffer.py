from __future__ import annotations

import asyncio
import contextlib
import itertools
import statistics
from collections.abc import AsyncIterator

import pytest

from tests.support.inputs import NetworkCamera, Tap, open_input, painted_times, playing
from tests.support.ports import own_port
from tests.support.recording import until
from videostore.ffmpeg.process import end_process
from videostore.sources.network_buffer import buffered_us


@pytest.mark.parametrize(
    ("url", "options", "expected_us"),
    [
        ("srt://camera:9000", {}, 120_000),
        ("srt://camera:9000?mode=caller&latency=500000", {}, 500_000),
        ("srt://camera:9000?latency=500000", {"rcvlatency": "200000"}, 200_000),
        ("srt://camera:9000?latency=0", {}, 0),
        ("srt://camera:9000?latency=-1", {}, 0),
        ("srt://camera:9000", {"latency": "much"}, 0),
        ("srt://camera:9000?transtype=file", {}, 0),
        ("srt://camera:9000?tsbpd=0&latency=500000", {}, 0),
        ("rist://@0.0.0.0:9000", {}, 1_000_000),
        ("rist://@0.0.0.0:9000?buffer=300", {}, 300_000),
        ("rist://@0.0.0.0:9000", {"buffer_size": "250"}, 250_000),
        ("rist://@0.0.0.0:9000", {"buffer_size": "0"}, 1_000_000),
        ("udp://@0.0.0.0:9000?latency=500000", {}, 0),
        ("rtsp://camera/stream", {"latency": "500000"}, 0),
    ],
)
def test_how_long_a_network_holds_back_is_known_by_its_settings(
    url: str, options: dict[str, str], expected_us: int
) -> None:
    assert buffered_us(url.partition(":")[0], url, options) == expected_us


_DELAYED_S = 2


@pytest.mark.parametrize("kind", ["srt", "rist"])
async def test_pictures_are_not_dated_later_by_what_their_network_holds_back(
    binary: str, camera: NetworkCamera, kind: str
) -> None:
    await camera.start()
    async with _relayed(binary, kind, camera.port) as url:
        source = Tap(open_input(url, binary))
        async with playing(source):
            await until(lambda: len(source.packets_seen) > 60, 60)
    late_us = [dated - true for dated, true in zip(source.times_us, painted_times(source.packets_seen), strict=False)]
    assert min(late_us) > -50_000 and statistics.median(late_us[-20:]) < _DELAYED_S * 1_000_000 / 2


@contextlib.asynccontextmanager
async def _relayed(binary: str, kind: str, port: int) -> AsyncIterator[str]:
    """What a camera sends over TCP, sent on over a network that holds it back. Yields where."""
    to = own_port()
    ways = {
        "srt": (f"srt://127.0.0.1:{to}?mode=listener", f"srt://127.0.0.1:{to}?latency={_DELAYED_S * 1_000_000}"),
        "rist": (f"rist://127.0.0.1:{to}", f"rist://@127.0.0.1:{to}?buffer={_DELAYED_S * 1000}"),
    }
    sent, taken = ways[kind]
    command = [binary, "-v", "error", "-f", "data", "-i", "pipe:0", "-map", "0", "-c", "copy", "-f", "data"]

    async def relay() -> None:
        for _ in itertools.count():
            process = await asyncio.create_subprocess_exec(
                *command, "-flush_packets", "1", sent, stdin=asyncio.subprocess.PIPE
            )
            assert process.stdin is not None
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                while block := await reader.read(1316):
                    process.stdin.write(block)
                    await process.stdin.drain()
            except OSError:
                pass
            finally:
                writer.close()
                await end_process(process)

    task = asyncio.create_task(relay())
    try:
        yield taken
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
