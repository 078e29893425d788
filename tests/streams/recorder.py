"""What records the cameras: `videostore record` as a process. Another recorder needs the same two ways to run."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.program import TIMEOUT_S, Program, Result
from tests.support.recording import until

SEGMENT_S = 2


@dataclass(frozen=True)
class Recorder:
    """Records a camera into a directory."""

    program: Program
    directory: Path
    url: str
    transport: str = "tcp"

    @property
    def _arguments(self) -> tuple[object, ...]:
        storage = ("--storage", self.directory, "--size-gb", "1", "--segment-seconds", SEGMENT_S)
        return ("record", self.url, *storage, "--option", f"rtsp_transport={self.transport}")

    def run(self, seconds: float) -> Result:
        """Record so much."""
        return self.program(*self._arguments, "--duration", f"{seconds:g}s")

    async def run_until(self, *conditions: Callable[[], object]) -> Result:
        """Record until one condition after the other has become true."""
        with self.program.start(*self._arguments) as process:
            for condition in conditions:
                await until(lambda one=condition: one() or process.poll() is not None)  # type: ignore[misc]
            process.send_signal(signal.SIGINT)
            out, err = await asyncio.to_thread(process.communicate, timeout=TIMEOUT_S)
        return Result(process.returncode, out.decode(), err.decode())

    def segments(self) -> int:
        """How many segments are closed."""
        return len(list(self.directory.glob("*.mp4")))
