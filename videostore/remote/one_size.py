"""One clip of several that cannot be spliced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.tasks import run_in_thread
from videostore.ffmpeg.concat_list import CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.filters import fitted
from videostore.ffmpeg.options import EXACT_TIMES, OWN_CLIP, REENCODED
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.clip_times import ClipStretch
from videostore.media.mp4_tags import write_synopsis
from videostore.remote.splice import CLIP_OPTIONS, SplicedClip, stretches_tag
from videostore.remote.spliced_sound import SplicedSound


async def reencode_to_one_size(clips: Sequence[SplicedClip], path: Path, binary: str) -> None:
    """Make one clip of several that cannot be spliced: re-encoded in the largest of their sizes, as a save does.

    Temporary files are written beside `path`. `binary` is the ffmpeg to use.

    Raises:
        FFmpegError: ffmpeg failed.
    """
    largest = max((clip.first for clip in clips), key=lambda piece: piece.width * piece.height)
    width, height = largest.width + largest.width % 2, largest.height + largest.height % 2
    listed = []
    stretches: list[ClipStretch] | None = []
    position_us = 0
    sound = SplicedSound(path)
    for number, clip in enumerate(clips):
        encoded = path.with_name(f"encoded{number}.mp4")
        large = min(clip.first.width, clip.first.height) > 2
        video = ffmpeg.input(str(clip.path), **OWN_CLIP).video
        video = fitted(video, width, height, largest.look.pixel_shape, may_have_fields=large)
        await _run(video.output(str(encoded), f="mp4", map_metadata=0, **REENCODED, **EXACT_TIMES), binary)
        await run_in_thread(sound.append, clip.path, position_us, position_us)
        await run_in_thread(clip.path.unlink)
        listed.append(ListedFile(Path(encoded.name), clip.length_us))
        if stretches is not None and clip.stretches is not None:
            stretches += (replace(one, position_us=one.position_us + position_us) for one in clip.stretches)
        else:
            stretches = None
        position_us += clip.length_us
    list_path = path.with_name("encoded.txt")
    await run_in_thread(_write_list, list_path, listed)
    source = ffmpeg.input(str(list_path), **CONCAT_INPUT)
    tags = ffmpeg.input(str(path.with_name("encoded0.mp4")), **OWN_CLIP)
    options = {"f": "mp4", "c": "copy", "map_metadata": 1, **CLIP_OPTIONS}
    await _run(ffmpeg.output(source.video, tags["d?"], str(path), **options), binary)
    await run_in_thread(sound.join, position_us)
    await run_in_thread(write_synopsis, path, stretches_tag(stretches))


def _write_list(path: Path, listed: Sequence[ListedFile]) -> None:
    """Blocking."""
    path.write_text(concat_list(listed), encoding="utf-8")


async def _run(stream: Any, binary: str) -> None:
    command = stream.global_args("-hide_banner", "-nostats", "-loglevel", "level+warning", "-y").compile(cmd=binary)
    await run_ffmpeg(command)
