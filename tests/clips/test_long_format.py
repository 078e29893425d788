"""What a long stream has one of: told from the index and a few files."""

from __future__ import annotations

import pytest

from tests.support.clapping import clapping, record_clapping
from tests.support.recording import H265, SIZE, SMALL, START_US, US, Stores, capture_times, record, take_over
from videostore.base.ranges import Range
from videostore.clips.long_format import LongFormat, LongFormats, _compared, _fit_of
from videostore.clips.stream_sound import ENCODED_SOUND, StreamSound
from videostore.media.look import Look
from videostore.storage.segment_kinds import SegmentKind
from videostore.store.store import VideoStore

ALL = Range(START_US, START_US + 100 * US)


def formats_of(store: VideoStore) -> LongFormats:
    return store._delivery._long.formats


async def test_a_short_range_of_one_format_is_planned_whole_and_a_long_one_needs_nothing(stores: Stores) -> None:
    await record(stores.storage, capture_times(7))
    await take_over(stores.storage)
    formats = formats_of(await stores.open())
    assert await formats.find(Range(START_US, START_US + US)) is None
    assert await formats.find(Range(START_US, START_US + US), follow=True) == LongFormat()
    assert await formats.find(ALL) == LongFormat()
    assert await formats.codecs(ALL) == {"h264"}


@pytest.mark.parametrize("small_first", [True, False])
async def test_of_several_sizes_it_is_the_largest_and_what_has_it_is_copied(stores: Stores, small_first: bool) -> None:
    for number, size in enumerate((SMALL, SIZE) if small_first else (SIZE, SMALL)):
        await record(stores.storage, capture_times(2, START_US + number * 4 * US), size=size)
    found = await take_over(stores.storage)
    format = await formats_of(await stores.open()).find(ALL)
    assert format is not None and format.fit is not None
    assert (format.fit.width, format.fit.height) == SIZE
    assert [format.copies(one) for one in found] == [(one.width, one.height) == SIZE for one in found]


async def test_where_h265_is_the_largest_nothing_is_copied(stores: Stores) -> None:
    await record(stores.storage, capture_times(2), encoder=H265)
    await record(stores.storage, capture_times(2, START_US + 4 * US), size=SMALL)
    found = await take_over(stores.storage)
    formats = formats_of(await stores.open())
    format = await formats.find(ALL)
    assert format is not None and format.fit is not None and format.fit.copied is None
    assert not any(map(format.copies, found))
    assert await formats.codecs(ALL) == {"h264", "hevc"}


async def test_sound_anywhere_is_the_sound_of_all_and_of_two_formats_the_first(stores: Stores, binary: str) -> None:
    aac = clapping(4)
    for camera in (aac.silent(), aac.moved(6 * US), aac.silent().moved(12 * US)):
        await record_clapping(stores.storage, camera, binary=binary)
    await take_over(stores.storage)
    formats = formats_of(await stores.open())
    format = await formats.find(ALL)
    assert format is not None and format.sound is not None
    assert (format.sound.samples, format.sound.format.rate) == (1024, 16000)
    await record_clapping(stores.storage, clapping(4, codec="libopus", rate=48000).moved(20 * US), binary=binary)
    for one in stores.opened:
        await one.close()
    await take_over(stores.storage)
    formats = formats_of(await stores.open())
    for follow in (False, True):
        found = await formats.find(ALL, follow=follow)
        assert found is not None and found.sound == format.sound


async def test_where_nothing_can_be_encoded_to_any_of_the_formats_all_sound_is_encoded(
    stores: Stores, binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras = [clapping(4, codec="libopus", rate=48000), clapping(4).moved(6 * US)]
    for camera in cameras:
        await record_clapping(stores.storage, camera, binary=binary)
    await take_over(stores.storage)
    formats = formats_of(await stores.open())
    monkeypatch.setattr(StreamSound, "encoding", None)
    found = await formats.find(ALL)
    assert found is not None and found.sound == ENCODED_SOUND


def test_of_too_many_kinds_the_first_and_the_largest_are_compared() -> None:
    kinds = [SegmentKind("h264", 640 + 2 * (number == 70), 360, f"{number}", 1, 1, "") for number in range(100)]
    compared = _compared(kinds)
    assert len(compared) == 30 and compared[:-1] == kinds[:29] and compared[-1] == kinds[70]
    assert _compared(kinds[:30]) == kinds[:30]
    look = Look()
    assert _fit_of([(one, look) for one in kinds[:30]], alike=True) is None
    assert _fit_of([(one, look) for one in kinds[:30]], alike=False) is not None, "others may be different"
