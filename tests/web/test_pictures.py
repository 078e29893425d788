"""Pictures are made once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.recording import LOGGER, START_US, US
from videostore.store.store import VideoStore
from videostore.web import pictures as module
from videostore.web.parts import PartTables
from videostore.web.pictures import Pictures


@pytest.fixture
async def pictures(recording: Path) -> AsyncIterator[Pictures]:
    async with VideoStore.open(recording, logger=LOGGER) as store:
        yield Pictures(store, PartTables())


async def test_moments_with_the_same_keyframe_have_the_same_thumbnail(pictures: Pictures) -> None:
    first, lasting = await pictures.take(START_US + US // 4, 160, exact=False)
    again, _ = await pictures.take(START_US + US // 3, 160, exact=False)
    other, _ = await pictures.take(START_US + US // 3, 80, exact=False)
    assert first is again and lasting
    assert (other.width, other.captured_us) == (80, first.captured_us)


async def test_the_exact_picture_of_a_moment_is_made_once(pictures: Pictures) -> None:
    first, _ = await pictures.take(START_US + US, 160, exact=True)
    assert (await pictures.take(START_US + US, 160, exact=True))[0] is first
    assert (await pictures.take(START_US + US, 160, exact=False))[0] is not first


async def test_what_is_kept_has_a_bound(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_BYTES", 1)
    first, _ = await pictures.take(START_US + US, 160, exact=True)
    await pictures.take(START_US + 2 * US, 160, exact=True)
    assert len(pictures._kept) == 1
    assert (await pictures.take(START_US + US, 160, exact=True))[0] is not first
