"""A camera that refuses: it is said at once why, and no password is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.streams.cameras import CAMERAS, PASSWORD, USER, GstCameras, serving
from tests.streams.recorder import Recorder
from tests.support.program import Program

_NAME = "h264-credentials"


@pytest.fixture
def guarded(tmp_path: Path, gstreamer: None) -> Iterator[GstCameras]:
    """A server that asks for a password."""
    with serving(tmp_path, {_NAME: CAMERAS[_NAME]}, credentials=True) as cameras:
        yield cameras


@pytest.mark.parametrize(
    "login, path, reason",
    [
        ("", _NAME, "401"),
        (f"{USER}:Sesame-5@", _NAME, "401"),
        (f"{USER}:{quote(PASSWORD, safe='')}@", "elsewhere", "404"),
    ],
    ids=["no password", "a wrong password", "no such stream"],
)
def test_a_camera_that_refuses_ends_the_recording_with_its_reason(
    guarded: GstCameras, tmp_path: Path, login: str, path: str, reason: str
) -> None:
    url = guarded.url(path).replace("rtsp://", f"rtsp://{login}")
    result = Recorder(Program.create(tmp_path), tmp_path / "storage", url).run(3)
    assert result.code == 2
    assert reason in result.sentence
    assert "Sesame" not in result.err and quote(PASSWORD, safe="") not in result.err and PASSWORD not in result.err
