"""Clips that are fetched in pieces, compared packet by packet with those that are fetched whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import av
import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.recording import H264, H265, SIZE, SMALL, START_US, US, capture_times, record, take_over
from videostore.base.errors import NothingStoredError, RequestError, TooLargeError
from videostore.base.ranges import Range
from videostore.ffmpeg.encoder import Encoder
from videostore.remote.splice import Joint, Packet, Piece
from videostore.remote.transfer import Transfer
from videostore.store.store import VideoStore


class Remote:
    """A recorder whose answers carry `limit_bytes`; fetches come to it as they would over the network."""

    def __init__(self, store: VideoStore, work: Path) -> None:
        self.limit_bytes = 24 << 20
        self.asked: list[Range] = []
        self.largest_bytes = 0
        self.shares: list[float] = []
        self.before: Callable[[int, int], None] = lambda from_us, to_us: None
        self._store = store
        self._work = work

    async def fetch(self, from_us: int, to_us: int, path: Path) -> tuple[Range, ...] | None:
        self.before(from_us, to_us)
        self.asked.append(Range(from_us, to_us))
        clip = await self._store.fetch(from_us, to_us, limit_bytes=self.limit_bytes)
        path.write_bytes(clip.data)
        self.largest_bytes = max(self.largest_bytes, len(clip.data))
        return clip.ranges

    async def transfer(self, from_us: int, to_us: int) -> tuple[Path, tuple[Range, ...] | None]:
        """The clip of a range, and what it holds where that is not all."""
        work = self._work / f"work{len(list(self._work.iterdir()))}"
        work.mkdir()
        transfer = Transfer(self.fetch, work, Range(from_us, to_us), self.shares.append)
        await transfer.fetch()
        left = {path.name for path in work.iterdir()} - {"before.mp4", "bridge.mp4", "even.txt"}
        assert transfer.path.name in left and not any(name.startswith("piece") for name in left), left
        return transfer.path, transfer.ranges

    async def both(self, from_us: int, to_us: int, limit_bytes: int) -> tuple[Path, Path]:
        """The clip of a range, whole and in pieces."""
        self.limit_bytes = 24 << 20
        whole, ranges = await self.transfer(from_us, to_us)
        self.limit_bytes = limit_bytes
        self.asked.clear()
        joined, same = await self.transfer(from_us, to_us)
        assert ranges == same
        assert self.largest_bytes and len(self.asked) > 3
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


def same_frames(one: Path, other: Path) -> bool:
    """Whether two clips hold the same packets at the same times, but for how long the last is shown."""
    a, b = Piece.read(one).packets, Piece.read(other).packets
    return [(p.digest, p.hidden, p.at_us) for p in a] == [(p.digest, p.hidden, p.at_us) for p in b]


async def recorded(
    directory: Path, *runs: list[int], encoder: Encoder = H264, sizes: tuple[tuple[int, int], ...] = ()
) -> Path:
    for number, times in enumerate(runs):
        await record(directory, times, size=sizes[number] if sizes else SIZE, encoder=encoder)
    await take_over(directory)
    return directory


@pytest.mark.parametrize("seed", range(3))
async def test_pieces_make_the_same_clip_as_one_whatever_their_size(tmp_path: Path, remote: Any, seed: int) -> None:
    times = capture_times(12, fps=10, seed=seed)
    dice = random.Random(seed)
    machine = await remote(await recorded(tmp_path / "recording", times))
    for _ in range(2):
        from_us, to_us = times[dice.randrange(1, 30)] - dice.randrange(2), times[dice.randrange(80, 110)]
        whole, joined = await machine.both(from_us, to_us, dice.randrange(120_000, 300_000))
        check = check_clip(read_clip(joined), times, from_us, to_us)
        assert check.flawless and check.drift_ms < 0.01, check
        assert same_frames(whole, joined)


async def test_every_frame_a_keyframe_or_not_the_distance_over_a_seam_is_exact(tmp_path: Path, remote: Any) -> None:
    """At 0.7 frames a second nothing is hidden at the start of a piece."""
    times = capture_times(60, fps=0.7)
    machine = await remote(await recorded(tmp_path / "recording", times))
    whole, joined = await machine.both(times[1], times[-1], 200_000)
    assert same_frames(whole, joined)
    assert check_clip(read_clip(joined), times, times[1], times[-1]).drift_ms < 0.01


@pytest.mark.parametrize(("step_s", "limit_bytes"), [(0.7, 55_000), (3, 45_000), (3, 70_000)])
async def test_where_an_answer_carries_but_a_few_frames_the_times_over_seams_are_exact_and_none_is_guessed(
    tmp_path: Path, remote: Any, monkeypatch: pytest.MonkeyPatch, step_s: float, limit_bytes: int
) -> None:
    times = [START_US + int(number * step_s * US) + number % 3 * 1003 for number in range(12)]
    directory = tmp_path / "recording"
    await record(directory, times, segment_seconds=10)
    await take_over(directory)
    machine = await remote(directory)
    # As older modules have it, the last frame of a clip tells nothing of how long it lasts.
    monkeypatch.setattr(Joint, "end_us", property(lambda joint: joint.last.at_us + 1))
    whole, joined = await machine.both(times[0], times[-1] + 1, limit_bytes)
    assert same_frames(whole, joined)
    assert check_clip(read_clip(joined), times, times[0], times[-1] + 1).drift_ms < 0.01


async def test_times_over_a_seam_that_cannot_be_told_are_told_to_be_missing(tmp_path: Path, remote: Any) -> None:
    times = [START_US + number * 3 * US for number in range(8)]
    seam_us: list[int] = []

    def vanish(from_us: int, to_us: int) -> None:
        """Once the first piece is here, nothing can be asked for that reaches before its end."""
        if any(from_us < one for one in seam_us):
            raise NothingStoredError("It is gone by now.")

    directory = tmp_path / "recording"
    await record(directory, times, segment_seconds=60)
    await take_over(directory)
    machine = await remote(directory)
    machine.limit_bytes, machine.before = 100_000, vanish
    fetch = machine.fetch

    async def note(from_us: int, to_us: int, path: Path) -> Any:
        ranges = await fetch(from_us, to_us, path)
        if path.name == "piece0.mp4":
            seam_us.append(to_us)
        return ranges

    machine.fetch = note
    joined, ranges = await machine.transfer(times[0], times[-1] + 1)
    assert len(read_clip(joined)) == 8
    (seam,) = seam_us
    assert ranges is not None
    assert (ranges[0].to_us, ranges[1].from_us) == (seam - 1000, seam)


def test_of_a_still_scene_that_repeats_itself_to_the_byte_no_distance_is_told(tmp_path: Path) -> None:
    def packet(digest: bytes, at_us: int) -> Packet:
        return Packet(digest, True, False, at_us, 1)

    def piece(*packets: Packet) -> Piece:
        return Piece(tmp_path, "h264", 2, 2, b"", packets)

    still = [packet(b"a", 0), packet(b"a", 40), packet(b"a", 100)]
    assert piece(*still).distance_us(still[0], still[1]) is None
    assert piece(*still[:2]).distance_us(still[0], still[1]) == 40
    assert piece(*still, packet(b"b", 130)).distance_us(still[0], packet(b"b", 0)) == 30


async def test_h265_is_joined_without_encoding(tmp_path: Path, remote: Any) -> None:
    times = capture_times(8)
    machine = await remote(await recorded(tmp_path / "recording", times, encoder=H265))
    whole, joined = await machine.both(times[5], times[-1], whole_bytes(tmp_path / "recording") // 3)
    assert same_frames(whole, joined)


def whole_bytes(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("*.mp4"))


async def test_a_gap_is_left_out_and_told_as_for_a_clip_that_comes_whole(tmp_path: Path, remote: Any) -> None:
    first, second = capture_times(6), capture_times(6, START_US + 30 * US + 77)
    machine = await remote(await recorded(tmp_path / "recording", first, second))
    whole, joined = await machine.both(first[3], second[-1], 150_000)
    check = check_clip(read_clip(joined), first + second, first[3], second[-1])
    assert check.flawless
    one, other = Piece.read(whole).packets, Piece.read(joined).packets
    assert [packet.digest for packet in one] == [packet.digest for packet in other]
    # How long the last frame before the gap is shown is a guess.
    assert all(abs(a.at_us - b.at_us) < US // 10 for a, b in zip(one, other, strict=True))


async def test_a_change_of_picture_size_is_evened_out_and_loses_no_frame(tmp_path: Path, remote: Any) -> None:
    first = capture_times(5)
    second = capture_times(5, first[-1] + US // 10)
    machine = await remote(await recorded(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
    machine.limit_bytes = 110_000
    joined, ranges = await machine.transfer(first[2], second[-1])
    assert len(machine.asked) > 3
    check = check_clip(read_clip(joined, [SMALL]), first + second, first[2], second[-1])
    assert check.flawless and check.drift_ms < 100, check  # the last frame's length is a guess where the sizes meet
    assert ranges is None


async def test_what_was_recorded_between_two_fetches_is_shown_and_what_is_missing_is_not_made_up(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    """Near the present a piece may lack its end, which the next one hides at its start."""

    async def fetched(from_us: int, to_us: int) -> Piece:
        path = tmp_path / f"{from_us}-{to_us}.mp4"
        path.write_bytes((await store.fetch(from_us, to_us)).data)
        return Piece.read(path)

    async with VideoStore.open(recording) as store:
        whole = await fetched(times[2], times[40])
        keyframe = next(n for n, packet in enumerate(whole.packets) if packet.keyframe and n > 15)
        at = 2 - whole.head + keyframe
        first, second = await fetched(times[2], times[at + 3]), await fetched(times[at + 6], times[40])
        far = await fetched(times[40], times[-1])
    joint = Joint(tmp_path / "joined.mp4", first, faststart=False)
    assert joint.seam(far) is None
    seam = joint.seam(second)
    assert seam is not None and seam.written == 3 and second.head == 6
    joint.add(second, seam)
    joint.close()
    assert same_frames(whole.path, joint.path)
    with av.open(str(whole.path)) as one, av.open(str(joint.path)) as other:
        assert one.metadata["creation_time"] == other.metadata["creation_time"]


async def test_what_fits_nowhere_is_refused_in_the_recorders_words_and_what_is_not_there_as_well(
    recording: Path, times: list[int], remote: Any
) -> None:
    machine = await remote(recording)
    machine.limit_bytes = 1000
    with pytest.raises(TooLargeError, match="fetch at most"):
        await machine.transfer(times[0], times[-1])
    with pytest.raises(NothingStoredError):
        await machine.transfer(times[0] - 60 * US, times[0] - 30 * US)
    assert not machine.shares or machine.shares == [1.0]


async def test_a_range_that_reaches_beyond_the_present_ends_there(
    recording: Path, times: list[int], remote: Any
) -> None:
    def refuse(from_us: int, to_us: int) -> None:
        if from_us >= times[-1]:
            raise RequestError("'from' (…) lies in the future: it is … here.")

    machine = await remote(recording)
    machine.limit_bytes, machine.before = 200_000, refuse
    joined, ranges = await machine.transfer(times[1], times[-1] + 4 * US)
    assert check_clip(read_clip(joined), times, times[1], times[-1] + 1).flawless
    assert ranges is not None and ranges[0].from_us == times[1]


async def test_cancelling_while_parts_are_evened_out_leaves_no_child(tmp_path: Path, remote: Any) -> None:
    first = capture_times(5)
    second = capture_times(5, first[-1] + US // 10)
    machine = await remote(await recorded(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
    machine.limit_bytes = 110_000
    children = psutil.Process().children()
    transferring = asyncio.create_task(machine.transfer(first[2], second[-1]))
    while not list((tmp_path / "work").glob("*/even0.mp4")):
        await asyncio.sleep(0.002)
        assert not transferring.done()
    transferring.cancel()
    with pytest.raises(asyncio.CancelledError):
        await transferring
    assert psutil.Process().children() == children
