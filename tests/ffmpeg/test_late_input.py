from __future__ import annotations

import asyncio
from pathlib import Path

import av
import psutil
import pytest

from tests.support.recording import US, until, write_foreign
from videostore.ffmpeg.concat_list import LATE_CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.process import ffmpeg_output


def joining(binary: str, output: Path) -> list[str]:
    options = [word for name, value in LATE_CONCAT_INPUT.items() for word in (f"-{name}", str(value))]
    return [binary, "-v", "error", *options, "-i", "pipe:0", "-c", "copy", str(output)]


async def test_an_ffmpeg_that_was_started_early_joins_what_it_is_given_later(binary: str, tmp_path: Path) -> None:
    late, output, names = LateInput(), tmp_path / "both.mp4", ["it's, 100%d: \\ $x;#.mp4", "plain.mp4"]
    async with ffmpeg_output(joining(binary, output), late=late, niceness=5) as reader:
        for name in names:
            await write_foreign(tmp_path / name, seconds=1)
        assert not output.exists()
        second = tmp_path / names[1]
        listed = [ListedFile(tmp_path / names[0], US), ListedFile(second, US, size_bytes=second.stat().st_size)]
        late.give(concat_list(listed, piped=True).encode())
        await reader.read()
    with av.open(str(output)) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 20


async def test_an_ffmpeg_that_is_given_nothing_ends_with_its_context(binary: str, tmp_path: Path) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(ZeroDivisionError):
        async with ffmpeg_output(joining(binary, tmp_path / "clip.mp4"), late=LateInput()):
            assert {child.pid for child in psutil.Process().children()} - before
            raise ZeroDivisionError
    await until(lambda: not {child.pid for child in psutil.Process().children()} - before)
    assert not (tmp_path / "clip.mp4").exists()


async def test_what_is_given_to_an_ffmpeg_that_has_ended_is_dropped(binary: str, tmp_path: Path) -> None:
    late = LateInput()
    async with ffmpeg_output([binary, "-version"], late=late) as reader:
        assert (await reader.read()).startswith(b"ffmpeg")
        await asyncio.sleep(0)
        late.give(b"x" * 10_000_000)
