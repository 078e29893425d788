from __future__ import annotations

from pathlib import Path

from tests.support.recording import US
from videostore.ffmpeg.process import find_ffmpeg
from videostore.remote.one_size import reencode_to_one_size
from videostore.remote.splice import Piece, SplicedClip
from videostore.store.store import VideoStore


async def fetched(store: VideoStore, from_us: int, to_us: int, directory: Path) -> Piece:
    path = directory / f"{from_us}-{to_us}.mp4"
    path.write_bytes((await store.fetch(from_us, to_us)).data)
    return Piece.read(path)


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
