from __future__ import annotations

from contextlib import aclosing

from tests.support.inputs import NetworkCamera, open_input
from videostore.media.packet import Gap
from videostore.sources.camera_stream import CameraStream


async def test_the_newest_keyframe_is_kept_and_decoded_once(binary: str, camera: NetworkCamera) -> None:
    await camera.start()
    stream = CameraStream(open_input(camera.url, binary, format="mpegts"), binary)
    assert await stream.still() is None
    assert str(stream.fault) == "no image has arrived yet"
    keyframes = []
    async with aclosing(stream.packets()) as items:  # type: ignore[type-var]
        async for item in items:
            assert not isinstance(item, Gap)
            if item.keyframe:
                keyframes.append(item)
            if len(keyframes) == 2 and item is not keyframes[1]:
                break
        assert (stream.fault, stream.keyframe) == (None, keyframes[1])
        first, second = await stream.still(), await stream.still()
        assert first is not None and first is second and first[0] is keyframes[1]


async def test_while_nothing_comes_the_fault_says_why(binary: str, camera: NetworkCamera) -> None:
    await camera.start()
    stream = CameraStream(open_input(camera.url, binary, format="mpegts"), binary)
    gaps: list[Gap] = []
    async with aclosing(stream.packets()) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, Gap):
                gaps.append(item)
                break
            await camera.stop()
        assert [gap.reason for gap in gaps] == [stream.fault]
        assert stream.keyframe is not None  # still the newest
