"""The server listens, and says why it cannot."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.support.recording import LOGGER
from videostore.base.errors import VideoStoreError
from videostore.web.app import make_app
from videostore.web.recorders import Recorders
from videostore.web.server import HOST, serve, shown_address


async def test_a_port_that_is_taken_is_named_in_words() -> None:
    async with serve(make_app(Recorders(LOGGER)), HOST, 0) as url:
        port = urlsplit(url).port
        assert port
        with pytest.raises(VideoStoreError, match=f"cannot be shown at 127.0.0.1:{port}"):
            async with serve(make_app(Recorders(LOGGER)), HOST, port):
                pass


def test_an_address_is_written_as_in_a_url() -> None:
    assert shown_address("127.0.0.1", 8600) == "127.0.0.1:8600"
    assert shown_address("::1", 8600) == "[::1]:8600"
    assert shown_address("localhost", 8600) == "localhost:8600"
