"""The module from outside: a real process on a real socket, as viam-server starts and ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import psutil
import pytest
from grpclib import GRPCError
from grpclib.client import Channel
from viam.proto.module import ModuleServiceStub, ReadyRequest

from scripts.painted_camera import PaintedCamera, check_clip, read_clip
from scripts.parent import ROOT, Parent
from tests.machine import NAME, US, Machine, exact, now_us, run_machine


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    async with run_machine(tmp_path) as machine:
        yield machine


# Configuration


async def test_the_camera_and_the_data_manager_are_returned_as_dependencies(machine: Machine) -> None:
    required, optional = await machine.parent.validate(NAME, machine.attributes())
    assert sorted(required) == ["cam", "data-manager"] and not optional


async def test_a_config_that_fills_in_depends_on_works_too(machine: Machine) -> None:
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
    _assert_plain(refused.value, *words)


async def test_sync_must_be_a_data_manager(tmp_path: Path) -> None:
    camera = PaintedCamera("cam", width=320, height=180)
    async with Parent([camera], data_manager="dm", others=["rdk:component:camera/not-a-manager"]) as parent:
        await parent.start_module()
        machine = Machine(parent, camera, tmp_path)
        with pytest.raises(GRPCError) as refused:
            await machine.add(sync="not-a-manager")
        _assert_plain(refused.value, "sync", "not-a-manager", "data manager")


async def test_an_encoder_that_ffmpeg_lacks_is_refused_and_those_that_it_has_are_listed(machine: Machine) -> None:
    with pytest.raises(GRPCError) as refused:
        await machine.add(video={"codec": "h264_teapot"})
    _assert_plain(refused.value, "video.codec", "h264_teapot", "libx264", "libx265")
    await machine.add()  # the failed attempt left nothing behind


async def test_unknown_attributes_are_warned_about_and_not_refused(machine: Machine) -> None:
    await machine.add(frame_rate=5)
    await machine.until(lambda: any("frame_rate" in line.message for line in machine.parent.logs))


# Recording and its commands


async def test_it_records_and_answers_every_command(machine: Machine) -> None:
    await machine.add()
    await machine.record(5)
    camera, delivered = machine.parent.camera(NAME), machine.camera.delivered
    to_us = delivered[-1] - 2 * US
    from_us = to_us - 2 * US

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
    answer = await machine.command("save", from_us=from_us, to_us=to_us, metadata=comment, tags=["b", "a"])
    assert sorted(answer) == ["command", "filename"]
    clip = machine.upload / "tag=a" / "tag=b" / answer["filename"]
    assert answer["filename"].startswith(f"{NAME}_") and "/" not in answer["filename"] and clip.exists()
    with av.open(str(clip)) as container:
        assert container.metadata["comment"] == comment
    check = check_clip(read_clip(clip), delivered, from_us, to_us)
    assert check.flawless and check.drift_ms < 5
    assert not list(machine.upload.rglob("*.prog"))

    images, metadata = await camera.get_images()
    assert images[0].data[:2] == b"\xff\xd8" and len(images) == 1
    assert abs(metadata.captured_at.ToMicroseconds() - now_us()) < 2 * US
    properties = await camera.get_properties()
    assert properties.intrinsic_parameters.width_px == 320 and not properties.supports_pcd
    status = await machine.status()
    assert status["recording"] is True and status["frames_per_second"] > 10 and status["last_frame_age_s"] < 2
    assert status["open_segment"] and status["ffmpeg_restarts"] == 0 and status["stored_bytes"] > 0
    with pytest.raises(GRPCError) as refused:
        await camera.get_point_cloud()
    _assert_plain(refused.value, "point cloud")


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
async def test_a_wrong_command_gets_one_plain_sentence(recorded: Machine, command: Any, words: list[str]) -> None:
    with pytest.raises(GRPCError) as refused:
        await recorded.parent.camera(NAME).do_command(command)
    _assert_plain(refused.value, *words)


@pytest.fixture
async def recorded(machine: Machine) -> Machine:
    await machine.add()
    await machine.record(2)
    await machine.recorded_until(machine.camera.delivered[0] + US)
    return machine


async def test_an_async_save_up_to_now_is_there_within_three_seconds(machine: Machine) -> None:
    """At the default segment length of 30 s: it waits neither for the segment's end nor for a fixed time."""
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(3)
    began, to_us = time.monotonic(), now_us()
    answer = await machine.command("save", **{"from_us": to_us - 2 * US, "to_us": to_us, "async": True})
    assert answer == {"command": "save", "filename": answer["filename"], "status": "async"}
    assert time.monotonic() - began < 0.5
    clip = machine.upload / answer["filename"]
    await machine.until(clip.exists, 10)
    assert time.monotonic() - began < 3
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
    _assert_plain(refused.value, "camera")
    assert machine.camera.requests == requests and not machine.parent.children()


@pytest.mark.parametrize("mime", ["image/png", "image/vnd.viam.rgba"])
async def test_other_kinds_of_pictures_are_recorded_as_exactly(machine: Machine, mime: str) -> None:
    machine.camera.mime = mime
    await machine.add()
    await machine.record(4)
    from_us = machine.camera.delivered[0]
    check, _ = await machine.fetch(from_us, from_us + 2 * US)
    assert check.flawless and check.drift_ms < 5


async def test_h265_is_recorded_as_exactly(machine: Machine) -> None:
    await machine.add(video={"codec": "h265"})
    await machine.record(5)
    from_us = machine.camera.delivered[3] + 1
    check, answer = await machine.fetch(from_us, from_us + 3 * US)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer


async def test_the_source_is_chosen_by_its_name_and_else_the_first(tmp_path: Path) -> None:
    async with run_machine(tmp_path, width=640, height=360, sources=("color", "depth")) as machine:
        await machine.add(source_name="depth")
        await machine.record(1)
        properties = await machine.parent.camera(NAME).get_properties()
        assert properties.intrinsic_parameters.width_px == 320
        await machine.parent.reconfigure(NAME, machine.attributes())
        await machine.record(1)
        properties = await machine.parent.camera(NAME).get_properties()
        assert properties.intrinsic_parameters.width_px == 640


async def test_a_camera_that_is_slower_than_the_frame_rate_is_recorded_as_it_is(tmp_path: Path) -> None:
    async with run_machine(tmp_path, interval=lambda: 0.7) as machine:
        await machine.add()
        await machine.record(7)
        delivered = machine.camera.delivered
        check, answer = await machine.fetch(delivered[0], delivered[-1] - 2 * US)
        assert check.flawless and check.drift_ms < 5 and "ranges" not in answer
        assert len((await machine.command("get-storage-state"))["stored_video"]) == 1


# Faults


@pytest.mark.parametrize("fault", ["error", "hang", "empty", "garbage", "truncated", "frozen"])
async def test_a_camera_fault_makes_a_gap_and_recording_resumes_with_the_first_good_frame(
    machine: Machine, fault: str
) -> None:
    await machine.add()
    await machine.record(2.5)
    machine.camera.fault = fault
    await asyncio.sleep(4)
    assert (await machine.status())["recording"] is False
    assert "cam" in (await machine.status())["reason"]
    last_before, count = machine.camera.delivered[-1], len(machine.camera.delivered)
    machine.camera.fault = None
    await machine.record(4)
    first_after = machine.camera.delivered[count]
    from_us, to_us = machine.camera.delivered[5], first_after + US
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless, check
    before, after = answer["ranges"]
    assert before["to"] <= exact(last_before + US)[:23] + "Z" and after["from"] == exact(first_after)[:23] + "Z"
    with av.open(str(min(machine.storage.glob("*.mp4")))) as container:  # no picture stood still
        assert container.duration is not None and container.duration < 2.5 * US


async def test_a_change_of_picture_size_begins_a_new_run_and_a_clip_holds_both(machine: Machine) -> None:
    await machine.add()
    await machine.record(2.5)
    count = len(machine.camera.delivered)
    machine.camera.width, machine.camera.height = 640, 360
    await machine.record(4)
    from_us, to_us = machine.camera.delivered[2], machine.camera.delivered[count] + US
    answer = await machine.command("save", from_us=from_us, to_us=to_us)
    shown = read_clip(machine.upload / answer["filename"], painted=[(320, 180)])
    check = check_clip(shown, machine.camera.delivered, from_us, to_us)
    assert check.flawless, check
    assert check.drift_ms < 60  # a run's last frame has a guessed length


async def test_ffmpeg_killed_in_mid_segment_is_replaced_and_little_is_lost(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(4)
    killed_us = now_us()
    for child in machine.parent.children():
        child.kill()
    await machine.record(4)
    status = await machine.status()
    assert status["recording"] is True and status["ffmpeg_restarts"] == 1
    check, _ = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless, check
    check, _ = await machine.fetch(killed_us + 2 * US, killed_us + 3 * US)
    assert check.flawless, check


async def test_after_sigkill_everything_older_than_two_seconds_can_be_fetched(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(6)
    killed_us = now_us()
    await machine.parent.kill()
    assert [path.suffix for path in machine.storage.iterdir() if path.stem[0].isdigit()] == [".open"]
    await machine.parent.start_module()
    await machine.add(camera=None)
    await machine.recorded_until(killed_us - 2 * US)
    check, answer = await machine.fetch(machine.camera.delivered[0], killed_us - 2 * US)
    assert check.flawless and check.drift_ms < 5 and "ranges" not in answer


# The end


async def test_sigterm_finishes_the_segment_and_leaves_no_process_within_three_seconds(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(3)
    ended_us = now_us()
    children = machine.parent.children()
    assert len(children) == 1
    assert await machine.parent.terminate() < 3
    assert not machine.parent.leftovers()
    assert not list(machine.storage.glob("*.open")) and len(list(machine.storage.glob("*.mp4"))) == 1
    await machine.parent.start_module()
    await machine.add(camera=None)
    from_us, to_us = machine.camera.delivered[0], ended_us - 100_000
    check, answer = await machine.fetch(from_us, to_us)
    assert check.flawless and "ranges" not in answer  # up to the last picture, not to the last keyframe


async def test_remove_and_reconfigure_finish_the_segment_and_leave_no_ffmpeg(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(2)
    began = time.monotonic()
    await machine.parent.reconfigure(
        NAME, machine.attributes(video={"bitrate": 500_000}, storage={"segment_seconds": 30})
    )
    assert time.monotonic() - began < 3
    await machine.record(2)
    assert len(machine.parent.children()) == 1
    await machine.parent.remove(NAME)
    assert not machine.parent.children()
    assert len(list(machine.storage.glob("*.mp4"))) == 2 and not list(machine.storage.glob("*.open"))


async def test_the_module_ends_in_order_when_its_parent_is_gone(tmp_path: Path) -> None:
    """Nobody tells it: a parent of its own is killed here, with everything that it serves."""
    script = tmp_path / "parent_script.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from tests.machine import run_machine\n"
        "async def main():\n"
        "    async with run_machine(Path(sys.argv[1])) as machine:\n"
        "        await machine.add()\n"
        "        await machine.record(2)\n"
        "        print(machine.parent.process.pid, machine.parent.directory, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        str(tmp_path),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert parent.stdout is not None
    pid, directory = (await asyncio.wait_for(parent.stdout.readline(), 30)).decode().split()
    module = psutil.Process(int(pid))
    processes = [module, *module.children(recursive=True)]
    assert len(processes) == 2
    parent.kill()
    await parent.wait()
    try:
        _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 3)
        assert not alive
        assert not list((tmp_path / "storage").glob("*.open")) and list((tmp_path / "storage").glob("*.mp4"))
    finally:
        for process in processes:
            if process.is_running():
                process.kill()
        for leftover in Path(directory).iterdir():
            if leftover.is_socket():
                leftover.unlink()
        import shutil

        shutil.rmtree(directory)


async def test_a_second_sigterm_does_not_cut_the_first_one_short(machine: Machine) -> None:
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(2)
    os.killpg(machine.parent.process.pid, signal.SIGTERM)
    assert await machine.parent.terminate() < 3
    assert len(list(machine.storage.glob("*.mp4"))) == 1 and not machine.parent.leftovers()


async def test_it_serves_on_tcp_when_told_to(machine: Machine) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "videostore", f"127.0.0.1:{port}", "--tcp-mode", "--log-level=WARNING", cwd=ROOT,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = None
        for _ in range(200):
            channel = Channel("127.0.0.1", port)
            try:
                request = ReadyRequest(parent_address=str(machine.parent.socket))
                ready = await ModuleServiceStub(channel).Ready(request, timeout=10)
                break
            except OSError:
                await asyncio.sleep(0.05)
            finally:
                channel.close()
        assert ready is not None and ready.ready
        assert [str(m) for handler in ready.handlermap.handlers for m in handler.models] == ["viam:video:storage"]
    finally:
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 5) == 0


# Quota and logs


async def test_the_oldest_segments_are_deleted_beyond_the_quota(machine: Machine) -> None:
    await machine.add()
    await machine.record(9)
    sizes = {path.name: path.stat().st_size for path in machine.storage.glob("*.mp4")}
    assert len(sizes) >= 3
    await machine.parent.remove(NAME)
    stored = sorted(machine.storage.glob("*.mp4"))
    keep = sum(path.stat().st_size for path in stored[-2:])
    await machine.add(camera=None, storage={"size_gb": (keep + 1) / 2**30})
    await machine.until(lambda: sorted(machine.storage.glob("*.mp4")) == stored[-2:])
    used = (await machine.command("get-storage-state"))["disk_usage"]["storage_used_gb"]
    assert used * 2**30 == pytest.approx(keep)


async def test_the_log_holds_sentences_of_ffmpeg_at_their_level_but_no_banner_and_no_statistics(
    machine: Machine,
) -> None:
    await machine.add()
    await machine.record(3)
    await machine.parent.remove(NAME)
    said = "\n".join(line.message for line in machine.parent.logs) + "\n".join(machine.parent.module_output)
    assert "Recording 320x180" in said
    for noise in ("configuration:", "built with", "frame=", "Stream #", "ffmpeg version", "Traceback"):
        assert noise not in said


def _assert_plain(error: GRPCError, *words: str) -> None:
    message = error.message or ""
    for word in words:
        assert word in message, message
    for noise in ("Traceback", "file_name", "Error(", "<class", ".py", "func_name", "None -"):
        assert noise not in message, message
    assert "\n" not in message and message.endswith(".")


async def test_sigterm_is_obeyed_in_three_seconds_although_ffmpeg_is_stuck(machine: Machine) -> None:
    machine.camera.width, machine.camera.height = 1280, 720
    await machine.add(storage={"segment_seconds": 30})
    await machine.record(2)
    (ffmpeg,) = machine.parent.children()
    ffmpeg.suspend()
    await machine.record(2)  # the pipe fills
    assert await machine.parent.terminate() < 3
    assert not machine.parent.leftovers()


async def test_a_reconfigure_in_the_midst_of_requests_ends_them_and_hangs_nowhere(machine: Machine) -> None:
    await machine.add()
    await machine.record(4)
    from_us = machine.camera.delivered[0]
    requests = [
        asyncio.ensure_future(machine.command("save", from_us=from_us, to_us=from_us + 2 * US, metadata=str(number)))
        for number in range(12)
    ]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    await machine.parent.reconfigure(NAME, machine.attributes())
    assert time.monotonic() - began < 3
    for outcome in await asyncio.gather(*requests, return_exceptions=True):
        if isinstance(outcome, BaseException):
            assert isinstance(outcome, GRPCError)
            _assert_plain(outcome, "closed")
        else:
            clip = machine.upload / outcome["filename"]
            assert check_clip(read_clip(clip), machine.camera.delivered, from_us, from_us + 2 * US).flawless
    assert not list(machine.upload.rglob("*.prog"))
    await machine.record(1)
    assert (await machine.status())["recording"] is True


async def test_two_components_on_one_storage_path_are_refused_and_the_first_goes_on(machine: Machine) -> None:
    await machine.add()
    await machine.record(1)
    with pytest.raises(GRPCError) as refused:
        await machine.parent.add("second", machine.attributes())
    _assert_plain(refused.value, "storage.storage_path", "another recorder")
    await machine.record(1)
    assert (await machine.status())["recording"] is True
