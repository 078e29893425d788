"""The video service from outside: GetVideo of a real module process over a real socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from grpclib import GRPCError, Status
from viam.proto.common import DoCommandRequest, GetStatusRequest
from viam.proto.service.video import GetVideoRequest
from viam.utils import dict_to_struct, struct_to_dict

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some
from tests.support.ending import assert_terminates_in_time
from tests.support.lateness import watching_lateness
from tests.support.machine import NAME, US, Machine, assert_plain, now_us, run_machine
from tests.support.recording import SMALL, capture_times, record, take_over, until
from videostore.ffmpeg.process import find_ffmpeg

VIDEO = "video"


def at(time_us: int) -> Timestamp:
    seconds, us = divmod(time_us, US)
    return Timestamp(seconds=seconds, nanos=us * 1000)


def request(from_us: int | None, to_us: int | None, *, extra: Any = None, name: str = VIDEO, **fields: Any) -> Any:
    return GetVideoRequest(
        name=name,
        start_timestamp=None if from_us is None else at(from_us),
        end_timestamp=None if to_us is None else at(to_us),
        extra=dict_to_struct(extra or {}),
        **fields,
    )


async def chunks(machine: Machine, asked: Any) -> list[Any]:
    return list(await machine.parent.video().GetVideo(asked, timeout=60))


async def clip(machine: Machine, asked: Any) -> bytes:
    return b"".join(one.video_data for one in await chunks(machine, asked))


async def received(stream: Any) -> Any:
    """The next message of a video."""
    return await stream.recv_message()


async def refused(machine: Machine, asked: Any) -> GRPCError:
    with pytest.raises(GRPCError) as error:
        await chunks(machine, asked)
    return error.value


async def add_video(machine: Machine, **attributes: Any) -> None:
    machine.parent.videos.add(VIDEO)
    await machine.parent.add(VIDEO, attributes or {"recorder": NAME})


async def test_what_makes_videos_is_loaded_before_the_first_one_is_asked_for(tmp_path: Path) -> None:
    """The libraries of PyAV are in the memory of the process."""
    async with run_machine(tmp_path) as machine:
        maps = Path(f"/proc/{machine.parent.process.pid}/maps")
        assert "libavcodec" not in maps.read_text()
        await add_video(machine)
        await until(lambda: "libavcodec" in maps.read_text())


async def test_what_headers_are_made_of_is_encoded_before_the_first_video_is_asked_for(tmp_path: Path) -> None:
    """Also if the recorder comes later than the service."""
    commands, ffmpeg = tmp_path / "commands", tmp_path / "ffmpeg"
    ffmpeg.write_text(f'#!/bin/sh\necho "$@" >> "{commands}"\nexec "{find_ffmpeg()}" "$@"\n')
    ffmpeg.chmod(0o755)
    async with run_machine(tmp_path, env={"VIDEOSTORE_FFMPEG": str(ffmpeg)}) as machine:
        await add_video(machine)
        await machine.add()
        await until(lambda: commands.exists() and "same-sets.mp4" in commands.read_text())


async def test_services_that_start_together_make_their_headers_ready_one_after_another(tmp_path: Path) -> None:
    """All at once, frames of 4K would take the memory of a small computer."""
    commands, ffmpeg, names = tmp_path / "commands", tmp_path / "ffmpeg", ["one", "two", "three"]
    encode = f'echo begins >> "{commands}"; sleep 0.3; "{find_ffmpeg()}" "$@"; echo ends >> "{commands}"'
    ffmpeg.write_text(f'#!/bin/sh\ncase "$*" in *same-sets.mp4*) {encode};; *) exec "{find_ffmpeg()}" "$@";; esac\n')
    ffmpeg.chmod(0o755)
    for name in names:
        await record(tmp_path / name, capture_times(3), size=SMALL)
        await take_over(tmp_path / name)
    async with run_machine(tmp_path, env={"VIDEOSTORE_FFMPEG": str(ffmpeg)}) as machine:
        for name in names:
            machine.parent.videos.add(name)
            await machine.parent.add(name, {"storage": {"size_gb": 1, "storage_path": str(tmp_path / name)}})
        await until(lambda: commands.exists() and commands.read_text().count("ends") == len(names))
        assert commands.read_text().split() == ["begins", "ends"] * len(names)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """A machine that has recorded 12 s and goes on, with a video service of its recorder."""
    async with run_machine(tmp_path_factory.mktemp("machine")) as machine:
        await machine.add()
        await add_video(machine)
        await machine.record(12)
        await machine.recorded_until(machine.camera.delivered[0] + 11 * US)
        yield machine


@some("container", ["", "fmp4", "mp4", "default", "MP4", "fMP4"], 3)
@pytest.mark.asyncio(loop_scope="module")
async def test_it_sends_exactly_the_range_in_small_chunks(recorded: Machine, container: str) -> None:
    from_us = recorded.camera.delivered[3] + 1
    to_us = from_us + 9 * US
    sent = await chunks(recorded, request(from_us, to_us, video_container=container, request_id="seven"))
    data = b"".join(one.video_data for one in sent)
    check = check_clip(await asyncio.to_thread(read_clip, data), recorded.camera.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5, check
    assert len(sent) > 3 and all(0 < len(one.video_data) <= 1 << 16 for one in sent)
    named = "fmp4" if container.lower() == "fmp4" else "mp4"
    assert {(one.video_container, one.request_id) for one in sent} == {(named, "seven")}
    assert (b"moof" in data) == (named == "fmp4")


@pytest.mark.parametrize("codec", ["", "default", "Default", "h264", "H264"])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_codec_may_be_named_as_it_is_stored(recorded: Machine, codec: str) -> None:
    from_us = recorded.camera.delivered[0]
    assert await clip(recorded, request(from_us, from_us + US, video_codec=codec))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one.ClearField("start_timestamp"), ["start_timestamp", "time"]),
        (lambda one: setattr(one.start_timestamp, "nanos", 1_000_000_000), ["start_timestamp", "999999999"]),
        (lambda one: setattr(one.end_timestamp, "nanos", -1), ["end_timestamp", "-1"]),
        (lambda one: setattr(one.end_timestamp, "seconds", 1 << 60), ["end_timestamp", str(1 << 60)]),
        (lambda one: setattr(one.start_timestamp, "seconds", -(1 << 60)), ["start_timestamp", "9999"]),
        (lambda one: setattr(one.start_timestamp, "seconds", 4_000_000_000), ["start_timestamp", "end_timestamp"]),
        (lambda one: one.CopyFrom(request(4_000_000_000 * US, 4_000_000_009 * US)), ["start_timestamp", "future"]),
        (lambda one: setattr(one, "video_codec", "vp9"), ["video_codec", "vp9", "h264"]),
        (lambda one: setattr(one, "video_codec", "h265"), ["video_codec", "h265", "h264"]),
        (lambda one: setattr(one, "video_container", "MKV"), ["video_container", "MKV", "one of mp4, fmp4, or none"]),
        (lambda one: setattr(one, "name", ""), ["name"]),
        (lambda one: setattr(one, "request_id", "x" * 2000), ["request_id", "1024"]),
        (lambda one: one.extra.update({"follow": "yes"}), ["extra.follow", "yes", "true"]),
        (
            lambda one: one.MergeFrom(request(None, None, extra={"follow": True}, video_container="mp4")),
            ["video_container", "mp4", "fmp4"],
        ),
        (lambda one: one.extra.update({"junk": "x" * 300_000}), ["bytes"]),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_request_gets_one_plain_sentence(
    recorded: Machine, change: Callable[[Any], object], words: list[str]
) -> None:
    from_us = recorded.camera.delivered[0]
    asked = request(from_us, from_us + US)
    change(asked)
    error = await refused(recorded, asked)
    assert error.status is (Status.RESOURCE_EXHAUSTED if words == ["bytes"] else Status.INVALID_ARGUMENT)
    assert_plain(error, *words)


@pytest.mark.asyncio(loop_scope="module")
async def test_where_nothing_is_stored_it_says_what_is_near(recorded: Machine) -> None:
    error = await refused(recorded, request(1_700_000_000 * US, 1_700_000_010 * US, video_container="fmp4"))
    assert error.status is Status.NOT_FOUND
    assert_plain(error, "nearest")
    error = await refused(recorded, request(0, US, name="other"))
    assert error.status is Status.NOT_FOUND


@pytest.mark.asyncio(loop_scope="module")
async def test_without_an_end_or_with_one_in_the_future_it_sends_what_there_is(recorded: Machine) -> None:
    delivered = recorded.camera.delivered
    first, last_us = len(delivered) - 20, delivered[-1]
    await recorded.recorded_until(last_us)
    for to_us in (None, now_us() + 3600 * US):
        shown = await asyncio.to_thread(read_clip, await clip(recorded, request(delivered[first], to_us)))
        captured = [frame.captured_us for _, frame in shown if frame is not None]
        assert captured == delivered[first : first + len(captured)] and captured[-1] >= last_us - US


@pytest.mark.asyncio(loop_scope="module")
async def test_commands_and_status_are_those_of_the_recorder(recorded: Machine) -> None:
    client = recorded.parent.video()
    command = dict_to_struct({"command": "get-storage-state"})
    answer = struct_to_dict((await client.DoCommand(DoCommandRequest(name=VIDEO, command=command))).result)
    assert str(recorded.storage) in str(answer) and answer["command"] == "get-storage-state"

    async def is_recording() -> bool:
        status = struct_to_dict((await client.GetStatus(GetStatusRequest(name=VIDEO))).result)
        return status["recording"] is True

    await recorded.until(is_recording)  # it is not while a busy machine keeps the camera from sending
    with pytest.raises(GRPCError) as error:
        await client.DoCommand(DoCommandRequest(name=VIDEO, command=dict_to_struct({"command": "explode"})))
    assert_plain(error.value, "explode", "save")


async def test_what_is_followed_stays_close_to_the_camera_and_is_exact(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 8})
    await add_video(machine)
    await machine.record(4)
    delivered = machine.camera.delivered
    from_us = delivered[3] + 1
    to_us = now_us() + 10 * US
    data, close, behind_us = b"", False, 0
    async with watching_lateness() as late, machine.parent.video().GetVideo.open(timeout=60) as stream:
        await stream.send_message(request(from_us, to_us, extra={"follow": True}), end=True)
        async for chunk in stream:
            if close:
                behind_us = max(behind_us, delivered[-1] - from_us - await asyncio.to_thread(shown_us, data))
            data += chunk.video_data
            # The frame passes four processes.
            near_us = 1.5 * US + 4 * late.us
            close = close or delivered[-1] - from_us - await asyncio.to_thread(shown_us, data) < near_us
    check = check_clip(await asyncio.to_thread(read_clip, data), delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5, check
    assert now_us() >= to_us
    assert close and behind_us < 3 * US + 4 * late.us, "that is the promise"


def shown_us(data: bytes) -> int:
    """How much a player has to show of a stream that has come so far."""
    last = 0
    try:
        with av.open(io.BytesIO(data), format="mp4") as container:
            for packet in container.demux(video=0):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    last = int(packet.pts * packet.time_base * US)
    except (av.error.FFmpegError, IndexError):
        return last
    return last


async def test_a_recorder_that_is_absent_or_comes_back_is_found_at_each_request(machine: Machine) -> None:
    await add_video(machine)
    error = await refused(machine, request(now_us() - US, None))
    assert error.status is Status.UNAVAILABLE
    assert_plain(error, NAME, "recorder")
    await machine.add()
    await machine.record(3)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    assert await clip(machine, request(from_us, from_us + US))
    await machine.parent.reconfigure(NAME, machine.attributes(framerate=20))
    assert await clip(machine, request(from_us, from_us + US))
    await machine.parent.remove(NAME)
    assert (await refused(machine, request(from_us, from_us + US))).status is Status.UNAVAILABLE
    await machine.parent.remove(VIDEO)
    assert (await refused(machine, request(from_us, from_us + US))).status is Status.NOT_FOUND


async def test_a_service_may_have_a_recorder_of_its_own_without_a_data_manager(machine: Machine) -> None:
    await add_video(machine, **machine.attributes(sync=None))
    await machine.record(4)
    from_us = machine.camera.delivered[1]

    async def stored() -> bool:
        try:
            shown = await asyncio.to_thread(read_clip, await clip(machine, request(from_us, from_us + 2 * US)))
        except GRPCError:
            return False
        return check_clip(shown, machine.camera.delivered, from_us, from_us + 2 * US).flawless

    await machine.until(stored)
    status = struct_to_dict((await machine.parent.video().GetStatus(GetStatusRequest(name=VIDEO))).result)
    assert status["recording"] is True and "upload_trouble" not in status
    changed = {**machine.attributes(sync=None), "framerate": 10}
    await machine.parent.reconfigure(VIDEO, changed)
    assert await clip(machine, request(from_us, from_us + US))
    await assert_terminates_in_time(machine)
    assert not machine.parent.leftovers()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, ["recorder", "storage"]),
        ({"recorder": 7}, ["recorder", "7", "name of a recorder"]),
        ({"recorder": NAME, "camera": "cam", "storage": {"size_gb": 1}}, ["recorder", NAME, "camera", "storage"]),
        ({"storage": {"size_gb": -1}}, ["storage.size_gb", "-1"]),
    ],
)
async def test_a_wrong_config_is_refused_with_a_plain_sentence(
    machine: Machine, attributes: dict[str, Any], words: list[str]
) -> None:
    machine.parent.videos.add(VIDEO)
    with pytest.raises(GRPCError) as error:
        await machine.parent.validate(VIDEO, attributes)
    assert error.value.status is Status.INVALID_ARGUMENT
    assert_plain(error.value, *words)


async def test_its_recorder_is_an_optional_dependency_and_unknown_attributes_are_named(machine: Machine) -> None:
    machine.parent.videos.add(VIDEO)
    required, optional = await machine.parent.validate(VIDEO, {"recorder": f"rdk:component:camera/{NAME}"})
    assert not required and optional == [NAME]
    await machine.parent.add(VIDEO, {"recorder": NAME, "recordr": 1})
    await machine.until(lambda: any("recordr" in line.message for line in machine.parent.logs))


async def test_a_client_that_goes_away_ends_the_work(machine: Machine) -> None:
    await machine.add()
    await add_video(machine)
    await machine.record(3)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    before = len(machine.parent.children())
    async with machine.parent.video().GetVideo.open(timeout=60) as stream:
        await stream.send_message(request(from_us, None, extra={"follow": True}), end=True)
        assert (await received(stream)).video_data
        await stream.cancel()
    await machine.until(lambda: len(machine.parent.children()) <= before and not list(machine.storage.glob(".cuts/*")))


@pytest.mark.parametrize("closed", [NAME, VIDEO])
async def test_a_recorder_or_a_service_that_is_closed_ends_a_stream_with_an_error(
    machine: Machine, closed: str
) -> None:
    await machine.add()
    await add_video(machine)
    await machine.record(3)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    with pytest.raises(GRPCError) as error:
        async with machine.parent.video().GetVideo.open(timeout=60) as stream:
            await stream.send_message(request(from_us, None, extra={"follow": True}), end=True)
            assert (await received(stream)).video_data
            await machine.parent.remove(closed)
            data = b"".join([one.video_data async for one in stream])
    assert_plain(error.value, "closed")
    assert data.endswith(b"mdat"), "it would look whole where a server on the way hides the error"


async def test_so_many_at_once_and_the_next_is_told_to_come_back(machine: Machine) -> None:
    await machine.add()
    await add_video(machine)
    await machine.record(3)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    streams = []
    for _ in range(8):
        stream = machine.parent.video().GetVideo.open(timeout=120)
        await stream.__aenter__()
        await stream.send_message(request(from_us, None, extra={"follow": True}), end=True)
        assert (await received(stream)).video_data
        streams.append(stream)
    error = await refused(machine, request(from_us, from_us + US))
    assert error.status is Status.RESOURCE_EXHAUSTED
    assert_plain(error, "8")
    assert (await machine.status())["recording"] is True
    await streams.pop().cancel()
    assert await clip(machine, request(from_us, from_us + US))
    for stream in streams:
        await stream.cancel()
