"""The colours that browsers show: `make test-players`. Flat patches are recorded, and read off the screen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray

from tests.players.browsers import Chromium, Firefox
from tests.support.colour_patches import (
    PICTURES,
    TOLERANCE,
    expected_patches,
    largest_difference,
    shown_patches,
)
from tests.support.recording import START_US, US
from videostore import Packet, VideoStore, picture_packet

FRAMES = 8
FRAME_US = US // 5
BROWSERS = {browser.name: browser for browser in (Chromium(), Firefox())}
PARTS = {"copied": 0, "re-encoded": 2}
"""The first frame of a clip: one that is copied, and one before the first keyframe."""

Shown = Callable[[str], dict[tuple[str, str], NDArray[Any] | str]]


async def _record(name: str, directory: Path) -> None:
    data = PICTURES[name]()

    async def packets() -> AsyncIterator[Packet]:
        for number in range(FRAMES):
            yield picture_packet(data, START_US + number * FRAME_US)

    async with VideoStore.record(directory, packets(), size_gb=1, live=False) as store:
        await asyncio.wait_for(store.ended(), 60)
        for part, first in PARTS.items():
            clip = await store.fetch(START_US + first * FRAME_US, START_US + FRAMES * FRAME_US)
            (directory / f"{part}.clip").write_bytes(clip.data)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """The first picture of all clips in a browser, by source and part. Each browser is started once."""
    directory = tmp_path_factory.mktemp("colours")
    for number, name in enumerate(PICTURES):
        asyncio.run(_record(name, directory / str(number)))
    done: dict[str, dict[tuple[str, str], NDArray[Any] | str]] = {}

    def show(browser: str) -> dict[tuple[str, str], NDArray[Any] | str]:
        if browser not in done:
            place = directory / browser
            place.mkdir()
            names = [(name, part) for name in PICTURES for part in PARTS]
            paths = [directory / str(number) / f"{part}.clip" for number, _ in enumerate(PICTURES) for part in PARTS]
            done[browser] = dict(zip(names, BROWSERS[browser].first_pictures(paths, place), strict=True))
        return done[browser]

    return show


@pytest.mark.parametrize("browser", BROWSERS)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", PICTURES)
def test_a_browser_shows_the_colours_of_the_camera(shown: Shown, name: str, part: str, browser: str) -> None:
    if reason := BROWSERS[browser].missing():
        pytest.skip(reason)
    picture = shown(browser)[name, part]
    assert not isinstance(picture, str), picture
    found = shown_patches(picture)
    print(f"{browser}, {name}, {part}: {found}")
    assert largest_difference(found, expected_patches(name)) <= TOLERANCE, found
