"""Network cameras for the benchmark: GStreamer's RTSP server, run by the system's Python, which has its bindings.

    /usr/bin/python3 scripts/bench/rtsp_server.py VIDEO FRAMES_PER_SECOND CAMERAS

VIDEO is H.264 in Annex B with an access unit delimiter before each picture. Each camera sends it again and again, in
real time. Standard output tells the port; the cameras are `/0`, `/1` …
"""

import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_DELIMITER = b"\0\0\0\1\x09"
_CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
_LAUNCH = f"( appsrc name=video is-live=true format=time max-bytes=0 caps={_CAPS} ! h264parse ! rtph264pay name=pay0 )"


def _send(media: Any, pictures: list[bytes], frame_ns: int) -> None:
    pipeline = media.get_element()
    while pipeline.get_state(0)[1] != Gst.State.PLAYING:
        time.sleep(0.001)
    source = pipeline.get_by_name("video")
    began_ns, wall_ns = pipeline.get_clock().get_time() - pipeline.get_base_time(), time.monotonic_ns()
    number = 0
    while True:
        time.sleep(max(0, wall_ns + number * frame_ns - time.monotonic_ns()) / Gst.SECOND)
        buffer = Gst.Buffer.new_wrapped(pictures[number % len(pictures)])
        buffer.pts = buffer.dts = began_ns + number * frame_ns
        buffer.duration = frame_ns
        if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            return
        number += 1


def main(video: str, frames_per_second: str, cameras: str) -> None:
    """Serve until the process is killed."""
    pictures = [part for part in Path(video).read_bytes().split(_DELIMITER) if len(part) > 1]
    frame_ns = round(1e9 / int(frames_per_second))
    # What is left of a delimiter before each picture: its one byte, and zeros of the next start code.
    pictures = [part[1:] for part in pictures]
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")

    def configure(_factory: object, media: Any) -> None:
        threading.Thread(target=_send, args=(media, pictures, frame_ns), daemon=True).start()

    for number in range(int(cameras)):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(_LAUNCH)
        factory.connect("media-configure", configure)
        server.get_mount_points().add_factory(f"/{number}", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
