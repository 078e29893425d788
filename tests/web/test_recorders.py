"""Recorders come and go while the server runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recording import LOGGER
from videostore.base.errors import RequestError
from videostore.web.recorders import RecorderPlace, Recorders, slug


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Front Door", "front-door"),
        ("Tür 2", "tur-2"),
        ("../../etc", "etc"),
        ("...", "recorder"),
        ("日本", "recorder-cf2abf"),
        ("門 1", "1-d80886"),
        ("庭 1", "1-b4f82c"),
        ("a" * 99, "a" * 60),
    ],
)
def test_a_name_becomes_an_address(name: str, expected: str) -> None:
    assert slug(name) == expected


async def test_each_recorder_has_its_own_address(recording: Path) -> None:
    recorders = Recorders(LOGGER)
    changes: list[int] = []
    recorders.on_change.append(lambda: changes.append(len(recorders)))
    first, second = (recorders.add(RecorderPlace(name, recording)) for name in ("a b", "a-b"))
    assert [one.id for one in recorders] == ["a-b", "a-b-2"]
    assert recorders.get("a-b-2") is second is recorders.named("a-b")
    assert (await first.store()).health().segments > 0
    await recorders.remove(first)
    with pytest.raises(RequestError, match="no recorder 'a-b'"):
        recorders.get("a-b")
    await recorders.close()
    assert changes == [1, 2, 1, 0]


async def test_a_directory_that_cannot_be_opened_is_named_in_words(tmp_path: Path) -> None:
    recorders = Recorders(LOGGER)
    recorder = recorders.add(RecorderPlace("door", tmp_path / "missing"))
    try:
        with pytest.raises(RequestError, match="The recording of 'door' cannot be read: There is no storage directory"):
            for _ in range(2):  # the first may wait while it is being tried
                await recorder.store()
        assert recorder.trouble is not None
        assert not await recorder.is_recording()
    finally:
        await recorders.close()
