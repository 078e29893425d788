"""Pieces of clips, and what splicing them keeps."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.coding import coded_packets, record_coded
from tests.support.packets import RESOLUTION_MS, same_frames
from tests.support.recording import US, capture_times
from videostore.ffmpeg.process import find_ffmpeg, run_ffmpeg
from videostore.media.look import Look
from videostore.remote.splice import Packet, Piece, SplicedClip, SplicePoint
from videostore.store.store import VideoStore


async def fetched(store: VideoStore, from_us: int, to_us: int, directory: Path) -> Piece:
    path = directory / f"{from_us}-{to_us}.mp4"
    path.write_bytes((await store.fetch(from_us, to_us)).data)
    return Piece.read(path)


async def test_a_piece_hides_nothing_and_older_modules_hide_what_is_before_its_start(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    async with VideoStore.open(recording) as store:
        piece = await fetched(store, times[5], times[20], tmp_path)
    assert (piece.codec, piece.in_display_order, piece.hidden_packets) == ("h264", True, 0)
    assert [packet.time_us for packet in piece.packets] == pytest.approx([t - times[5] for t in times[5:20]], abs=12)
    hiding = tmp_path / "hiding.mp4"
    cutting = ["-ss", str((times[5] - times[0]) / US), "-i", str(min(recording.glob("*.mp4"))), "-c", "copy"]
    await run_ffmpeg([find_ffmpeg(), "-v", "error", *cutting, str(hiding)])
    piece = Piece.read(hiding)
    assert piece.hidden_packets > 0 and piece.packets[0].keyframe
    assert piece.first.time_us == 0 and piece.packets[0].time_us < 0


def test_a_file_without_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        container.add_stream("pcm_s16le", rate=8000)
        container.start_encoding()
    with pytest.raises(ValueError, match="no video"):
        Piece.read(path)
    path.write_text("no video at all")
    with pytest.raises(av.error.FFmpegError):
        Piece.read(path)


def test_only_pieces_of_one_codec_size_and_setup_can_be_joined(tmp_path: Path) -> None:
    packets = (Packet(b"a", True, False, 0, 1), Packet(b"b", False, False, 1, 1))
    piece = Piece(tmp_path, "hevc", 320, 180, b"setup", Look(), packets)
    assert piece.joins(replace(piece))
    for changes in ({"codec": "h264"}, {"width": 640}, {"height": 360}, {"extradata": b"another"}):
        assert not piece.joins(replace(piece, **changes))
    assert not piece.joins(replace(piece, look=Look(Fraction(16, 11))))
    h264 = replace(piece, codec="h264")
    assert h264.joins(replace(h264, extradata=b"another"))
    assert not piece.joins(replace(piece, packets=packets[::-1]))


def test_a_piece_knows_the_time_between_two_frames_by_their_number(tmp_path: Path) -> None:
    times_us = [0, 40, 100]
    packets = tuple(Packet(b"a", True, False, at_us, 1) for at_us in times_us)
    hidden = Packet(b"a", True, True, -20, 1)
    for piece in (
        Piece(tmp_path, "h264", 2, 2, b"", Look(), packets),
        Piece(tmp_path, "h264", 2, 2, b"", Look(), (hidden, *packets)),
    ):
        assert piece.shown_packets == 3
        assert [piece.interval_us(number) for number in (1, 2, 3)] == [40, 60, None]


async def test_frames_recorded_between_two_fetches_are_shown_and_a_missing_part_is_not_spliced_over(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    """Near the present a piece may lack its end, which the next one has too."""
    async with VideoStore.open(recording) as store:
        whole = await fetched(store, times[2], times[40], tmp_path)
        keyframe = next(n for n, packet in enumerate(whole.packets) if packet.keyframe and n > 15)
        at = 2 + keyframe
        first = await fetched(store, times[2], times[at + 3], tmp_path)
        second = await fetched(store, times[at] - 1, times[40], tmp_path)
        far = await fetched(store, times[40], times[-1], tmp_path)
    clip = SplicedClip(tmp_path / "joined.mp4", first, faststart=False)
    assert clip.overlap(far) is None
    assert clip.last.time_us - clip.overlap_us <= times[at] - times[2]
    point = clip.splice_point(second)
    assert point is not None and point.skipped_packets == 3
    clip.append(second, point)
    clip.close()
    assert same_frames(whole.path, clip.path)
    with av.open(str(whole.path)) as one, av.open(str(clip.path)) as other:
        assert one.metadata["creation_time"] == other.metadata["creation_time"]


async def test_a_clip_ends_where_its_last_frame_ends_or_would_end(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    async with VideoStore.open(recording) as store:
        piece = await fetched(store, times[2], times[10], tmp_path)
    clip = SplicedClip(tmp_path / "clip.mp4", piece, faststart=False)
    assert clip.end_us == clip.last.time_us + clip.last.duration_us
    last = replace(piece.packets[-1], duration_us=0)
    clip.append(replace(piece, packets=(*piece.packets[:-1], last)), SplicePoint(piece.hidden_packets, clip.end_us))
    assert abs(clip.end_us - clip.last.time_us - (times[9] - times[8])) <= 1000 * RESOLUTION_MS
    clip.close()
    clip.close()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("cuts", [(3, 34, 41, 55), (0, 12, 24, 36)])
async def test_pieces_with_b_frames_are_joined_as_they_are(tmp_path: Path, codec: str, cuts: tuple[int, ...]) -> None:
    times = capture_times(3, fps=20, seed=7)
    storage = tmp_path / "storage"
    run = await record_coded(storage, coded_packets(times, codec, gop=12, b_frames=2), segment_seconds=1)
    assert run.format.reordered
    async with VideoStore.open(storage) as store:
        pieces = [await fetched(store, times[first], times[last], tmp_path) for first, last in itertools.pairwise(cuts)]
    clip = SplicedClip(tmp_path / "clip.mp4", pieces[0], faststart=False)
    for piece in pieces[1:]:
        point = clip.splice_point(piece)
        assert point is not None
        clip.append(piece, point)
    assert clip.overlap_us > 1000 * US  # no piece has the end of another
    clip.close()
    shown = read_clip(clip.path)
    expected = times[cuts[0] : cuts[-1]]
    assert [frame and frame.captured_us for _, frame in shown] == expected
    off_us = [s * US - shown[0][0] * US - (t - expected[0]) for (s, _), t in zip(shown, expected, strict=True)]
    assert max(map(abs, off_us)) < 1000 * RESOLUTION_MS * 3
    with av.open(str(clip.path)) as container:
        decoded = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert decoded == sorted(set(decoded))
