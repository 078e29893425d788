"""Pieces of clips, and what splicing them keeps."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.support.packets import RESOLUTION_MS, same_frames
from tests.support.recording import US
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.look import Look
from videostore.remote.splice import Packet, Piece, SplicedClip, SplicePoint, reencode_to_one_size
from videostore.store.store import VideoStore


async def fetched(store: VideoStore, from_us: int, to_us: int, directory: Path) -> Piece:
    path = directory / f"{from_us}-{to_us}.mp4"
    path.write_bytes((await store.fetch(from_us, to_us)).data)
    return Piece.read(path)


async def test_a_piece_hides_the_frames_before_its_start(recording: Path, times: list[int], tmp_path: Path) -> None:
    async with VideoStore.open(recording) as store:
        piece = await fetched(store, times[5], times[20], tmp_path)
    assert (piece.codec, piece.in_display_order) == ("h264", True)
    assert piece.hidden_packets > 0 and piece.packets[0].keyframe
    assert piece.first.time_us == 0 and piece.packets[0].time_us < 0
    shown = piece.packets[piece.hidden_packets :]
    off_us = [packet.time_us - (time - times[5]) for packet, time in zip(shown, times[5:20], strict=True)]
    assert max(map(abs, off_us)) <= 1000 * RESOLUTION_MS


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


def test_frames_that_are_equal_to_the_byte_give_no_interval(tmp_path: Path) -> None:
    def packet(digest: bytes, at_us: int) -> Packet:
        return Packet(digest, True, False, at_us, 1)

    def piece(*packets: Packet) -> Piece:
        return Piece(tmp_path, "h264", 2, 2, b"", Look(), packets)

    still = [packet(b"a", 0), packet(b"a", 40), packet(b"a", 100)]
    assert piece(*still).interval_us(still[0], still[1]) is None
    assert piece(*still[:2]).interval_us(still[0], still[1]) == 40
    assert piece(*still, packet(b"b", 130)).interval_us(still[0], packet(b"b", 0)) == 30


async def test_frames_recorded_between_two_fetches_are_shown_and_a_missing_part_is_not_spliced_over(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    """Near the present a piece may lack its end, which the next one hides at its start."""

    async with VideoStore.open(recording) as store:
        whole = await fetched(store, times[2], times[40], tmp_path)
        keyframe = next(n for n, packet in enumerate(whole.packets) if packet.keyframe and n > 15)
        at = 2 - whole.hidden_packets + keyframe
        first, second = (
            await fetched(store, times[2], times[at + 3], tmp_path),
            await fetched(store, times[at + 6], times[40], tmp_path),
        )
        far = await fetched(store, times[40], times[-1], tmp_path)
    clip = SplicedClip(tmp_path / "joined.mp4", first, faststart=False)
    assert clip.splice_point(far) is None
    point = clip.splice_point(second)
    assert point is not None and point.skipped_packets == 3 and second.hidden_packets == 6
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


async def test_clips_that_cannot_be_spliced_become_one_reencoded_clip(
    recording: Path, times: list[int], tmp_path: Path
) -> None:
    async with VideoStore.open(recording) as store:
        pieces = [await fetched(store, times[n], times[n + 5], tmp_path) for n in (2, 20)]
    clips = [SplicedClip(tmp_path / f"spliced{n}.mp4", piece, faststart=False) for n, piece in enumerate(pieces)]
    for clip in clips:
        clip.close()
    path = tmp_path / "clip.mp4"
    await reencode_to_one_size(clips, path, find_ffmpeg())
    piece = Piece.read(path)
    assert (piece.width, piece.height, len(piece.packets)) == (pieces[0].width, pieces[0].height, 10)
    assert not any(clip.path.exists() for clip in clips)
    assert abs(piece.packets[5].time_us - clips[0].end_us) < US // 1000
