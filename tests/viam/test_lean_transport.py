from __future__ import annotations

from collections.abc import Iterator

import pytest
from grpclib.client import Channel
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived
from hyperframe.frame import DataFrame
from viam.components.camera.client import CameraClient

from scripts.fakes.machine import MachineServer
from tests.support.recording import SMALL, START_US, picture
from tests.support.scripted_camera import ScriptedCamera, answer
from videostore.viam.lean_transport import describe_no_data


@pytest.fixture
def lean() -> Iterator[None]:
    undo = describe_no_data()
    yield
    undo()


def received(data: bytes) -> bytes:
    """What one end of a connection gets of what the other one sends."""
    ours, theirs = H2Connection(H2Configuration(client_side=True)), H2Connection(H2Configuration(client_side=False))
    ours.initiate_connection()
    theirs.initiate_connection()
    ours.send_headers(1, [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "a")])
    theirs.receive_data(ours.data_to_send())
    ours.send_data(1, data)
    return b"".join(one.data for one in theirs.receive_data(ours.data_to_send()) if isinstance(one, DataReceived))


def note_conversions(monkeypatch: pytest.MonkeyPatch) -> list[DataFrame]:
    """The frames whose data is converted to text from here on."""
    converted: list[DataFrame] = []

    def convert(frame: DataFrame) -> str:
        converted.append(frame)
        return ""

    monkeypatch.setattr(DataFrame, "_body_repr", convert)
    return converted


def test_no_frame_with_data_is_converted_to_text(lean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = note_conversions(monkeypatch)
    assert received(b"image" * 3000) == b"image" * 3000 and not converted


def test_without_it_h2_converts_every_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise this module has no use any more."""
    converted = note_conversions(monkeypatch)
    assert received(b"image") == b"image" and converted


def test_it_can_be_undone() -> None:
    frame = DataFrame(1, b"some")
    before = repr(frame)
    undo = describe_no_data()
    assert repr(frame) != before
    undo()
    assert repr(frame) == before


async def test_images_come_through(lean: None) -> None:
    server = MachineServer([ScriptedCamera(answer(START_US))])
    async with server:
        channel = Channel("127.0.0.1", server.port)
        try:
            images, _ = await CameraClient("cam", channel).get_images(timeout=30)
        finally:
            channel.close()
    assert images[0].data == picture(START_US, SMALL)
