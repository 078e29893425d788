"""Where the pieces of a clip are joined: the times, the coding and the gaps of the whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.amount import at_most, cut_short, some, some_combinations
from tests.support.clip_time_checks import check_times
from tests.support.coding import coded_packets, record_coded
from tests.support.packets import same_frames
from tests.support.recording import H265, SIZE, SMALL, START_US, US, capture_times, record, take_over
from tests.support.remote_recorder import drift_limit_ms, record_runs, whole_bytes
from videostore.base.errors import NothingStoredError, RequestError
from videostore.base.ranges import Range
from videostore.media.clip_reader import read_clip_times
from videostore.remote.splice import Piece, SplicedClip


async def test_a_clip_with_a_piece_of_an_older_module_does_not_tell_its_time(tmp_path: Path, remote: Any) -> None:
    times = capture_times(8)
    machine = await remote(await record_runs(tmp_path / "recording", times))

    def update(from_us: int, to_us: int) -> None:
        machine.older = len(machine.requested) != 2

    machine.limit_bytes, machine.before = whole_bytes(tmp_path / "recording") // 2, update
    joined, _ = await machine.transfer(times[1], times[-1])
    assert len(machine.requested) > 3
    with pytest.raises(RequestError) as refused:
        read_clip_times(joined)
    assert refused.value.code == "clip-untimed-but-dated"


@some("older", [False, True], 1)
async def test_the_time_between_pieces_is_exact_even_if_every_frame_is_a_keyframe(
    tmp_path: Path, remote: Any, older: bool
) -> None:
    """At 0.7 frames per second nothing is hidden at the start of a piece."""
    times = capture_times(60, fps=0.7)
    machine = await remote(await record_runs(tmp_path / "recording", times))
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
    machine = await remote(await record_runs(tmp_path / "recording", times, encoder=H265))
    whole, joined = await machine.both(times[5], times[-1], whole_bytes(tmp_path / "recording") // 3)
    assert same_frames(whole, joined)


async def test_a_gap_is_left_out_and_reported_as_for_a_clip_of_one_piece(tmp_path: Path, remote: Any) -> None:
    first, second = capture_times(6), capture_times(6, START_US + 30 * US + 77)
    machine = await remote(await record_runs(tmp_path / "recording", first, second))
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
    machine = await remote(await record_runs(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
    machine.limit_bytes = 110_000
    joined, ranges = await machine.transfer(first[2], second[-1])
    assert len(machine.requested) > 3
    check = check_clip(read_clip(joined, [SMALL]), first + second, first[2], second[-1])
    assert check.flawless and check.drift_ms < 100, check  # the duration of the last frame before the change is a guess
    assert ranges is None


async def test_cancelling_a_reencoding_leaves_no_child_process(tmp_path: Path, remote: Any) -> None:
    first = capture_times(5)
    second = capture_times(5, first[-1] + US // 10)
    machine = await remote(await record_runs(tmp_path / "recording", first, second, sizes=(SMALL, SIZE)))
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
