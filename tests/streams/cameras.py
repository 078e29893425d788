"""The cameras of the tests, and the process that is all of them: see `gst_cameras.py`."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.streams.camera_file import write_camera
from tests.streams.coded_sound import code_sound
from tests.support.coded_stream import CodedPicture, Coding, SentPicture, code
from tests.support.program import wait_until
from tests.support.recording import US

_SERVER = Path(__file__).with_name("gst_cameras.py")
_CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
_ELEMENTS = ("appsrc", "h264parse", "h265parse", "rtph264pay", "rtph265pay", "rtpjpegpay", "rtpmp4gpay", "rtpopuspay")
USER, PASSWORD = "viewer", "Wolke 7/ä@b"
COMMAND, COMPONENT = "command", "component"
BOTH = (COMMAND, COMPONENT)


@dataclass(frozen=True)
class Camera:
    """What a camera sends, and how it is asked for it."""

    coding: Coding
    sound: str = ""
    transport: str = "tcp"
    credentials: bool = False
    seconds: float = 6
    """How long it is recorded: two keyframes at least."""
    ways: tuple[str, ...] = (COMPONENT,)
    """What records it. Both record alike; the command differs in what it says, and in its defaults."""
    audio: bool = True
    """Whether components record its sound."""
    config_interval: int = 0
    """With -1, parameter sets come before each slice of a keyframe."""

    @property
    def copied(self) -> bool:
        """Whether `record` takes its pictures as they come."""
        return self.coding.codec != "mjpeg"


CAMERAS = {
    "h264": Camera(Coding("h264"), ways=BOTH),
    "h264-udp": Camera(Coding("h264"), transport="udp"),
    "h264-keyframes-only": Camera(Coding("h264", gop_s=0.0)),
    "h264-two-slices": Camera(Coding("h264", slices=2), "aac", audio=False),
    "h264-slices-split": Camera(Coding("h264", slices=2), config_interval=-1),
    "h264-gop-2s": Camera(Coding("h264", gop_s=2), "g711"),
    "h264-gop-10s": Camera(Coding("h264", gop_s=10), seconds=24),
    "h264-b-frames": Camera(Coding("h264", b_frames=2), "aac", seconds=10, ways=BOTH),
    "h264-b-frames-gop-10s": Camera(Coding("h264", gop_s=10, b_frames=2), seconds=24),
    "h264-open-gop": Camera(Coding("h264", b_frames=2, open_gop=True), seconds=10),
    "h264-credentials": Camera(Coding("h264"), "aac", credentials=True, ways=BOTH),
    "hevc": Camera(Coding("hevc"), "aac"),
    "hevc-udp-opus": Camera(Coding("hevc", gop_s=2), "opus", transport="udp", ways=BOTH),
    "hevc-10-bit": Camera(Coding("hevc", gop_s=2, ten_bit=True)),
    "hevc-gop-10s": Camera(Coding("hevc", gop_s=10), "g711", seconds=24, ways=BOTH),
    "hevc-b-frames": Camera(Coding("hevc", gop_s=2, b_frames=2), "g711", seconds=10, ways=BOTH),
    "hevc-open-gop": Camera(Coding("hevc", b_frames=2, open_gop=True), seconds=10),
    "hevc-slices-split": Camera(Coding("hevc", slices=2), config_interval=-1),
    "mjpeg": Camera(Coding("mjpeg")),
    "mjpeg-udp-g711": Camera(Coding("mjpeg"), "g711", transport="udp", ways=BOTH),
}


@functools.cache
def pictures_of(coding: Coding) -> list[CodedPicture]:
    """The pictures of a camera, coded once."""
    return code(coding)


def write_cameras(directory: Path, cameras: Mapping[str, Camera]) -> dict[str, str]:
    """Write the files of cameras."""
    files = {}
    for name, camera in cameras.items():
        path = directory / f"{name}.camera"
        sound = code_sound(camera.sound) if camera.sound else None
        write_camera(path, camera.coding, pictures_of(camera.coding), sound, camera.config_interval)
        files[name] = str(path)
    return files


@functools.cache
def system_python() -> str | None:
    """A Python that has GStreamer's RTSP server, where all that it needs is installed."""
    inspect = shutil.which("gst-inspect-1.0")
    if inspect is None or any(subprocess.run([inspect, "--exists", name]).returncode for name in _ELEMENTS):
        return None
    for python in ("/usr/bin/python3", shutil.which("python3")):
        if python and not subprocess.run([python, "-c", _CHECK], capture_output=True).returncode:
            return python
    return None


class GstCameras:
    """The process that serves cameras, and what it has sent. It is a context manager, which ends it."""

    def __init__(self, directory: Path, files: Mapping[str, str], *, port: int = 0, credentials: bool = False) -> None:
        """At a `port`, or at any that is free."""
        self.port = 0
        self.credentials = credentials
        self._sent: list[dict[str, int | str]] = []
        config = directory / "cameras.json"
        login = {"user": USER, "password": PASSWORD} if credentials else {}
        config.write_text(json.dumps({"port": port, "cameras": dict(files), **login}))
        python = system_python()
        assert python is not None
        self._process = subprocess.Popen([python, str(_SERVER), str(config)], stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: bool(self.port) or self._process.poll() is not None)
        if self.port <= 0:
            self.__exit__()
            raise AssertionError(f"GStreamer's RTSP server does not start at port {port}")

    def __enter__(self) -> GstCameras:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def sent(self, path: str) -> list[SentPicture]:
        """The pictures of a camera that were sent, to all clients."""
        lines = [line for line in list(self._sent) if line["path"] == path]
        return [
            SentPicture(
                int(one["painted"]), int(one["captured_us"]), int(one["sent_us"]), connection=int(one["began_us"])
            )
            for one in lines
        ]

    def sent_s(self, path: str) -> float:
        """How much of the stream the newest client of a camera has got, in seconds."""
        lines = self.sent(path)
        return (lines[-1].captured_us - lines[-1].connection) / US if lines else 0

    def began_us(self, path: str) -> int:
        """When the newest client of a camera came."""
        return self.sent(path)[-1].connection

    def url(self, path: str) -> str:
        """Where a camera is."""
        return f"rtsp://127.0.0.1:{self.port}/{path}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            fields = json.loads(line)
            if "path" in fields:
                self._sent.append(fields)
            else:
                self.port = fields["port"]


@contextlib.contextmanager
def serving(directory: Path, names: Mapping[str, Camera], *, credentials: bool = False) -> Iterator[GstCameras]:
    """Serve cameras of the table."""
    with GstCameras(directory, write_cameras(directory, names), credentials=credentials) as cameras:
        yield cameras
