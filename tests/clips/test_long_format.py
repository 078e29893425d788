"""What a long stream has one of: told from the index and a few files."""

from __future__ import annotations

import pytest

from tests.support.clapping import clapping, record_clapping
from tests.support.recording import H265, SIZE, SMALL, START_US, US, Stores, capture_times, record, take_over
from videostore.base.ranges import Range
from videostore.clips.long_format import LongFormat, LongFormats
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


async def test_sound_anywhere_is_the_sound_of_all_and_of_two_formats_there_is_none(stores: Stores, binary: str) -> None:
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
    assert await formats.find(ALL) is None
    followed = await formats.find(ALL, follow=True)
    assert followed is not None and followed.sound == format.sound
