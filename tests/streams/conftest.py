"""The cameras that run while tests do, what was recorded of them, and the table of what was measured."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.streams.cameras import CAMERAS, COMMAND, COMPONENT, GstCameras, serving, system_python
from tests.streams.recorded import ROWS_HEAD, Recorded, Recording, record_by_command, record_by_components

MEASURED = "measured"
_CAMERA = re.compile(rf"\[([\w-]+)-({COMMAND}|{COMPONENT})\]$")
_RECORDED = [pytest.param((name, way), id=f"{name}-{way}") for name, camera in CAMERAS.items() for way in camera.ways]


class _ByCamera(LoadScopeScheduling):  # type: ignore[misc]
    """Gives the tests of one camera to one worker, which records it once; so all that components record at once.

    xdist's own groups have no effect with pytest 9.
    """

    def _split_scope(self, nodeid: str) -> str:
        if (found := _CAMERA.search(nodeid)) is None:
            return nodeid
        return found[1] if found[2] == COMMAND else COMPONENT


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """The scheduler of these tests."""
    return _ByCamera(config, log)


@pytest.fixture(scope="session")
def gstreamer() -> None:
    """Skips tests where GStreamer's RTSP server is not installed."""
    if system_python() is None:
        pytest.skip("GStreamer's RTSP server is not installed: on Debian gir1.2-gst-rtsp-server-1.0 and python3-gi")


@pytest.fixture(scope="session")
def by_component(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Recording]:
    """What components have recorded of a camera. All that the chosen tests need are recorded at the first call."""
    found: dict[str, Recording] = {}

    def recording(name: str) -> Recording:
        if not found:
            chosen = [getattr(item, "callspec", None) for item in request.session.items]
            pairs = dict.fromkeys(one.params["recorded"] for one in chosen if one and "recorded" in one.params)
            names = [name for name, way in pairs if way == COMPONENT]
            found.update(asyncio.run(record_by_components(names, tmp_path_factory.mktemp(COMPONENT))))
        return found[name]

    return recording


@pytest.fixture(scope="session", params=_RECORDED)
def recorded(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    gstreamer: None,
    by_component: Callable[[str], Recording],
) -> Recorded:
    """One camera after the other, recorded once for all tests."""
    name, way = request.param
    recording = by_component(name) if way == COMPONENT else record_by_command(name, tmp_path_factory.mktemp(name))
    return Recorded.of(name, way, recording)


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
        terminalreporter.section(
            "pictures sent and stored, how late they are dated, how far distances differ, how far sound is off"
        )
        for line in (ROWS_HEAD, *sorted(lines)):
            terminalreporter.write_line(line)
