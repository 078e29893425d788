"""Network cameras: GStreamer's RTSP server. It is run by the system's Python, which has GStreamer's bindings.

    /usr/bin/python3 tests/streams/gst_cameras.py CAMERAS

CAMERAS is a JSON file: the `port` (0: any free one), perhaps `user` and `password`, and under `cameras` the file of
`camera_file.py` for each path. Each client gets what the camera sends from its beginning, in real time and again and
again. Standard output tells the port (-1: it is taken), and a line for each picture that is sent.
"""

from __future__ import annotations

import functools
import json
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

_DIGEST = 2
"""GStreamer's number of digest authentication."""
_LOCK = threading.Lock()


@dataclass(frozen=True)
class _Track:
    caps: str
    payloader: str
    frame_ns: int
    delay: int
    """How many frames later a picture is coded than it was captured, since those behind it are needed."""
    frames: list[bytes]
    shown: list[int]
    """The place of each frame in the order of showing."""


def _tell(**fields: object) -> None:
    with _LOCK:
        print(json.dumps(fields), flush=True)


def _read_tracks(path: Path) -> dict[str, _Track]:
    data = path.read_bytes()
    (length,) = struct.unpack_from(">I", data)
    at = 4 + length
    tracks = {}
    for name, header in json.loads(data[4:at]).items():
        frames = []
        for size in header.pop("sizes"):
            frames.append(data[at : at + size])
            at += size
        tracks[name] = _Track(frames=frames, **header)
    return tracks


def _launch_line(tracks: dict[str, _Track]) -> str:
    parts = [
        f"appsrc name={name} is-live=true format=time max-bytes=0 caps={track.caps}"
        f" ! {track.payloader} name=pay{number} pt={96 + number if 'pcmu' not in track.payloader else 0}"
        for number, (name, track) in enumerate(tracks.items())
    ]
    return f"( {' '.join(parts)} )"


def _send(media: Any, tracks: dict[str, _Track], tell_of: Callable[..., None]) -> None:
    """Send to a client until it has gone."""
    pipeline = media.get_element()
    while pipeline.get_state(0)[1] != Gst.State.PLAYING:
        time.sleep(0.001)
    began_ns = pipeline.get_clock().get_time() - pipeline.get_base_time()
    wall_ns = time.time_ns()
    # All tracks are as late as the one whose coder is slowest.
    late_ns = max(track.delay * track.frame_ns for track in tracks.values())
    for name, track in tracks.items():
        source, tell = pipeline.get_by_name(name), tell_of if name == "video" else None
        threading.Thread(target=_push, args=(source, track, began_ns, wall_ns, late_ns, tell), daemon=True).start()


def _push(
    source: Any, track: _Track, began_ns: int, wall_ns: int, late_ns: int, tell: Callable[..., None] | None
) -> None:
    number = 0
    while True:
        rounds, place = divmod(number, len(track.frames))
        captured_ns = (rounds * len(track.frames) + track.shown[place]) * track.frame_ns
        coded_ns = number * track.frame_ns + late_ns
        time.sleep(max(0.0, (wall_ns + coded_ns - time.time_ns()) / Gst.SECOND))
        buffer = Gst.Buffer.new_wrapped(track.frames[place])
        buffer.pts = began_ns + captured_ns + late_ns
        buffer.dts = began_ns + number * track.frame_ns
        buffer.duration = track.frame_ns
        sent_us = time.time_ns() // 1000
        if tell is not None:  # before it is sent: what is stored has been told
            captured_us = (wall_ns + captured_ns) // 1000
            tell(painted=track.shown[place], captured_us=captured_us, sent_us=sent_us, began_us=wall_ns // 1000)
        if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
            return
        number += 1


def _configure(_factory: object, media: Any, path: str, tracks: dict[str, _Track]) -> None:
    tell_of = functools.partial(_tell, path=path)
    threading.Thread(target=_send, args=(media, tracks, tell_of), daemon=True).start()


def _require_credentials(server: Any, user: str, password: str) -> Any:
    """Let in this user alone. Returns the rights that a camera needs."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.set_supported_methods(_DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for right in ("access", "construct"):
        permissions.add_permission_for_role("viewer", f"media.factory.{right}", True)
    return permissions


def main(config_path: str) -> None:
    """Serve until the process is killed."""
    config = json.loads(Path(config_path).read_text())
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(str(config["port"]))
    user = config.get("user")
    permissions = _require_credentials(server, user, config["password"]) if user else None
    for path, file in config["cameras"].items():
        tracks = _read_tracks(Path(file))
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(_launch_line(tracks))
        if permissions is not None:
            factory.set_permissions(permissions)
        factory.connect("media-configure", functools.partial(_configure, path=path, tracks=tracks))
        server.get_mount_points().add_factory(f"/{path}", factory)
    server.attach(None)
    _tell(port=server.get_bound_port())
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1])
