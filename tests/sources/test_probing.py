from __future__ import annotations

import asyncio
import os
from pathlib import Path

from tests.support.coding import write_video
from tests.support.inputs import open_input, refusal
from tests.support.recording import SMALL, capture_times
from videostore.sources.probing import StreamInfo


async def test_a_file_is_described_by_its_codec_and_size(tmp_path: Path, binary: str) -> None:
    path = tmp_path / "input.mp4"
    write_video(path, "h264", capture_times(0.3, fps=20))
    assert await open_input(path, binary).probe() == StreamInfo("h264", *SMALL, live=False, reencoded="")


async def test_an_input_that_can_never_be_recorded_is_refused_with_its_reason(tmp_path: Path, binary: str) -> None:
    garbage, sound = tmp_path / "garbage.mp4", tmp_path / "sound.wav"
    garbage.write_bytes(os.urandom(5000))
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(sound))
    )
    assert await process.wait() == 0
    assert "there is no such file" in await refusal(tmp_path / "none.mp4", binary)
    assert "it is a directory" in await refusal(tmp_path, binary)
    assert "it contains no readable video" in await refusal(garbage, binary)
    assert "it contains no video" in await refusal(sound, binary)
    assert "does not support its protocol" in await refusal("nonsense://host/path", binary)
    assert "does not support its format" in await refusal("x", binary, format="nonsense")
    assert "option is unknown" in await refusal(garbage, binary, options={"no_such_option": "1"})
    assert str(garbage) in await refusal(garbage, binary)
