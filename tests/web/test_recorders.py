"""Recorders come and go while the server runs."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, Pulse, Stores, until
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.storage.segment_files import ListedNames, list_directory
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
    ids = [one.id for one in recorders]
    assert len(set(ids)) == 2 and all(one.startswith("a-b-") for one in ids)
    assert recorders.get(ids[1]) is second is recorders.named("a-b")
    with pytest.raises(RequestError, match="no recorder 'a-b'"):  # rather none than the wrong one
        recorders.get("a-b")
    assert (await first.store()).health().segments > 0
    await recorders.remove(first)
    assert second.id == "a-b"
    assert recorders.get("a-b") is recorders.get(ids[1]) is second
    with pytest.raises(RequestError, match="no recorder"):
        recorders.get(ids[0])
    await recorders.close()
    assert changes == [1, 2, 1, 0]


async def test_the_first_question_waits_until_it_is_known_whether_it_records(stores: Stores) -> None:
    await stores.open(Pulse(), segment_seconds=2)
    await until(lambda: list(stores.storage.glob("*.open")))
    recorders = Recorders(LOGGER)
    recorder = recorders.add(RecorderPlace("door", stores.storage))
    try:
        assert recorder.stored_bytes is None  # it is not open yet
        assert await recorder.is_recording()
    finally:
        await recorders.close()


async def test_recorders_are_listed_by_name_in_whatever_order_they_come(tmp_path: Path) -> None:
    names = ["attic", "camera 2", "Camera 3", "camera 10", "Yard"]
    recorders = Recorders(LOGGER)
    for name in ("camera 10", "Yard", "Camera 3", "attic", "camera 2"):
        recorders.add(RecorderPlace(name, tmp_path / name))
    assert [one.name for one in recorders] == names
    await recorders.remove(next(iter(recorders)))
    recorders.add(RecorderPlace("attic", tmp_path / "attic"))
    assert [one.name for one in recorders] == names
    await recorders.close()


async def test_addresses_do_not_depend_on_the_order(tmp_path: Path) -> None:
    places = [RecorderPlace(name, tmp_path / name / directory) for name in ("a b", "a.b", "c") for directory in "xy"]
    found = []
    for ordered in (places, places[::-1]):
        recorders = Recorders(LOGGER)
        found.append({one.place: one.id for one in [recorders.add(place) for place in ordered]})
        await recorders.close()
    assert found[0] == found[1] and len(set(found[0].values())) == len(places)


async def test_the_index_answers_while_the_directory_is_walked(
    tmp_path: Path, recording: Path, times: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Path(shutil.copytree(recording, tmp_path / "storage"))
    names = sorted(one.name for one in storage.glob("*.mp4"))
    (storage / names[1]).unlink()  # while no one looked
    walk = threading.Event()

    def list_later(directory: Path) -> ListedNames:
        assert walk.wait(60)
        return list_directory(directory)

    monkeypatch.setattr("videostore.storage.reconciler.list_directory", list_later)
    recorders = Recorders(LOGGER)
    recorder = recorders.add(RecorderPlace("door", storage))
    try:
        store = await recorder.store()
        assert not store._archive.reconciled.is_set()
        asked = Range(times[0], times[-1] + 1)
        found = await store._viewing.segments(asked.from_us, asked.to_us)
        assert [one.path.name for one in found] == names
        segments = await recorder.segments()
        (await segments.open(found[0].key)).file.close()
        with pytest.raises(RequestError) as refused:
            await segments.open(found[1].key)
        assert refused.value.code == "segment-gone"
        picture, _ = await (await recorder.pictures()).take(times[3], 64, exact=True)
        assert picture.captured_us == times[3]
        walk.set()
        await until(lambda: store.health().segments == len(names) - 1)
    finally:
        walk.set()
        await recorders.close()


async def test_an_index_that_is_lost_answers_when_the_directory_is_walked(tmp_path: Path, recording: Path) -> None:
    storage = Path(shutil.copytree(recording, tmp_path / "storage"))
    for one in storage.glob("index.*"):
        one.unlink()
    recorders = Recorders(LOGGER)
    recorder = recorders.add(RecorderPlace("door", storage))
    try:
        assert (await recorder.store()).health().segments == len(list(storage.glob("*.mp4")))
    finally:
        await recorders.close()


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
