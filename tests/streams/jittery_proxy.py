"""Stands between a camera and its client, and delays what the camera sends over TCP."""

from __future__ import annotations

import asyncio
import contextlib
import random

from tests.support.local_server import LocalServer

_BLOCK_BYTES = 65536


class JitteryProxy(LocalServer):
    """A proxy for the camera at a port. It is an asynchronous context manager, which ends it."""

    def __init__(
        self, camera_port: int, dice: random.Random, *, delay_s: float, burst_s: float, every_s: float
    ) -> None:
        """Each block is delayed by up to `delay_s`. Every `every_s`, nothing passes for `burst_s`, and then all."""
        super().__init__()
        self.bursts = 0
        self._camera_port = camera_port
        self._dice = dice
        self._delay_s, self._burst_s, self._every_s = delay_s, burst_s, every_s

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            camera_reader, camera_writer = await asyncio.open_connection("127.0.0.1", self._camera_port)
            parts = [
                asyncio.create_task(self._take(camera_reader, waiting)),
                asyncio.create_task(_pass(waiting, writer)),
            ]
            try:
                while request := await reader.read(_BLOCK_BYTES):
                    camera_writer.write(request)
            finally:
                for part in parts:
                    part.cancel()
                camera_writer.close()
                writer.close()

    async def _take(self, camera: asyncio.StreamReader, waiting: asyncio.Queue[tuple[float, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        free_s, next_burst_s = 0.0, loop.time() + self._every_s
        while block := await camera.read(_BLOCK_BYTES):
            now_s = loop.time()
            if now_s > next_burst_s:
                free_s, next_burst_s = now_s + self._burst_s, now_s + self._every_s
                self.bursts += 1
            free_s = max(free_s, now_s + self._dice.uniform(0, self._delay_s))
            waiting.put_nowait((free_s, block))


async def _pass(waiting: asyncio.Queue[tuple[float, bytes]], client: asyncio.StreamWriter) -> None:
    while True:
        due_s, block = await waiting.get()
        await asyncio.sleep(due_s - asyncio.get_running_loop().time())
        client.write(block)
