"""The cameras that run while tests do, what was recorded of them, and the table of what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.streams.cameras import CAMERAS, PASSWORD, USER, Camera, GstCameras, serving, system_python
from tests.streams.recorder import Recorder
from tests.streams.stored import Comparison, compare, stored_pictures
from tests.support.program import Program, Result

MEASURED = "measured"


@dataclass(frozen=True)
class Recorded:
    """A camera that was recorded, and what came of it."""

    name: str
    camera: Camera
    directory: Path
    result: Result
    comparison: Comparison
    first_painted: int | None


@pytest.fixture(scope="session")
def gstreamer() -> None:
    """Skips tests where GStreamer's RTSP server is not installed."""
    if system_python() is None:
        pytest.skip("GStreamer's RTSP server is not installed: on Debian gir1.2-gst-rtsp-server-1.0 and python3-gi")


@pytest.fixture(scope="session", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in CAMERAS])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, gstreamer: None) -> Recorded:
    """One camera after the other, recorded once for all tests."""
    name: str = request.param
    camera, directory = CAMERAS[name], tmp_path_factory.mktemp(name)
    with serving(directory, {name: camera}, credentials=camera.credentials) as cameras:
        result = Recorder(
            Program.create(directory), directory / "storage", _login(cameras.url(name), camera), camera.transport
        ).run(camera.seconds)
        stored = stored_pictures(directory / "storage")
        comparison = compare(stored, cameras.sent(name))
    return Recorded(name, camera, directory / "storage", result, comparison, stored[0].painted if stored else None)


def _login(url: str, camera: Camera) -> str:
    login = f"rtsp://{USER}:{quote(PASSWORD, safe='')}@" if camera.credentials else "rtsp://"
    return url.replace("rtsp://", login)


@pytest.fixture
def small_server(tmp_path: Path, gstreamer: None) -> Iterator[GstCameras]:
    """A server of one camera, `h264`, for a test of its own."""
    with serving(tmp_path, {"h264": CAMERAS["h264"]}) as cameras:
        yield cameras


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured of each camera."""
    reports = terminalreporter.stats.get("passed", [])
    lines = [str(value) for report in reports for name, value in report.user_properties if name == MEASURED]
    if lines:
        terminalreporter.section("pictures stored, and how late they are dated")
        for line in sorted(lines):
            terminalreporter.write_line(line)
