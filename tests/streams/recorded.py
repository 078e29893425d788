"""Cameras of the table that were recorded, by the command or by components, and what came of them."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tests.streams.cameras import CAMERAS, COMMAND, PASSWORD, USER, Camera, GstCameras, serving
from tests.streams.components import Components, run_components
from tests.streams.heard import clicks_us, sync_errors_us, unheard_us
from tests.streams.recorder import Recorder
from tests.streams.stored import Comparison, StoredPicture, compare, stored_pictures
from tests.support.coded_stream import FPS, SentPicture
from tests.support.program import Program
from tests.support.recording import US, until

_PATIENCE_S = 120
_ON_ITS_WAY_S = 2
"""So much of what was sent may not be stored when the time is over."""


@dataclass(frozen=True)
class Recording:
    """What a recorder has left of a camera."""

    directory: Path
    said: str
    """What the command has printed, or the module has logged; with the arguments of what the module runs."""
    sent: Sequence[SentPicture]


@dataclass(frozen=True)
class Recorded:
    """A camera beside what is stored of it."""

    name: str
    way: str
    camera: Camera
    recording: Recording
    stored: Sequence[StoredPicture]
    comparison: Comparison
    sync_errors_us: Sequence[int]
    """How much later than its picture each click is heard."""
    unheard_us: Sequence[int]
    """How long after the first picture those were captured whose click is not heard."""

    @classmethod
    def of(cls, name: str, way: str, recording: Recording) -> Recorded:
        """Compare what is stored with what was sent."""
        camera = CAMERAS[name]
        stored = stored_pictures(recording.directory)
        # Of the last ones, those that are shown earlier may not have come.
        stored = stored[: len(stored) - camera.coding.b_frames]
        clicks = clicks_us(recording.directory)
        found = compare(stored, recording.sent)
        errors, unheard = sync_errors_us(stored, clicks), unheard_us(stored, clicks)
        return cls(name, way, camera, recording, stored, found, errors, unheard)

    @property
    def due(self) -> float:
        """How many pictures are stored at least."""
        return (self.camera.seconds - _ON_ITS_WAY_S) * FPS

    @property
    def hears(self) -> bool:
        """Whether its sound is to be recorded."""
        return bool(self.camera.sound) and (self.way == COMMAND or self.camera.audio)

    @property
    def row(self) -> str:
        """Its line in the table."""
        found = self.comparison
        wrong = found.unreadable + found.invented + found.doubled + found.missing
        heard = f"{max(map(abs, self.sync_errors_us)) / 1000:.1f}" if self.sync_errors_us else ""
        return (
            f"{self.name:26}{self.way:11}{found.stored - wrong + found.missing:6}{found.stored:8}{wrong:7}"
            f"{found.error_us / 1000:10.1f}{found.spread_us / 1000:14.1f}{heard:>11}"
        )


ROWS_HEAD = (
    f"{'camera':26}{'recorded by':11}{'sent':>6}{'stored':>8}{'wrong':>7}{'late, ms':>10}{'distances, ms':>14}"
    f"{'sound, ms':>11}"
)


def record_by_command(name: str, directory: Path) -> Recording:
    """Record a camera with `videostore record`."""
    camera = CAMERAS[name]
    with serving(directory, {name: camera}, credentials=camera.credentials) as cameras:
        recorder = Recorder(
            Program.create(directory), directory / "storage", login(cameras.url(name), camera), camera.transport
        )
        result = recorder.run(camera.seconds)
        assert result.code == 0, result.err
        return Recording(recorder.directory, result.out + result.err, cameras.sent(name))


async def record_by_components(names: Sequence[str], directory: Path) -> dict[str, Recording]:
    """Record cameras with one module, all at once."""
    with contextlib.ExitStack() as stack:
        servers: dict[str, GstCameras] = {}
        for guarded in (False, True):
            wanted = {name: CAMERAS[name] for name in names if CAMERAS[name].credentials == guarded}
            own = directory / f"guarded-{guarded}"
            own.mkdir()
            server = stack.enter_context(serving(own, wanted, credentials=guarded))
            servers |= dict.fromkeys(wanted, server)
        async with run_components(directory) as components:
            found = await asyncio.gather(*(_record_one(components, name, servers[name]) for name in names))
        return dict(zip(names, found, strict=True))


async def _record_one(components: Components, name: str, server: GstCameras) -> Recording:
    camera = CAMERAS[name]
    # Sound is recorded only if it is asked for.
    asked = {"audio": True} if camera.sound and camera.audio else {}
    await components.add(name, login(server.url(name), camera), camera.transport, **asked)
    await until(lambda: server.sent_s(name) >= camera.seconds, _PATIENCE_S)
    # A busy machine stores later what was sent.
    stored_us = server.began_us(name) + (camera.seconds - _ON_ITS_WAY_S) * US
    await components.until(name, lambda status: time.time() - status.get("newest_age_s", math.inf) >= stored_us / US)
    shown = components.arguments
    await components.remove(name)
    return Recording(components.storage(name), "\n".join([components.said(name), *shown]), server.sent(name))


def login(url: str, camera: Camera) -> str:
    """The URL with the password of a camera that asks for one."""
    return url.replace("rtsp://", f"rtsp://{USER}:{quote(PASSWORD, safe='')}@") if camera.credentials else url
