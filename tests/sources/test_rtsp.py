"""A camera that is reached over RTSP: one quick case. `make test-streams` tries many, with a server of GStreamer."""

from __future__ import annotations

from tests.support.coded_stream import FPS, Coding, code, slices
from tests.support.inputs import Tap, distances, open_input, playing
from tests.support.recording import US, until
from tests.support.rtsp_camera import RTP_HZ, Conduct, RtspCamera


async def test_a_camera_whose_rtp_time_wraps_is_passed_on_picture_by_picture(binary: str) -> None:
    pictures = code(Coding("h264", length_s=4))
    wrapped_after = FPS
    conduct = Conduct(first_rtp_time=(1 << 32) - wrapped_after * RTP_HZ // FPS)
    async with RtspCamera(pictures, conduct) as camera:
        source = Tap(open_input(camera.url, binary))
        async with playing(source):
            await until(lambda: len(source.packets_seen) > 2 * wrapped_after or source.gaps)
    assert source.gaps == []
    passed = [slices("h264", one.data) for one in source.packets_seen]
    assert passed == [slices("h264", pictures[number % len(pictures)].data) for number in range(len(passed))]
    # Times may move together, by a smaller delay than any before: that never makes a distance longer.
    assert [one for one in distances(source.times_us) if not 0 < one <= US // FPS + 1000] == []
