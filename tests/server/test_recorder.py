"""A recorder under a real viam-server: what a user of the SDK gets, and what a restart leaves."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from grpclib import GRPCError, Status

from tests.server.served_machine import ServedMachine
from tests.support.machine import assert_plain, now_us
from videostore.media.segment import probe
from videostore.media.segment_names import OPEN_SUFFIX
from videostore.remote.client import Machine as RemoteMachine

KILLS = "entire process group"
"""What viam-server logs when a module has not ended 3.3 s after it was asked to."""


def assert_closed(served: ServedMachine, to_us: int) -> None:
    """Check that what was recorded is in closed segments."""
    left = [path for path in served.storage.iterdir() if path.suffix in (".mp4", OPEN_SUFFIX)]
    assert left and [path.name for path in left if path.suffix == OPEN_SUFFIX] == []
    assert max(probe(path).end_us for path in left) >= to_us


async def test_a_client_of_the_sdk_gets_exactly_what_the_camera_delivered(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    from_us, to_us = await served.recorded_from_now(5.0)
    assert (await served.fetch(from_us, to_us)).flawless
    saved = await served.command("save", from_us=from_us, to_us=to_us, metadata="seen", tags=["door"])
    assert (served.upload / "tag=door" / str(saved["filename"])).exists()
    assert (await served.command("get-storage-state"))["stored_video"]
    images, metadata = await (await served.recorder()).get_images()
    assert len(images) == 1 and metadata.captured_at.ToMicroseconds() in served.delivered()
    with pytest.raises(GRPCError) as refused:
        await served.command("save", from_us=to_us, to_us=from_us)
    assert refused.value.status is Status.INVALID_ARGUMENT
    assert_plain(refused.value, "from", "to")
    async with RemoteMachine.connect(served.address) as remote:  # as `videostore --machine` does
        assert (await remote.state()).ranges


async def test_an_asynchronous_save_outlives_the_end_of_viam_server(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    from_us, _ = await served.recorded_from_now()
    to_us = now_us()
    saved = await served.command("save", from_us=from_us, to_us=to_us, metadata="late", **{"async": True})
    assert saved["status"] == "async"
    await served.stop()
    await served.start()
    await served.until_saved(saved)


async def test_the_fake_camera_of_viam_server_is_recorded(served: ServedMachine) -> None:
    served.add_fake_camera(animated=True)
    await served.start()
    await served.recorded_from_now()
    assert (await served.status())["reason"] == ""


async def test_sigterm_closes_the_segment_and_the_next_start_goes_on(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    from_us, to_us = await served.recorded_from_now(3.0)
    await served.stop()
    assert KILLS not in served.log_text()
    await served.until(lambda: not served.processes())
    assert_closed(served, to_us)
    await served.start()
    await served.until_recording()
    assert (await served.fetch(from_us, to_us)).flawless
    assert (await served.fetch(*await served.recorded_from_now())).flawless


async def test_the_module_closes_the_segment_and_ends_when_viam_server_is_killed(served: ServedMachine) -> None:
    served.add_painted_camera()
    await served.start()
    _, to_us = await served.recorded_from_now(3.0)
    await served.stop(signal.SIGKILL)
    await served.until(lambda: not served.processes("-m videostore") and not served.processes("ffmpeg"))
    assert_closed(served, to_us)


@pytest.mark.parametrize("word", ["-m videostore", "ffmpeg"])
async def test_what_is_killed_is_started_again_and_keeps_what_was_recorded(served: ServedMachine, word: str) -> None:
    served.add_painted_camera()
    await served.start()
    from_us, to_us = await served.recorded_from_now(3.0)
    await served.kill(word)
    await served.until_recording()
    assert (await served.fetch(from_us, to_us)).flawless
    assert (await served.fetch(*await served.recorded_from_now())).flawless


async def test_null_is_an_absent_attribute(served: ServedMachine) -> None:
    nothing: dict[str, Any] = {"source_name": None, "framerate": None, "video": None, "storage": {"min_free_gb": None}}
    served.add_painted_camera()
    served.add_recorder(**nothing)
    await served.start()
    await served.recorded_from_now()
