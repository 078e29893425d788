from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.support.clapping import Clapping, clapping, hear, record_clapping
from tests.support.recording import LOGGER, START_US, US, Cutter, clips_of
from videostore.remote.splice import Piece, SplicedClip
from videostore.remote.spliced_sound import SplicedSound
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_files import close_segment

AAC = clapping(10)
OPUS = clapping(10, codec="libopus", rate=48000)


@pytest.mark.parametrize("camera", [pytest.param(AAC, id="aac"), pytest.param(OPUS, id="opus")])
async def test_a_clip_of_pieces_has_the_sound_of_all_of_them(tmp_path: Path, binary: str, camera: Clapping) -> None:
    run = await record_clapping(tmp_path, camera, binary=binary)
    for path in sorted(tmp_path.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    archive = await Archive.open(tmp_path, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    cutter = Cutter(archive, clips_of(archive, binary))
    pieces = []
    try:
        for number, (from_s, to_s) in enumerate(((0.5, 3.0), (3.0, 5.0), (5.0, 7.7))):
            piece = tmp_path / f"piece{number}.mp4"
            piece.write_bytes(await cutter.cut(START_US + round(from_s * US), START_US + round(to_s * US)))
            pieces.append(Piece.read(piece))
    finally:
        await archive.close()

    def splice() -> None:
        clip = SplicedClip(tmp_path / "whole.clip", pieces[0], faststart=True)
        for piece in pieces[1:]:
            point = clip.splice_point(piece)
            assert point is not None
            clip.append(piece, point)
        clip.close()

    await asyncio.to_thread(splice)
    heard = await asyncio.to_thread(lambda: hear((tmp_path / "whole.clip").read_bytes()))
    print([round(float(error), 1) for error in heard.errors_ms])
    assert len(heard.flashes_s) == 14 and max(map(abs, heard.errors_ms)) <= 1.5 * camera.sound_us / 1000
    assert heard.sound_s <= heard.video_s + 0.001 and heard.video_s - heard.sound_s <= camera.sound_us / US
    assert not list(tmp_path.glob("whole.clip?*"))


async def test_another_format_of_the_sound_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pieces: list[Path] = []
    for number, camera in enumerate((AAC, OPUS.moved(12 * US))):
        run = await record_clapping(tmp_path / str(number), camera, segment_seconds=20)
        (path,) = (tmp_path / str(number)).glob("*.open")
        close_segment(path, finished_only=True, run=run)
        pieces += (tmp_path / str(number)).glob("*.mp4")
    clip = tmp_path / "whole.clip"
    shutil.copyfile(pieces[0], clip)
    sound = SplicedSound(clip)
    for number, piece in enumerate(pieces):
        sound.append(piece, number * 10 * US, number * 10 * US)
    assert sound.join(20 * US) is False
    (told,) = caplog.messages
    assert told.startswith("The sound changes its format within the clip")


async def test_pieces_without_sound_stay_without(tmp_path: Path, binary: str) -> None:
    run = await record_clapping(tmp_path, AAC.silent(), binary=binary)
    for path in sorted(tmp_path.glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    piece = Piece.read(min(tmp_path.glob("*.mp4")))
    clip = SplicedClip(tmp_path / "whole.clip", piece, faststart=False)
    clip.close()
    assert hear((tmp_path / "whole.clip").read_bytes()).sound_s == 0
