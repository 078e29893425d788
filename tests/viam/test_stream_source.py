"""A recorder that pulls the camera's own stream, from a camera that speaks RTSP over a socket."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from PIL import Image
from viam.components.camera import Camera
from viam.errors import ViamGRPCError
from viam.proto.app.robot import ComponentConfig
from viam.utils import dict_to_struct

from scripts.fakes.painted_camera import read_clip, read_paint
from tests.support.child_processes import running_children, shown_by
from tests.support.guarded_camera import PASSWORD, RtspCamera
from tests.support.lateness import watching_lateness
from tests.support.recording import SMALL, START_US, US, until
from tests.support.scripted_camera import ScriptedCamera, answer
from videostore.base.errors import ConfigError
from videostore.base.time_format import format_utc_microseconds
from videostore.media.fmp4 import read_fragments
from videostore.viam.camera import StorageCamera

Attributes = dict[str, Any]
Add = Callable[..., Awaitable[StorageCamera]]


@pytest.fixture
async def rtsp() -> AsyncIterator[RtspCamera]:
    camera = RtspCamera()
    await camera.start()
    yield camera
    await camera.stop()


@pytest.fixture
def attributes(tmp_path: Path, rtsp: RtspCamera) -> Attributes:
    """The attributes of a resource that records the stream."""
    storage = {
        "size_gb": 1,
        "storage_path": str(tmp_path / "storage"),
        "upload_path": str(tmp_path / "upload"),
        "segment_seconds": 1,
    }
    return {"source": rtsp.url, "sync": "data-manager", "storage": storage}


@pytest.fixture
async def add(attributes: Attributes) -> AsyncIterator[Add]:
    """Adds a resource; it is closed at the end."""
    added: list[StorageCamera] = []

    async def add(beside: Camera | None = None, **changes: Any) -> StorageCamera:
        found = {Camera.get_resource_name(beside.name): beside} if beside is not None else {}
        resource = StorageCamera.new(config(attributes | changes), found)
        added.append(resource)
        await resource.start()
        return resource

    yield add
    for resource in added:
        await resource.close()


def config(attributes: Attributes) -> ComponentConfig:
    return ComponentConfig(name="store", attributes=dict_to_struct(attributes))


async def status_of(resource: StorageCamera, condition: Callable[[Any], object]) -> Any:
    """The first status that meets a condition."""
    found: list[Any] = []

    async def look() -> None:
        while not condition(status := await resource.get_status()):  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.02)
        found.append(status)

    await asyncio.wait_for(look(), 150)
    return found[0]


async def frames_recorded(resource: StorageCamera, rtsp: RtspCamera, count: int) -> None:
    """Wait until so many further frames were sent, and the newest of them is recorded."""
    await status_of(resource, lambda status: status["recording"])
    goal = len(rtsp.delivered) + count
    await until(lambda: len(rtsp.delivered) >= goal)
    await status_of(resource, lambda status: status["recording"] and status.get("last_frame_age_s", 9) < 1)


def stored(directory: Path) -> list[int]:
    """The times that are painted into what is recorded, in order."""
    shown = [frame for path in sorted(directory.glob("*.mp4")) for _, frame in read_clip(path)]
    return [frame.captured_us for frame in shown if frame]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
async def test_a_stream_is_recorded_as_it_comes_with_every_frame_at_its_time(
    add: Add, rtsp: RtspCamera, tmp_path: Path, codec: str
) -> None:
    rtsp.codec = codec
    async with watching_lateness() as late:
        resource = await add()
        await frames_recorded(resource, rtsp, 50)
        await resource.close()
    painted = stored(tmp_path / "storage")
    assert painted == rtsp.delivered[: len(painted)] and len(painted) >= 40
    dated = [t for path in sorted((tmp_path / "storage").glob("*.mp4")) for t in read_fragments(path).times_us]
    off_us = sorted(ours - true for ours, true in zip(dated, painted, strict=True))
    assert off_us[0] > -100_000 and off_us[len(off_us) // 2] < 200_000 + late.us


async def test_naming_a_codec_encodes_the_stream(add: Add, rtsp: RtspCamera, tmp_path: Path) -> None:
    rtsp.codec = "hevc"
    resource = await add(video={"codec": "h264", "preset": "ultrafast"})
    await frames_recorded(resource, rtsp, 20)
    await resource.close()
    paths = sorted((tmp_path / "storage").glob("*.mp4"))
    assert paths and all(b"avc1" in path.read_bytes() for path in paths)


@pytest.mark.parametrize(
    ("method", "status", "told"),
    [
        ("DESCRIBE", "404 Not Found", "it has no such stream (404)"),
        ("PLAY", "454 Session Not Found", "it has ended the session (454)"),
        ("DESCRIBE", "401 Unauthorized", "the user name or the password is missing or wrong (401)"),
    ],
)
async def test_a_camera_that_refuses_is_a_gap_with_its_reason_and_recording_resumes(
    add: Add, rtsp: RtspCamera, method: str, status: str, told: str
) -> None:
    resource = await add()
    await frames_recorded(resource, rtsp, 5)
    rtsp.refused_method, rtsp.refusal = method, status
    await rtsp.drop()
    found = await status_of(resource, lambda status: told in status["reason"])
    assert not found["recording"] and found["reason"].startswith("the input rtsp://…@127.0.0.1")
    rtsp.refusal = ""
    await frames_recorded(resource, rtsp, 5)


async def test_a_camera_that_is_not_there_yet_and_one_that_is_rebooted_are_recorded(add: Add, rtsp: RtspCamera) -> None:
    await rtsp.stop()
    resource = await add()
    await status_of(resource, lambda status: "it refuses the connection" in status["reason"])
    with pytest.raises(ViamGRPCError) as refused:
        await resource.get_images()
    assert re.fullmatch(r"No image yet: the input .* failed: it refuses the connection\.", refused.value.message)
    for _ in range(2):
        await rtsp.start()
        await frames_recorded(resource, rtsp, 5)
        await rtsp.stop()
        await status_of(resource, lambda status: "it refuses the connection" in status["reason"])


async def test_a_camera_that_falls_silent_is_a_gap_and_is_recorded_again(add: Add, rtsp: RtspCamera) -> None:
    resource = await add()
    await frames_recorded(resource, rtsp, 5)
    rtsp.sending.clear()
    await status_of(resource, lambda status: "no frame for 4.5 s" in status["reason"])
    rtsp.sending.set()
    await frames_recorded(resource, rtsp, 5)


async def test_another_size_begins_a_run_in_the_same_stream(add: Add, rtsp: RtspCamera, tmp_path: Path) -> None:
    resource = await add()
    await frames_recorded(resource, rtsp, 10)
    rtsp.size = (192, 160)
    await frames_recorded(resource, rtsp, 30)
    properties = await resource.get_properties()
    size = properties.intrinsic_parameters
    assert (size.width_px, size.height_px) == rtsp.size
    await resource.close()
    found = [read_fragments(path) for path in sorted((tmp_path / "storage").glob("*.mp4"))]
    sizes = [(one.width, one.height) for one in found]
    assert sizes[0] == SMALL and sizes[-1] == rtsp.size and sizes == sorted(sizes)


async def test_another_codec_after_a_reboot_is_taken_as_it_comes_too(
    add: Add, rtsp: RtspCamera, tmp_path: Path
) -> None:
    resource = await add()
    await frames_recorded(resource, rtsp, 10)
    rtsp.codec = "hevc"
    await rtsp.drop()
    await frames_recorded(resource, rtsp, 30)
    await resource.close()
    paths = sorted((tmp_path / "storage").glob("*.mp4"))
    assert b"avc1" in paths[0].read_bytes() and b"hvc1" in paths[-1].read_bytes()


async def test_the_newest_keyframe_is_shown_when_it_is_asked_for(add: Add, rtsp: RtspCamera) -> None:
    resource = await add()
    await frames_recorded(resource, rtsp, 5)
    (image,), metadata = await resource.get_images()
    picture = Image.open(io.BytesIO(image.data))
    assert (picture.format, picture.size) == ("JPEG", SMALL)
    paint = read_paint(numpy.asarray(picture.convert("L")))
    assert paint is not None and paint.captured_us in rtsp.delivered
    assert abs(metadata.captured_at.ToMicroseconds() - paint.captured_us) < US
    assert (await resource.get_images(filter_source_names=["depth"]))[0] == []


async def test_a_camera_beside_the_stream_serves_the_images_and_does_not_interrupt_the_recording(
    add: Add, rtsp: RtspCamera, attributes: Attributes
) -> None:
    images, metadata = answer(START_US)
    camera = ScriptedCamera((images, metadata))
    resource = await add(camera, camera="cam")
    assert await resource.get_images() == (images, metadata)
    await frames_recorded(resource, rtsp, 5)
    assert resource.adopt(config(attributes | {"camera": "cam"}), {})  # the camera has gone
    (image,), _ = await resource.get_images()
    assert Image.open(io.BytesIO(image.data)).size == SMALL
    assert not resource.adopt(config(attributes), {})


async def test_the_password_is_nowhere(
    add: Add, rtsp: RtspCamera, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    resource = await add(source_options={"rtsp_transport": "tcp", "user_agent": f"token={PASSWORD}"})
    resource.logger.setLevel(logging.DEBUG)
    await frames_recorded(resource, rtsp, 5)
    shown = shown_by(running_children())
    assert "concat" in shown
    await status_of(resource, lambda status: status["stored_segments"])
    begin, end = (format_utc_microseconds(rtsp.delivered[at]) for at in (3, 9))
    fetched = await resource.do_command({"command": "fetch", "from": begin, "to": end})
    rtsp.refusal = "404 Not Found"
    await rtsp.drop()
    shown.append(str(await status_of(resource, lambda status: "(404)" in status["reason"])))
    await resource.close()
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 1
    assert not [text for text in [*shown, caplog.text] if PASSWORD in text]
    assert not [data for data in [*files, base64.b64decode(fetched["video"])] if PASSWORD.encode() in data]


@pytest.mark.parametrize(
    ("changes", "attribute"),
    [
        ({"source": "/tmp/film.mp4"}, "source"),
        ({"source": "film.mp4"}, "source"),
        ({"source": "file:/tmp/film.mp4"}, "source"),
        ({"source": "concat:a|b"}, "source"),
        ({"source": "pipe:0"}, "source"),
        ({"source": f"ftp://admin:{PASSWORD}@host/film.mp4"}, "source"),
        ({"source_options": {"i": "film.mp4"}}, "source_options"),
        ({"source": "testsrc", "source_options": {"f": "lavfi"}}, "source_options.f"),
        ({"source": f"http://admin:{PASSWORD}@host/live/index.m3u8?x=1"}, "source"),
        ({"source": "https://host/manifest.MPD"}, "source"),
        ({"source": "http://host/live", "source_options": {"f": "hls"}}, "source_options.f"),
    ],
)
def test_what_is_no_stream_and_no_device_is_refused_without_its_password(
    attributes: Attributes, changes: Attributes, attribute: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        StorageCamera.validate_config(config(attributes | changes))
    assert refused.value.attribute == attribute
    assert PASSWORD not in f"{refused.value} {refused.value.fields}"


@pytest.mark.parametrize("source", ["rtsp://host/x", "/dev/video7", "http://host/video.mjpg", "srt://host:9000"])
def test_streams_and_devices_are_accepted_whether_they_are_there_or_not(attributes: Attributes, source: str) -> None:
    assert StorageCamera.validate_config(config(attributes | {"source": source})) == ([], ["data-manager"])


async def test_an_option_that_ffmpeg_does_not_have_is_refused_by_its_name(add: Add) -> None:
    with pytest.raises(ViamGRPCError) as refused:
        await add(source_options={"rtsp_transport": "tcp", "rtsp_transprot": "hidden-value"})
    sentence = str(refused.value)
    assert "source_options contains 'rtsp_transprot'" in sentence and "such as rtsp_transport" in sentence
    assert "hidden-value" not in sentence


@pytest.mark.parametrize("value", ["pigeon", True])
async def test_a_value_that_cannot_be_right_is_refused_with_those_that_are(add: Add, value: object) -> None:
    with pytest.raises(ViamGRPCError) as refused:
        await add(source_options={"rtsp_transport": value})
    assert "source_options.rtsp_transport is" in (sentence := str(refused.value)) and "udp, tcp" in sentence


async def test_a_value_that_only_ffmpeg_can_judge_is_the_reason_of_the_gap(add: Add) -> None:
    resource = await add(source_options={"min_port": 99999})
    await status_of(resource, lambda status: "has a value that this ffmpeg does not take" in status["reason"])
