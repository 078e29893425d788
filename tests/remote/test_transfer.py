"""Clips that are fetched in pieces, compared packet by packet with those that are fetched at once."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short, some, some_combinations
from tests.support.clip_time_checks import check_times
from tests.support.coding import coded_packets, record_coded
from tests.support.packets import RESOLUTION_MS, same_frames
from tests.support.recording import H264, H265, SIZE, SMALL, START_US, US, FixedClock, capture_times, record, take_over
from videostore.base.errors import NoRoomError, NothingStoredError, RequestError, TooLargeError
from videostore.base.ranges import Range
from videostore.ffmpeg.encoder import Encoder
from videostore.media.clip_reader import read_clip_times
from videostore.remote.splice import Piece, SplicedClip
from videostore.remote.transfer import Transfer
from videostore.store.store import VideoStore


class Remote:
    """A recorder whose responses hold `limit_bytes`. It is called as it would be over the network."""

    def __init__(self, store: VideoStore, work: Path) -> None:
        self.limit_bytes = 24 << 20
        self.requested: list[Range] = []
        self.largest_bytes = 0
        self.shares: list[float] = []
        self.before: Callable[[int, int], None] = lambda from_us, to_us: None
        self.clock = FixedClock()
        self.older = False
        """Whether its clips do not tell their times, as those of older modules."""
        self._store = store
        self._work = work

    async def fetch(self, from_us: int, to_us: int, path: Path) -> tuple[Range, ...] | None:
        self.before(from_us, to_us)
        self.requested.append(Range(from_us, to_us))
        clip = await self._store.fetch(from_us, to_us, limit_bytes=self.limit_bytes)
        data = clip.data.replace(b"ldes", b"free") if self.older else clip.data
        await asyncio.to_thread(path.write_bytes, data)
        self.largest_bytes = max(self.largest_bytes, len(clip.data))
        return clip.ranges

    async def transfer(self, from_us: int, to_us: int) -> tuple[Path, tuple[Range, ...] | None]:
        """The clip of a range, and what it holds if it is not complete."""
        work = self._work / f"work{len(list(self._work.iterdir()))}"
        work.mkdir()
        transfer = Transfer(self.fetch, work, Range(from_us, to_us), self.shares.append, self.clock)
        await transfer.fetch()
        remaining = {path.name for path in work.iterdir()} - {"before.mp4", "bridge.mp4", "encoded.txt"}
        assert transfer.path.name in remaining, remaining
        assert not any(name.startswith("piece") for name in remaining), remaining
        return transfer.path, transfer.ranges

    async def both(self, from_us: int, to_us: int, limit: float) -> tuple[Path, Path]:
        """The clip of a range, fetched at once and in pieces. `limit` is in bytes, or a share of the whole clip."""
        self.limit_bytes = 24 << 20
        whole, ranges = await self.transfer(from_us, to_us)
        self.limit_bytes = int(limit if limit > 1 else (await asyncio.to_thread(whole.stat)).st_size * limit)
        self.requested.clear()
        joined, same = await self.transfer(from_us, to_us)
        assert ranges == same
        assert self.largest_bytes and len(self.requested) > 3
        return whole, joined


@pytest.fixture
async def remote(tmp_path: Path) -> AsyncIterator[Callable[..., object]]:
    """Opens a directory as a remote recorder."""
    opened: list[VideoStore] = []

    async def open_remote(directory: Path) -> Remote:
        store = VideoStore.open(directory)
        await store.start()
        opened.append(store)
        work = tmp_path / "work"
        work.mkdir()
        return Remote(store, work)

    yield open_remote
    for store in opened:
        await store.close()


async def recorded(
    directory: Path, *runs: list[int], encoder: Encoder = H264, sizes: tuple[tuple[int, int], ...] = ()
) -> Path:
    for number, times in enumerate(runs):
        await record(directory, times, size=sizes[number] if sizes else SIZE, encoder=encoder)
    await take_over(directory)
    return directory


@some("seed", range(3), 1)
async def test_pieces_of_any_size_make_the_same_clip(tmp_path: Path, remote: Any, seed: int) -> None:
    times = capture_times(12, fps=10, seed=seed)
    dice = random.Random(seed)
    machine = await remote(await recorded(tmp_path / "recording", times))
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
    machine = await remote(await recorded(tmp_path / "recording", times))
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
    machine = await remote(await recorded(tmp_path / "recording", times))
    from_us, to_us = times[2], times[-3]
    _, joined = await machine.both(from_us, to_us, limit_bytes)
    check = check_clip(read_clip(joined), times, from_us, to_us)
    assert check.flawless and check.drift_ms <= drift_limit_ms(machine), check


async def test_a_clip_with_a_piece_of_an_older_module_does_not_tell_its_time(tmp_path: Path, remote: Any) -> None:
    times = capture_times(8)
    machine = await remote(await recorded(tmp_path / "recording", times))

    def update(from_us: int, to_us: int) -> None:
        machine.older = len(machine.requested) != 2

    machine.limit_bytes, machine.before = whole_bytes(tmp_path / "recording") // 2, update
    joined, _ = await machine.transfer(times[1], times[-1])
    assert len(machine.requested) > 3
    with pytest.raises(RequestError) as refused:
        read_clip_times(joined)
    assert refused.value.code == "clip-untimed-but-dated"


def drift_limit_ms(machine: Remote) -> float:
    """Only clips of older modules, which do not tell their times, are joined by times that are rounded."""
    return RESOLUTION_MS * (len(machine.requested) if machine.older else 1)


@some("older", [False, True], 1)
async def test_the_time_between_pieces_is_exact_even_if_every_frame_is_a_keyframe(
    tmp_path: Path, remote: Any, older: bool
) -> None:
    """At 0.7 frames per second nothing is hidden at the start of a piece."""
    times = capture_times(60, fps=0.7)
    machine = await remote(await recorded(tmp_path / "recording", times))
    machine.older = older
    whole, joined = await machine.both(times[1], times[-1], 200_000)
    assert same_frames(whole, joined)
    check = check_clip(read_clip(joined), times, times[1], times[-1])
    assert check.drift_ms <= drift_limit_ms(machine)


@cut_short
@some_combinations(few=[(0.7, 55_000), (3, 45_000), (3, 70_000)], older=[False, True])
async def test_the_time_between_pieces_is_exact_even_if_a_response_holds_only_a_few_frames(
    tmp_path: Path, remote: Any, monkeypatch: pytest.MonkeyPatch, few: tuple[float, int], older: bool
) -> None:
    step_s, limit_bytes = few
    times = [START_US + int(number * step_s * US) + number % 3 * 1003 for number in range(at_most(12, 8))]
    directory = tmp_path / "recording"
    await record(directory, times, segment_seconds=10)
    await take_over(directory)
    machine = await remote(directory)
    machine.older = older
    # As in clips of older modules, the last frame has no duration.
    monkeypatch.setattr(SplicedClip, "end_us", property(lambda clip: clip.last.time_us + 1))
    whole, joined = await machine.both(times[0], times[-1] + 1, limit_bytes)
    # A piece that cannot hold the last keyframe of the one before begins with frames that are re-encoded.
    assert step_s < 1 or same_frames(whole, joined)
    check = check_clip(read_clip(joined), times, times[0], times[-1] + 1)
    assert check.drift_ms <= drift_limit_ms(machine)


async def test_an_unknown_time_between_pieces_is_reported_as_a_gap(tmp_path: Path, remote: Any) -> None:
    times = [START_US + number * 3 * US for number in range(8)]
    seam_us: list[int] = []

    def vanish(from_us: int, to_us: int) -> None:
        """After the first piece, no range can be fetched that starts before its end."""
        if any(from_us < one for one in seam_us):
            raise NothingStoredError("storage-empty", asked=Range(from_us, to_us))

    directory = tmp_path / "recording"
    await record(directory, times, segment_seconds=60)
    await take_over(directory)
    machine = await remote(directory)
    machine.limit_bytes, machine.before, machine.older = 100_000, vanish, True
    fetch = machine.fetch

    async def record_seam(from_us: int, to_us: int, path: Path) -> Any:
        ranges = await fetch(from_us, to_us, path)
        if path.name == "piece0.mp4":
            seam_us.append(to_us)
        return ranges

    machine.fetch = record_seam
    joined, ranges = await machine.transfer(times[0], times[-1] + 1)
    assert len(read_clip(joined)) == 8
    (seam,) = seam_us
    assert ranges is not None
    assert (ranges[0].to_us, ranges[1].from_us) == (seam - 1000, seam)


@some("codec", ["h264", "hevc"], 1)
async def test_pieces_with_b_frames_are_joined_and_not_encoded_again(tmp_path: Path, remote: Any, codec: str) -> None:
    times = capture_times(12, fps=10, seed=4)
    await record_coded(tmp_path / "recording", coded_packets(times, codec, gop=4, b_frames=2, size=SIZE))
    await take_over(tmp_path / "recording")
    machine = await remote(tmp_path / "recording")
    whole, joined = await machine.both(times[3], times[100], whole_bytes(tmp_path / "recording") // 5)
    for path in (whole, joined):
        check = check_clip(read_clip(path), times, times[3], times[100])
        assert check.flawless and check.drift_ms < 1, (path, check)
    assert not (joined.parent / "encoded.txt").exists()
    assert check_times(joined).times == read_clip_times(whole)


async def test_h265_is_joined_without_reencoding(tmp_path: Path, remote: Any) -> None:
    times = capture_times(8)
    machine = await remote(await recorded(tmp_path / "recording", times, encoder=H265))
    whole, joined = await machine.both(times[5], times[-1], whole_bytes(tmp_path / "recording") // 3)
    assert same_frames(whole, joined)


def whole_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.mp4"))


async def test_a_gap_is_left_out_and_reported_as_for_a_clip_of_one_piece(tmp_path: Path, remote: Any) -> None:
    first, second = capture_times(6), capture_times(6, START_US + 30 * US + 77)
    machine = await remote(await recorded(tmp_path / "recording", first, second))
    whole, joined = await machine.both(first[3], second[-1], 150_000)
    check = check_clip(read_clip(joined), first + second, first[3], second[-1])
    assert check.flawless
    one, other = Piece.read(whole).packets, Piece.read(joined).packets
    assert [packet.digest for packet in one] == [packet.digest for packet in other]
    # The duration of the last frame before the gap is a guess.
    assert all(abs(a.time_us - b.time_us) < US // 10 for a, b in zip(one, other, strict=True))
    assert check_times(joined).times == read_clip_times(whole)


async def test_a_change_of_image_size_is_reencoded_and_loses_no_frame(tmp_path: Path, remote: Any) -> None:
    first = capture_times(5)
    second = capture_times(5, first[-1] + US // 10)
    machine = await remote(await recorded(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
    machine.limit_bytes = 110_000
    joined, ranges = await machine.transfer(first[2], second[-1])
    assert len(machine.requested) > 3
    check = check_clip(read_clip(joined, [SMALL]), first + second, first[2], second[-1])
    assert check.flawless and check.drift_ms < 100, check  # the duration of the last frame before the change is a guess
    assert ranges is None


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


async def test_cancelling_a_reencoding_leaves_no_child_process(tmp_path: Path, remote: Any) -> None:
    first = capture_times(5)
    second = capture_times(5, first[-1] + US // 10)
    machine = await remote(await recorded(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
    machine.limit_bytes = 110_000
    children = psutil.Process().children()
    transferring = asyncio.create_task(machine.transfer(first[2], second[-1]))
    while not list((tmp_path / "work").glob("*/encoded0.mp4")):
        await asyncio.sleep(0.002)
        assert not transferring.done()
    transferring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await transferring
    assert psutil.Process().children() == children
