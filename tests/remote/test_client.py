"""A machine through the SDK's client: a real module behind a stand-in for viam-server."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from grpclib import GRPCError, Status

from scripts.fakes.machine import ForwardedCamera, MachineServer
from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import each_value
from tests.support.connections import assert_sentence, until_closed
from tests.support.fake_recorder import FakeRecorder
from tests.support.machine import NAME, US, exact, now_us, run_machine
from tests.support.machine import Machine as Recording
from tests.support.packets import RESOLUTION_MS, same_frames
from videostore.base.errors import MachineError, NothingStoredError, RequestError, UnreadableRangeError, VideoStoreError
from videostore.cli.machine_options import Remote
from videostore.cli.state import state_of_machine
from videostore.remote.client import Machine
from videostore.store.reading import FETCH_LIMIT_BYTES

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORDED_S = 5
FAR_APART_US = 300_000
"""The camera's frames are 200 ms apart at most."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_gap(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Recording, int]]:
    """A module that has recorded for some seconds, got no images for a moment, and goes on; the first frame then."""
    async with run_machine(tmp_path_factory.mktemp("machine"), jitter=True) as recording:
        await recording.add()
        await recording.record(RECORDED_S)
        recording.camera.fault = "error"
        count = len(recording.camera.delivered)

        async def paused() -> bool:
            return (await recording.status())["recording"] is False

        await recording.until(paused)
        recording.camera.fault = None
        await recording.record(2)
        first_us = recording.camera.delivered[count]
        await recording.recorded_until(first_us + US)
        yield recording, first_us


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recording(with_gap: tuple[Recording, int]) -> Recording:
    """That module."""
    return with_gap[0]


@pytest_asyncio.fixture(loop_scope="module")
async def forwarded(recording: Recording) -> ForwardedCamera:
    """The recorder as the machine forwards it."""
    return ForwardedCamera(recording.parent.camera(NAME))


@pytest_asyncio.fixture(loop_scope="module")
async def server(recording: Recording, forwarded: ForwardedCamera) -> AsyncIterator[MachineServer]:
    """The machine: the recorder, and the camera that it records, which supports no commands."""
    async with MachineServer([recording.camera, forwarded]) as server:
        yield server


def stored(recording: Recording) -> tuple[int, int]:
    """A range that is recorded. It does not begin or end at the time of a frame."""
    delivered = recording.camera.delivered
    return delivered[2] + 1, delivered[0] + (RECORDED_S - 1) * US


# State


async def test_the_state_is_the_one_that_the_machine_reports(recording: Recording, server: MachineServer) -> None:
    async with Machine.connect(server.address) as machine:
        assert machine.component == NAME
        state = await machine.state()
    response = await recording.command("get-storage-state")
    assert exact(state.ranges[0].from_us)[:19] + "Z" == response["stored_video"][0]["from"]
    assert state.storage_path == recording.storage
    assert state.limit_bytes == 1 << 30 and state.used_bytes > 0 and state.device_free_bytes > 1 << 20


# Clips


async def test_a_clip_that_fits_into_one_response_is_written_as_received(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    from_us, to_us = stored(recording)
    path, shares = tmp_path / "clip.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        clip = await machine.export(from_us, to_us, path, on_progress=shares.append)
    assert (clip.path, clip.ranges, shares) == (path, None, [1.0])
    check = check_clip(read_clip(path), recording.camera.delivered, from_us, to_us)
    assert check.flawless and check.drift_ms <= RESOLUTION_MS, check
    assert list(tmp_path.iterdir()) == [path]


@each_value(passes_details=[True, False], share=[0.6, 0.33])
async def test_a_clip_of_several_pieces_has_the_same_frames_at_the_same_times(
    recording: Recording,
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    share: float,
    passes_details: bool,
) -> None:
    forwarded.passes_details = passes_details
    from_us, to_us = stored(recording)
    whole, joined, shares = tmp_path / "whole.mp4", tmp_path / "joined.mp4", list[float]()
    async with Machine.connect(server.address, component=NAME) as machine:
        await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = int(whole.stat().st_size * share)
        clip = await machine.export(from_us, to_us, joined, on_progress=shares.append)
    assert clip.ranges is None
    assert len(shares) > 1 / share and shares == sorted(shares) and shares[-1] == 1
    # A third holds less than a group of pictures and its neighbour: then the start of a piece is re-encoded. So may it
    # be where a busy machine has had frames that are far apart.
    delivered = recording.camera.delivered
    within = [one for one in delivered if from_us <= one < to_us]
    far_apart = any(later - one > FAR_APART_US for one, later in itertools.pairwise(within))
    assert share < 0.5 or far_apart or same_frames(whole, joined)
    check = check_clip(read_clip(joined), delivered, from_us, to_us)
    # Times are told in whole microseconds. Where the start of a piece is re-encoded, that shows.
    assert check.flawless and check.drift_ms <= RESOLUTION_MS + (0.0005 if share < 0.5 or far_apart else 0), check
    assert sorted(tmp_path.iterdir()) == [joined, whole]


async def test_a_gap_is_reported_as_for_a_clip_of_one_piece(
    with_gap: tuple[Recording, int], server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    recording, behind_us = with_gap
    delivered = recording.camera.delivered
    from_us, to_us = delivered[0] - 2 * US + 333, behind_us + US
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    async with Machine.connect(server.address) as machine:
        single = await machine.export(from_us, to_us, whole)
        forwarded.limit_bytes = int(whole.stat().st_size * 0.6)
        clip = await machine.export(from_us, to_us, joined)
    assert clip.ranges is not None and len(clip.ranges) == 2
    assert clip.ranges == single.ranges
    assert same_frames(whole, joined)
    assert check_clip(read_clip(joined), delivered, from_us, to_us).flawless


async def test_a_relative_range_refers_to_the_clock_of_this_computer(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    before_us = now_us()
    ago_s = (before_us - recording.camera.delivered[RECORDED_S]) // US  # so that there is a frame on a busy machine too
    async with Machine.connect(server.address) as machine:
        clip = await machine.export(f"-{ago_s}s", "now", tmp_path / "clip.mp4")
    after_us = now_us()
    shown = [frame.captured_us for _, frame in read_clip(clip.path) if frame]
    latest_us = next(one for one in recording.camera.delivered if one >= after_us - ago_s * US)
    assert before_us - ago_s * US <= shown[0] <= latest_us and shown[-1] < after_us


async def test_a_lost_connection_is_made_again(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    from_us, to_us = stored(recording)
    async with Machine.connect(server.address) as machine:
        server.hang_up()
        clip = await machine.export(from_us, to_us, tmp_path / "clip.mp4")
    assert check_clip(read_clip(clip.path), recording.camera.delivered, from_us, to_us).flawless


async def test_a_response_can_be_as_large_as_viam_server_allows(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(FETCH_LIMIT_BYTES)
    recorder = FakeRecorder()
    recorder.answers = [{"command": "fetch", "video": base64.b64encode(data).decode()}]
    async with MachineServer([recorder]) as server, Machine.connect(server.address) as machine:
        assert await machine.fetch(0, US, tmp_path / "data") is None
    assert (tmp_path / "data").read_bytes() == data


async def test_a_save_is_done_by_the_machine(recording: Recording, server: MachineServer) -> None:
    from_us, to_us = stored(recording)
    async with Machine.connect(server.address) as machine:
        saved = await machine.save(from_us, to_us, metadata="door", tags=["b", "a"])
        later = await machine.save(from_us, to_us, metadata="later", wait=False)
    assert saved.path == Path("tag=a", "tag=b", saved.file_name) and saved.file_name.endswith("_door.mp4")
    assert saved.ranges is None and later.file_name.endswith("_later.mp4")
    check = check_clip(read_clip(recording.upload / saved.path), recording.camera.delivered, from_us, to_us)
    assert check.flawless, check


async def test_an_export_until_the_future_holds_what_there_is_and_says_what_that_is(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    from_us, to_us = stored(recording)
    path = tmp_path / "clip.mp4"
    async with Machine.connect(server.address) as machine:
        exported = await machine.export(from_us, "2200-01-01T00:00:00Z", path)
        with pytest.raises(RequestError, match="'to' timestamp is in the future"):
            await machine.save(from_us, "2200-01-01T00:00:00Z")
    assert exported.ranges is not None and to_us <= exported.ranges[-1].to_us <= now_us() + US
    check = check_clip(read_clip(path), recording.camera.delivered, from_us, exported.ranges[-1].to_us)
    assert check.flawless, check


# Refusals


@pytest.mark.parametrize(
    ("start", "end", "kind", "words"),
    [
        ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z", NothingStoredError, ["Nothing is stored", "nearest"]),
        ("2200-01-01T00:00:00Z", "+1m", RequestError, ["'from'", "future"]),
        ("-1m", "-2m", RequestError, ["'from'", "before 'to'"]),
        ("yesterday", "now", RequestError, ["'from'", "yesterday"]),
    ],
)
@pytest.mark.parametrize("passes_details", [True, False])
async def test_a_refusal_of_the_machine_keeps_its_class_and_sentence(
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    start: str,
    end: str,
    kind: type[Exception],
    words: list[str],
    passes_details: bool,
) -> None:
    forwarded.passes_details = passes_details
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export(start, end, tmp_path / "clip.mp4")
    assert_sentence(refused, *words)
    assert not list(tmp_path.iterdir())


async def test_a_refusal_carries_the_data_of_the_module(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    before = recording.camera.delivered[0] - 60 * US
    async with Machine.connect(server.address) as machine:
        with pytest.raises(NothingStoredError) as refused:
            await machine.export(before, before + US, tmp_path / "clip.mp4")
    error = refused.value
    assert error.code == "nothing-in-range"
    assert error.asked is not None and abs(error.asked.from_us - before) < 1000
    assert error.nearest is not None and error.nearest.from_us == recording.camera.delivered[0]


@pytest.mark.parametrize(
    ("status", "message", "kind", "prefix"),
    [
        (Status.UNKNOWN, "rpc error: code = NotFound desc = Nothing is stored in the range.", NothingStoredError, ""),
        (Status.DATA_LOSS, "It cannot be read.", UnreadableRangeError, ""),
        (Status.INTERNAL, "The clip could not be cut; the module's log tells why.", MachineError, ""),
        (Status.UNIMPLEMENTED, "no such method", MachineError, f"{NAME} does not answer as a recorder does: "),
    ],
)
async def test_an_error_that_a_server_on_the_way_has_changed_is_understood(
    server: MachineServer,
    forwarded: ForwardedCamera,
    tmp_path: Path,
    status: Status,
    message: str,
    kind: Any,
    prefix: str,
) -> None:
    forwarded.answers = [GRPCError(status, message)]
    async with Machine.connect(server.address) as machine:
        with pytest.raises(kind) as refused:
            await machine.export("-4s", "-3s", tmp_path / "clip.mp4")
    assert_sentence(refused, f"{prefix}{message.rpartition('desc = ')[2].rstrip('.')}.")


async def test_a_recorder_that_is_starting_is_tried_again(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [GRPCError(Status.UNAVAILABLE, "The recorder is not running: it is being started.")]
    async with Machine.connect(server.address) as machine:
        clip = await machine.export(*stored(recording), tmp_path / "clip.mp4")
    assert clip.ranges is None


async def test_a_file_is_overwritten_only_on_request(
    recording: Recording, server: MachineServer, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_text("precious")
    async with Machine.connect(server.address) as machine:
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), path)
        assert_sentence(refused, str(path), "exists")
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), tmp_path / "nowhere" / "clip.mp4")
        assert_sentence(refused, "nowhere", "directory")
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), tmp_path / "clip.avi")
        assert_sentence(refused, "clip.avi", ".mp4")
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(RequestError) as refused:
            await machine.export(*stored(recording), tmp_path / "link", overwrite=True)
        assert_sentence(refused, "symbolic link")
        (tmp_path / "link").unlink()
        assert path.read_text() == "precious"
        await machine.export(*stored(recording), path, overwrite=True)
    assert read_clip(path) and list(tmp_path.iterdir()) == [path]


async def test_a_response_that_is_not_a_clip_is_reported(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    forwarded.answers = [{"video": 7}, {"video": "!"}]
    async with Machine.connect(server.address) as machine:
        for _ in range(2):
            with pytest.raises(MachineError) as refused:
                await machine.export(*stored(recording), tmp_path / "clip.mp4")
            assert_sentence(refused, NAME, server.address, "invalid clip")
    assert not list(tmp_path.iterdir())


# Finding the recorder


async def test_the_recorder_must_be_named_if_there_are_several(recording: Recording) -> None:
    client = recording.parent.camera(NAME)
    second = ForwardedCamera(client)
    second.name = "second"
    async with MachineServer([ForwardedCamera(client), second]) as server:
        with pytest.raises(RequestError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "several", f"{NAME}, second")
        async with Machine.connect(server.address, component="second") as machine:
            assert (await machine.state()).ranges
        await until_closed(server)


class Dead(ForwardedCamera):
    """A recorder whose camera is gone."""

    async def get_status(self, *, timeout: float | None = None, **kwargs: Any) -> dict[str, Any]:
        return {"recording": False, "reason": "it refuses the connection"}


async def test_state_tells_of_each_recorder_whether_it_records_or_why_not(
    recording: Recording, server: MachineServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def shown(address: str) -> str:
        remote, plain = Remote(address, None, None, None), {"since_us": None, "utc": True}
        assert await state_of_machine(remote, everything=False, as_json=False, **plain) == 0  # type: ignore[arg-type]
        return " ".join(capsys.readouterr().out.split())

    assert "Recording yes, the newest frame is" in await shown(server.address)
    client = recording.parent.camera(NAME)
    dead = Dead(client)
    dead.name = "yard"
    async with MachineServer([ForwardedCamera(client), dead]) as both:
        told = await shown(both.address)
        assert re.search(rf"{NAME} yes, the newest frame .* yard no, the newest frame .*: it refuses the conn", told)
        await until_closed(both)


class Leaving(ForwardedCamera):
    """A recorder that answers once, when it is looked for."""

    async def do_command(self, command: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        if command.get("exact"):
            raise GRPCError(Status.UNIMPLEMENTED, "it is gone")
        return await super().do_command(command, **kwargs)


async def test_state_as_json_has_all_of_several_recorders_and_why_one_does_not_answer(
    recording: Recording, capsys: pytest.CaptureFixture[str]
) -> None:
    client = recording.parent.camera(NAME)
    second, leaving = Dead(client), Leaving(client)
    second.name, leaving.name = "yard", "attic"
    async with MachineServer([ForwardedCamera(client), second, leaving]) as server:
        remote = Remote(server.address, None, None, None)
        assert await state_of_machine(remote, since_us=None, everything=False, utc=True, as_json=True) == 1
        await until_closed(server)
    told = json.loads(capsys.readouterr().out)["recorders"]
    assert sorted(told) == sorted(["attic", NAME, "yard"])
    assert (told[NAME]["recording"], told["yard"]["recording"]) == (True, False)
    assert told["yard"]["reason"] == "it refuses the connection" and told["yard"]["oldest"] == told[NAME]["oldest"]
    assert told["attic"]["error"]["code"] and "attic" in told["attic"]["error"]["message"]


async def test_a_machine_without_a_recorder_says_which_cameras_it_has(recording: Recording) -> None:
    async with MachineServer([recording.camera]) as server:
        for component in (None, "front"):
            with pytest.raises(VideoStoreError) as refused:
                async with Machine.connect(server.address, component=component):
                    pass
            assert_sentence(refused, "recorder", "its cameras are cam")
        async with Machine.connect(server.address, component="cam") as machine:
            with pytest.raises(MachineError) as refused:
                await machine.state()
            assert_sentence(refused)
    async with MachineServer([]) as server:
        with pytest.raises(MachineError) as refused:
            async with Machine.connect(server.address):
                pass
        assert_sentence(refused, "no camera")


# Cancelling


async def test_cancelling_leaves_no_file_no_connection_and_no_task(
    recording: Recording, server: MachineServer, forwarded: ForwardedCamera, tmp_path: Path
) -> None:
    async def export() -> None:
        async with Machine.connect(server.address) as machine:
            await machine.export(*stored(recording), tmp_path / "clip.mp4", on_progress=hang)

    def hang(_share: float) -> None:
        """The first piece is there: the next one does not come."""
        forwarded.hung = forwarded.hung or hung

    hung = asyncio.Event()
    async with Machine.connect(server.address) as machine:
        await machine.export(*stored(recording), tmp_path / "whole.mp4")
    forwarded.limit_bytes = (tmp_path / "whole.mp4").stat().st_size * 2 // 3
    (tmp_path / "whole.mp4").unlink()
    await until_closed(server)
    tasks = asyncio.all_tasks()
    exporting = asyncio.create_task(export())
    await asyncio.wait_for(hung.wait(), 150)
    assert list(tmp_path.iterdir()) and server.connections == 1
    exporting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await exporting
    assert not list(tmp_path.iterdir())
    await until_closed(server)
    assert {task for task in asyncio.all_tasks() if "server" not in repr(task)} <= tasks


# Pictures


async def test_the_picture_of_a_moment_comes_from_the_machine(recording: Recording, server: MachineServer) -> None:
    delivered = recording.camera.delivered
    async with Machine.connect(server.address) as machine:
        found = await machine.snapshot(delivered[5] + 1)
        assert (found.captured_us, found.exact, found.damaged) == (delivered[5], True, None)
        assert (found.jpeg[:3], found.width) == (b"\xff\xd8\xff", 320)
        narrow = await machine.snapshot(delivered[5], width=160, exact=False)
        assert narrow.width == 160 and narrow.captured_us <= delivered[5]
        with pytest.raises(NothingStoredError) as refused:
            await machine.snapshot(delivered[0] - 60 * US)
        assert (refused.value.code, refused.value.after_us) == ("moment-before-first", delivered[0])


# Events


async def test_a_moment_is_marked_on_the_machine_and_forgotten(recording: Recording, server: MachineServer) -> None:
    at_us = recording.camera.delivered[5]
    async with Machine.connect(server.address) as machine:
        event = await machine.mark("door", at_us, before_s=1, after_s=2, keep=True)
        assert (event.at_us, event.from_us, event.to_us) == (at_us, at_us - US, at_us + 2 * US)
        assert (event.label, event.keep, event.file_name) == ("door", True, None)
        assert event in (await machine.state()).events
        await machine.unmark(event.id, release=True)
        assert [one.keep for one in (await machine.state()).events if one.id == event.id] == [False]
        before_us = now_us()
        other = await machine.mark("now")
        assert before_us <= other.at_us <= now_us()
        for one in (event, other):
            await machine.unmark(one.id)
        assert (await machine.state()).events == ()
        with pytest.raises(RequestError) as refused:
            await machine.unmark(event.id)
        assert refused.value.code == "event-unknown"
        saved = await machine.mark("cat", after_s=3000, save=True, metadata="grey", tags=["pet"])
        assert saved.file_name is not None and "grey" in saved.file_name
        assert await machine.unmark(saved.id, cancel_save=True) is None
