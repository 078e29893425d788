"""The module from outside: a real process on a real socket, which viam-server starts and stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
import pytest_asyncio
from grpclib import GRPCError, Status

from scripts.fakes.painted_camera import check_clip, read_clip
from scripts.fakes.viam_server import Parent
from tests.support.machine import NAME, US, Machine, assert_plain, exact, now_us, run_machine, small_camera

# Configuration


async def test_the_camera_and_the_data_manager_are_returned_as_optional_dependencies(machine: Machine) -> None:
    required, optional = await machine.parent.validate(NAME, machine.attributes())
    assert sorted(optional) == ["cam", "data-manager"] and not required


async def test_a_config_with_depends_on_works_too(machine: Machine) -> None:
    await machine.parent.add(NAME, machine.attributes(), depends_on=["cam", "data-manager"])
    await machine.until(lambda: machine.camera.delivered)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sync": None}, ["sync"]),
        ({"storage": {"size_gb": None}}, ["storage.size_gb"]),
        ({"storage": {"size_gb": -3}}, ["storage.size_gb", "-3"]),
        ({"video": {"preset": "warp"}}, ["video.preset", "warp", "ultrafast"]),
        ({"framerate": "fast"}, ["framerate", "fast"]),
    ],
)
async def test_a_wrong_attribute_is_refused_with_a_plain_sentence(
    machine: Machine, changes: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(GRPCError) as refused:
        await machine.parent.validate(NAME, machine.attributes(**changes))
    assert_plain(refused.value, *words)


async def test_sync_must_be_a_data_manager(tmp_path: Path) -> None:
    camera = small_camera()
    async with Parent([camera], data_manager="dm", others=["rdk:component:camera/not-a-manager"]) as parent:
        machine = Machine(parent, camera, tmp_path)
        await machine.start_module()
        with pytest.raises(GRPCError) as refused:
            await machine.add(sync="not-a-manager")
        assert_plain(refused.value, "sync", "not-a-manager", "data manager")


async def test_an_encoder_that_ffmpeg_lacks_is_refused_and_the_available_ones_are_listed(machine: Machine) -> None:
    with pytest.raises(GRPCError) as refused:
        await machine.add(video={"codec": "h264_teapot"})
    assert_plain(refused.value, "video.codec", "h264_teapot", "libx264", "libx265")
    await machine.add()  # the failed attempt left no lock behind


async def test_unknown_attributes_cause_a_warning_but_no_error(machine: Machine) -> None:
    await machine.add(frame_rate=5)
    await machine.until(lambda: any("frame_rate" in line.message for line in machine.parent.logs))


# Recording and its commands


async def test_it_records_and_responds_to_every_command(machine: Machine) -> None:
    machine.camera.interval = lambda: 1 / 20
    await machine.add()
    await machine.record(5)
    camera, delivered = machine.parent.camera(NAME), machine.camera.delivered
    to_us = delivered[-1] - 2 * US
    from_us = to_us - 2 * US
    await machine.recorded_until(to_us)

    state = await machine.command("get-storage-state")
    assert sorted(state) == ["command", "disk_usage", "stored_video"]
    (stored,) = state["stored_video"]
    assert stored["from"] == exact(delivered[0])[:19] + "Z"
    assert sorted(state["disk_usage"]) == [
        "device_storage_remaining_gb",
        "storage_limit_gb",
        "storage_path",
        "storage_used_gb",
    ]
    assert state["disk_usage"]["storage_limit_gb"] == 1 and state["disk_usage"]["storage_used_gb"] > 0

    comment = '{"event": "door/window", "id": 7}'
    response = await machine.command("save", from_us=from_us, to_us=to_us, metadata=comment, tags=["b", "a"])
    assert sorted(response) == ["command", "filename"]
    clip = machine.upload / "tag=a" / "tag=b" / response["filename"]
    assert response["filename"].startswith(f"{NAME}_") and "/" not in response["filename"] and clip.exists()
    with av.open(str(clip)) as container:
        assert container.metadata["comment"] == comment
    check = check_clip(read_clip(clip), delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5
    assert not list(machine.upload.rglob("*.prog"))

    asked_us = now_us()

    async def shows_what_came_since() -> bool:
        images, metadata = await camera.get_images()
        assert images[0].data[:2] == b"\xff\xd8" and len(images) == 1
        captured_us = metadata.captured_at.ToMicroseconds()
        assert captured_us in delivered
        return bool(captured_us > asked_us)

    await machine.until(shows_what_came_since)
    properties = await camera.get_properties()
    assert properties.intrinsic_parameters.width_px == 320 and not properties.supports_pcd

    async def is_recording() -> bool:
        status = await machine.status()
        return status["recording"] is True and status["last_frame_age_s"] < 2

    await machine.until(is_recording)  # it is not while a busy machine keeps the camera from sending
    status = await machine.status()
    sent_per_second = (len(delivered) - 1) * US / (delivered[-1] - delivered[0])
    assert status["frames_per_second"] > sent_per_second / 2
    assert status["open_segment"] and status["ffmpeg_restarts"] == 0 and status["stored_bytes"] > 0
    with pytest.raises(GRPCError) as refused:
        await camera.get_point_cloud()
    assert_plain(refused.value, "point cloud")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ({}, ["command", "save", "fetch", "get-storage-state"]),
        ({"command": "explode"}, ["explode", "save"]),
        ({"command": "save", "from": "2024-01-01_00-00-00"}, ["to", "YYYY-MM-DD_HH-MM-SS"]),
        ({"command": "fetch", "from": "yesterday", "to": "2024-01-01_00-00-00Z"}, ["parsing time", "yesterday", "Z"]),
        ({"command": "fetch", "from": "2024-01-02_00-00-00Z", "to": "2024-01-01_00-00-00Z"}, ["from", "to"]),
        ({"command": "save", "from": "2024-01-01_00-00-00Z", "to": "2200-01-01_00-00-00Z"}, ["future"]),
        ({"command": "fetch", "from": "2024-01-01_00-00-00Z", "to": "2024-01-01_00-01-00Z"}, ["range", "nearest"]),
        (
            {"command": "save", "from": "2024-01-01_00-00-00Z", "to": "2024-01-01_00-01-00Z", "tags": ["../x"]},
            ["tags", "../x"],
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_wrong_command_gets_one_plain_sentence(recorded: Machine, command: Any, words: list[str]) -> None:
    with pytest.raises(GRPCError) as refused:
        await recorded.parent.camera(NAME).do_command(command)
    assert_plain(refused.value, *words)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Machine]:
    """A machine that has recorded two seconds, for tests that change nothing."""
    async with run_machine(tmp_path_factory.mktemp("machine")) as machine:
        await machine.add()
        await machine.record(2)
        await machine.recorded_until(machine.camera.delivered[0] + US)
        yield machine


async def test_an_async_save_up_to_now_does_not_wait_for_the_end_of_the_segment(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 600})
    await machine.record(3)
    to_us = now_us()
    response = await machine.command("save", **{"from_us": to_us - 2 * US, "to_us": to_us, "async": True})
    assert response == {"command": "save", "filename": response["filename"], "status": "async"}
    clip = machine.upload / response["filename"]
    await machine.until(clip.exists)
    assert not list(machine.storage.glob("*.mp4")), "the segment has ended"
    check = check_clip(read_clip(clip), machine.camera.delivered, to_us - 2 * US, to_us)
    assert check.flawless, check


async def test_without_a_camera_nothing_is_recorded_and_all_commands_work(machine: Machine) -> None:
    await machine.add()
    await machine.record(4)
    await machine.parent.remove(NAME)
    requests = machine.camera.requests
    await machine.add(camera=None)
    from_us = machine.camera.delivered[0]
    check, _ = await machine.fetch(from_us, from_us + 3 * US)
    assert check.flawless
    assert (await machine.status())["recording"] is False
    assert (await machine.command("get-storage-state"))["stored_video"]
    assert (await machine.command("save", from_us=from_us, to_us=from_us + US))["filename"]
    with pytest.raises(GRPCError) as refused:
        await machine.parent.camera(NAME).get_images()
    assert_plain(refused.value, "camera")
    assert machine.camera.requests == requests and not machine.parent.children()


@pytest.mark.parametrize("mime", ["image/png", "image/vnd.viam.rgba"])
async def test_other_image_formats_are_recorded_exactly_too(machine: Machine, mime: str) -> None:
    machine.camera.mime = mime
    await machine.add()
    await machine.record(3)
    from_us = machine.camera.delivered[0]
    await machine.recorded_until(from_us + 2 * US)
    check, _ = await machine.fetch(from_us, from_us + 2 * US)
    assert check.flawless and check.drift_ms < 5


async def test_h265_is_recorded_exactly_too(machine: Machine) -> None:
    await machine.add(video={"codec": "h265"})
    await machine.record(4)
    from_us = machine.camera.delivered[3] + 1
    await machine.recorded_until(from_us + 3 * US)
    check, response = await machine.fetch(from_us, from_us + 3 * US)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in response


async def test_the_source_is_chosen_by_name_or_is_the_first(tmp_path: Path) -> None:
    async with run_machine(tmp_path, width=640, height=360, sources=("color", "depth")) as machine:
        await machine.add(source_name="depth")
        await machine.record(1)
        properties = await machine.parent.camera(NAME).get_properties()
        assert properties.intrinsic_parameters.width_px == 320
        await machine.parent.reconfigure(NAME, machine.attributes())
        await machine.record(1)
        properties = await machine.parent.camera(NAME).get_properties()
        assert properties.intrinsic_parameters.width_px == 640


async def test_a_camera_slower_than_the_frame_rate_is_recorded_at_its_own_pace(tmp_path: Path) -> None:
    async with run_machine(tmp_path, interval=lambda: 0.7) as machine:
        await machine.add()
        await machine.record(7)
        delivered = machine.camera.delivered
        from_us, to_us = delivered[0], delivered[-1] - 2 * US
        await machine.recorded_until(to_us)
        check, response = await machine.fetch(from_us, to_us)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in response
        assert len((await machine.command("get-storage-state"))["stored_video"]) == 1


# Quota and logs


async def test_the_oldest_segments_are_deleted_beyond_the_quota(machine: Machine) -> None:
    await machine.add()
    await machine.record(9)
    sizes = {path.name: path.stat().st_size for path in machine.storage.glob("*.mp4")}
    assert len(sizes) >= 3
    await machine.parent.remove(NAME)
    stored = sorted(machine.storage.glob("*.mp4"))
    keep = sum(path.stat().st_size for path in stored[-2:])
    # So few bits a second that two segments of a slow machine are more than the least quota.
    await machine.add(camera=None, storage={"size_gb": (keep + 1) / 2**30}, video={"bitrate": 100_000})
    await machine.until(lambda: sorted(machine.storage.glob("*.mp4")) == stored[-2:])
    used = (await machine.command("get-storage-state"))["disk_usage"]["storage_used_gb"]
    assert used * 2**30 == pytest.approx(keep)


async def test_the_log_has_messages_of_ffmpeg_but_no_banner_and_no_statistics(
    machine: Machine,
) -> None:
    await machine.add()
    await machine.record(3)
    await machine.parent.remove(NAME)
    log = "\n".join(line.message for line in machine.parent.logs) + "\n".join(machine.parent.module_output)
    assert "Recording 320x180" in log
    for noise in ("configuration:", "built with", "frame=", "Stream #", "ffmpeg version", "Traceback"):
        assert noise not in log


async def test_a_second_component_on_the_same_storage_path_is_refused_and_the_first_goes_on(machine: Machine) -> None:
    await machine.add()
    await machine.record(1)
    with pytest.raises(GRPCError) as refused:
        await machine.parent.add("second", machine.attributes())
    assert_plain(refused.value, "storage.storage_path", f"the recorder {NAME!r}")
    assert refused.value.status is Status.FAILED_PRECONDITION
    await machine.record(1)
    assert (await machine.status())["recording"] is True


async def test_a_gap_while_the_config_is_changed_is_named(machine: Machine) -> None:
    await machine.add()
    await machine.record(2)
    await machine.parent.remove(NAME)
    await machine.until(lambda: now_us() - machine.camera.delivered[-1] > US)
    await machine.add()
    gaps: list[dict[str, str]] = []

    async def noted() -> bool:
        gaps[:] = (await machine.command("get-storage-state")).get("gaps", [])
        return bool(gaps)

    await machine.until(noted)
    assert [one["reason"] for one in gaps] == ["the recorder was reconfigured"]
