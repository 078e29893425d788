"""Disks that a test mounts or lets fail, and proof that a recording goes on."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import ClipCheck, check_clip, read_clip
from tests.support.feeding import wait_for_cover
from tests.support.recording import US, Pulse, until
from videostore.base.errors import NothingStoredError
from videostore.store.store import VideoStore


async def mount(*options: str | Path) -> None:
    """Run `mount` with these options."""
    process = await asyncio.create_subprocess_exec("mount", *options)
    assert await process.wait() == 0


def recording_now(store: VideoStore) -> bool:
    """Whether the store records, and its last frame is less than 2 s old."""
    recorder = store.health().recorder
    assert recorder is not None
    return recorder.recording and (recorder.last_frame_age_s or 9) < 2


async def flawless_now(store: VideoStore, pulse: Pulse) -> None:
    """Wait for two seconds of new recording, and compare them with what the source delivered.

    Nothing is delivered while they are fetched, so that the quota deletes none of them. If frames were dropped
    meanwhile, because the machine is busy, the next two seconds are compared; so they are if it is so busy that the
    quota had deleted the beginning before.
    """
    while True:
        found: ClipCheck | None = None
        count, dropped = len(pulse.delivered), dropped_frames(store)
        await until(lambda count=count: len(pulse.delivered) > count)  # type: ignore[misc]
        from_us, to_us = pulse.delivered[count], pulse.delivered[count] + 2 * US
        await wait_for_cover(store, to_us + US // 2)
        pulse.stopped = True
        try:
            clip = await store.fetch(from_us, to_us)
            found = check_clip(read_clip(clip.data), pulse.delivered, from_us, to_us)
        except NothingStoredError:
            pass
        finally:
            pulse.stopped = False
        if found is not None and found.flawless:
            return
        deleted = (await store.state()).ranges[0].from_us > from_us
        assert dropped_frames(store) > dropped or deleted, found


def dropped_frames(store: VideoStore) -> int:
    """The number of frames that the recorder has dropped so far."""
    recorder = store.health().recorder
    assert recorder is not None
    return recorder.dropped_frames


class FailingDisk:
    """Makes functions of `os` fail with an input/output error for open segments while `fails` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *functions: str) -> None:
        self.fails = False
        for name in functions:
            monkeypatch.setattr(os, name, functools.partial(self._call, getattr(os, name)))

    def _call(self, function: Callable[..., Any], path: Any, *arguments: Any, **options: Any) -> Any:
        if self.fails and str(path).endswith(".open"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return function(path, *arguments, **options)
