"""Clips that a machine's video service sends: the same as those that come as answers, and of any length."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from grpclib import GRPCError, Status

from scripts.fakes.machine import MachineServer
from scripts.fakes.painted_camera import read_clip
from tests.support.amount import some
from tests.support.attributes import valid_attributes
from tests.support.recording import START_US, US, Stores, capture_times, record, take_over
from videostore.base.errors import NothingStoredError, RequestError
from videostore.base.ranges import Range
from videostore.config import parse_config
from videostore.remote.client import Machine
from videostore.viam import video_api
from videostore.viam.camera import StorageCamera
from videostore.viam.video_service import VideoStorage

NAME, VIDEO = "store", "video"


class OneWay(StorageCamera):
    """A recorder that remembers how long the clips were that it was asked for."""

    def __init__(self) -> None:
        super().__init__(parse_config(NAME, valid_attributes())[0], None)
        self.fetched_us: list[str] = []

    async def do_command(self, command, *, timeout=None, **kwargs):  # type: ignore[no-untyped-def]
        if command["command"] == "fetch":
            self.fetched_us.append(f"{command['from']} {command['to']}")
        return await super().do_command(command, timeout=timeout)


@pytest.fixture
async def recorder(stores: Stores) -> OneWay:
    """A recorder over 9 s, a gap, and 3 s more."""
    await record(stores.storage, capture_times(9))
    await record(stores.storage, capture_times(3, START_US + 12 * US, seed=5))
    await take_over(stores.storage)
    camera = OneWay()
    camera._store = await stores.open()
    return camera


@contextlib.asynccontextmanager
async def machine(recorder: OneWay, *videos: VideoStorage) -> AsyncIterator[Machine]:
    video_api.register()
    async with MachineServer([recorder], videos=videos) as server, Machine.connect(server.address) as connected:
        yield connected


def service(recorder: StorageCamera) -> VideoStorage:
    made = VideoStorage(VIDEO, NAME)
    made.introduce(lambda name: recorder if name == NAME else None)
    return made


@some(
    ("from_us", "to_us"),
    [
        (START_US + 1_234_567, START_US + 8 * US),
        (START_US - 5 * US, START_US + 14 * US),
        (START_US + 3 * US, START_US + 11 * US),
        (START_US + 10 * US, START_US + 13_500_000),
        (START_US + 5 * US, START_US + 5_300_000),
    ],
    3,
)
async def test_an_export_has_the_frames_and_the_ranges_that_it_has_without_the_service(
    recorder: OneWay, tmp_path: Path, from_us: int, to_us: int
) -> None:
    async with machine(recorder) as without:
        expected = await without.export(from_us, to_us, tmp_path / "answer.mp4")
    async with machine(recorder, service(recorder)) as connected:
        shares: list[float] = []
        clip = await connected.export(from_us, to_us, tmp_path / "video.mp4", on_progress=shares.append)
    assert read_clip(clip.path) == read_clip(expected.path)
    assert clip.ranges == expected.ranges
    assert shares == sorted(shares) and 0 < shares[-1] <= 1


async def test_only_the_edges_come_as_answers(recorder: OneWay, tmp_path: Path) -> None:
    async with machine(recorder, service(recorder)) as connected:
        await connected.export(START_US + US, START_US + 8 * US, tmp_path / "video.mp4")
    assert len(recorder.fetched_us) == 2


async def test_a_service_of_another_recorder_is_not_used(recorder: OneWay, stores: Stores, tmp_path: Path) -> None:
    other = StorageCamera(parse_config("other", valid_attributes())[0], None)
    shutil.copytree(stores.storage, tmp_path / "other" / "storage")
    others = Stores(tmp_path / "other")
    other._store = await others.open()
    await other._store.close()  # a request to it would fail
    async with machine(recorder, service(other)) as connected:
        await connected.export(START_US + US, START_US + 8 * US, tmp_path / "video.mp4")
    assert len(recorder.fetched_us) == 1


async def test_where_the_service_cannot_send_it_the_clip_comes_as_before(recorder: OneWay, tmp_path: Path) -> None:
    video = service(recorder)

    async def is_starting(**kwargs: object) -> AsyncIterator[tuple[bytes, str]]:
        yield b"", "mp4"
        raise GRPCError(Status.UNAVAILABLE, "The recorder is starting.")

    video.get_video = is_starting  # type: ignore[assignment]
    async with machine(recorder, video) as connected:
        await connected.export(START_US + US, START_US + 8 * US, tmp_path / "video.mp4")
    assert len(recorder.fetched_us) == 1


async def test_a_refusal_is_that_of_the_machine(recorder: OneWay, tmp_path: Path) -> None:
    async with machine(recorder, service(recorder)) as connected:
        with pytest.raises(NothingStoredError) as error:
            await connected.export(START_US - 20 * US, START_US - 10 * US, tmp_path / "video.mp4")
        assert isinstance(error.value.fields["nearest"], Range)
        with pytest.raises(RequestError):
            await connected.export(START_US + 9000 * US, START_US + 9001 * US, tmp_path / "video.mp4")
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".videostore*"))


@pytest.mark.parametrize("kept", [0, 0.3, 0.99])
async def test_where_a_server_on_the_way_hides_that_a_clip_broke_off_it_comes_as_before(
    recorder: OneWay, tmp_path: Path, kept: float
) -> None:
    """viam-server 1.4 ends a video with OK, whatever has happened."""
    video = service(recorder)
    whole = video.get_video

    async def cut_short(**fields: Any) -> AsyncIterator[tuple[bytes, str]]:
        blocks = b"".join([block async for block, _ in whole(**fields)])
        yield blocks[: round(len(blocks) * kept)], "mp4"

    video.get_video = cut_short  # type: ignore[assignment,method-assign]
    async with machine(recorder, video) as connected:
        clip = await connected.export(START_US + US, START_US + 8 * US, tmp_path / "video.mp4")
    assert len(read_clip(clip.path)) > 50 and clip.ranges is None and len(recorder.fetched_us) == 1


async def test_a_clip_that_breaks_off_is_an_error_and_no_file(recorder: OneWay, tmp_path: Path) -> None:
    video = service(recorder)

    async def breaks_off(**kwargs: object) -> AsyncIterator[tuple[bytes, str]]:
        yield b"\0" * 1000, "mp4"
        raise GRPCError(Status.INTERNAL, "The clip is not complete.")

    video.get_video = breaks_off  # type: ignore[assignment]
    async with machine(recorder, video) as connected:
        with pytest.raises(Exception, match="not complete"):
            await connected.export(START_US + US, START_US + 8 * US, tmp_path / "video.mp4")
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".videostore*"))
