"""Clips that are fetched in pieces, compared packet by packet with those that are fetched at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import some
from tests.support.clip_time_checks import check_times
from tests.support.packets import RESOLUTION_MS, same_frames
from tests.support.recording import START_US, US, capture_times
from tests.support.remote_recorder import drift_limit_ms, record_runs
from videostore.base.errors import NoRoomError, NothingStoredError, RequestError, TooLargeError
from videostore.media.clip_reader import read_clip_times


@some("seed", range(3), 1)
async def test_pieces_of_any_size_make_the_same_clip(tmp_path: Path, remote: Any, seed: int) -> None:
    times = capture_times(12, fps=10, seed=seed)
    dice = random.Random(seed)
    machine = await remote(await record_runs(tmp_path / "recording", times))
    for _ in range(2):
        from_us, to_us = times[dice.randrange(1, 30)] - dice.randrange(2), times[dice.randrange(80, 110)]
        whole, joined = await machine.both(from_us, to_us, dice.randrange(120_000, 300_000))
        check = check_clip(read_clip(joined), times, from_us, to_us)
        assert check.flawless and check.drift_ms <= RESOLUTION_MS, check
        assert same_frames(whole, joined)
        assert check_times(joined).times == read_clip_times(whole)


def uneven_times(seed: int) -> list[int]:
    """Capture times as those of a camera of a busy machine. Keyframes are at uneven distances, too."""
    dice, times = random.Random(seed), [START_US]
    while times[-1] < START_US + 7 * US:
        times.append(times[-1] + round((dice.uniform(0.05, 0.2) + dice.uniform(0, 0.15)) * US))
    return times


@some("seed", [16, 23, 17, 21, 0, 1], 2)
async def test_nothing_is_encoded_again_where_a_response_holds_the_last_keyframe_and_what_follows(
    tmp_path: Path, remote: Any, seed: int
) -> None:
    """A piece that is refused gets shorter, and keeps what is in front of it."""
    times = uneven_times(seed)
    machine = await remote(await record_runs(tmp_path / "recording", times))
    from_us, to_us = times[2] + 1, times[0] + 4 * US
    whole, joined = await machine.both(from_us, to_us, 0.6)
    assert same_frames(whole, joined)
    check = check_clip(read_clip(joined), times, from_us, to_us)
    assert check.flawless and check.drift_ms <= RESOLUTION_MS, check


@pytest.mark.parametrize("limit_bytes", [28_500, 29_000, 29_500])
async def test_pieces_so_short_that_no_frame_was_captured_in_some_make_the_same_clip(
    tmp_path: Path, remote: Any, limit_bytes: int
) -> None:
    times = [one for one in capture_times(6) if not 2_300_000 < one - START_US < 3_000_000]
    machine = await remote(await record_runs(tmp_path / "recording", times))
    from_us, to_us = times[2], times[-3]
    _, joined = await machine.both(from_us, to_us, limit_bytes)
    check = check_clip(read_clip(joined), times, from_us, to_us)
    assert check.flawless and check.drift_ms <= drift_limit_ms(machine), check


async def test_a_clip_that_no_response_can_hold_is_refused_and_so_is_an_empty_range(
    recording: Path, times: list[int], remote: Any
) -> None:
    machine = await remote(recording)
    machine.limit_bytes = 1000
    with pytest.raises(TooLargeError, match="too small for any part"):
        await machine.transfer(times[0], times[-1])
    with pytest.raises(NothingStoredError):
        await machine.transfer(times[0] - 60 * US, times[0] - 30 * US)
    assert not machine.shares or machine.shares == [1.0]


def in_future(from_us: int) -> RequestError:
    return RequestError("from-in-future", from_us=from_us, clock_us=from_us)


def without_code(from_us: int) -> RequestError:
    """As it comes from an older module, or through WebRTC."""
    return RequestError("'from' timestamp is in the future.")


@pytest.mark.parametrize("refusal", [in_future, without_code])
async def test_a_range_that_reaches_into_the_future_ends_at_the_present(
    recording: Path, times: list[int], remote: Any, refusal: Callable[[int], RequestError]
) -> None:
    def refuse(from_us: int, to_us: int) -> None:
        if from_us >= times[-1]:
            raise refusal(from_us)

    machine = await remote(recording)
    machine.limit_bytes, machine.before = 200_000, refuse
    machine.clock.wall = times[-1] + US
    joined, ranges = await machine.transfer(times[1], times[-1] + 4 * US)
    assert check_clip(read_clip(joined), times, times[1], times[-1] + 1).flawless
    assert ranges is not None and ranges[0].from_us == times[1]


@pytest.mark.parametrize(
    "error",
    [
        RequestError("path-unlistable", path="/data"),
        RequestError("The clip is empty, says a machine without codes."),
        NoRoomError("no-room-for-clip", path="/", size_bytes=2, free_bytes=1, longest_s=0.5),
        NoRoomError("No room."),
    ],
)
async def test_another_refusal_of_a_later_piece_is_raised(
    recording: Path, times: list[int], remote: Any, error: RequestError
) -> None:
    def refuse(from_us: int, to_us: int) -> None:
        if from_us > times[0]:
            raise error

    machine = await remote(recording)
    machine.limit_bytes, machine.before = 200_000, refuse
    with pytest.raises(type(error)) as raised:
        await machine.transfer(times[0], times[-1])
    assert raised.value is error


async def test_a_future_range_is_refused_if_no_piece_was_fetched(
    recording: Path, times: list[int], remote: Any
) -> None:
    def refuse(from_us: int, to_us: int) -> None:
        raise in_future(from_us)

    machine = await remote(recording)
    machine.before = refuse
    with pytest.raises(RequestError, match="future"):
        await machine.transfer(times[0], times[-1])


async def test_without_the_size_of_a_clip_the_length_of_pieces_is_halved_until_they_fit(
    recording: Path, times: list[int], remote: Any
) -> None:
    machine = await remote(recording)
    machine.limit_bytes, limited = 1 << 30, 200_000
    whole, _ = await machine.transfer(times[1], times[-1])
    fetch, pieces = machine.fetch, []

    async def fetch_without_data(from_us: int, to_us: int, path: Path) -> Any:
        ranges = await fetch(from_us, to_us, path)
        refused = (await asyncio.to_thread(path.stat)).st_size > limited
        if path.name.startswith("piece"):
            pieces.append((to_us - from_us, refused))
        if refused:
            raise TooLargeError("The clip is too large.")
        return ranges

    machine.fetch = fetch_without_data
    joined, ranges = await machine.transfer(times[1], times[-1])
    assert same_frames(whole, joined) and ranges is None
    assert pieces[0] == (times[-1] - times[1], True)
    for (length_us, refused), (next_us, _) in itertools.pairwise(pieces):
        assert next_us <= (length_us // 2 + 1000 if refused else 2 * length_us), pieces
    assert sum(refused for _, refused in pieces) <= 4, pieces
    assert index_is_first(joined) and index_is_first(whole)


def index_is_first(path: Path) -> bool:
    data = path.read_bytes()
    return data.index(b"moov") < data.index(b"mdat")
