"""A recording of H.265 whose segments begin with open GOPs: their files begin with frames of the segment before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scripts.fakes.painted_camera import read_clip
from tests.support.foreign_recording import CODINGS, write_foreign_video
from tests.support.recording import START_US, US
from videostore.media.fmp4 import read_fragments
from videostore.store.footage_import import import_file

TIMES = [START_US + number * US for number in range(75)]
"""A frame each second, so that segments of 30 s have two keyframes."""


@dataclass(frozen=True)
class OpenGops:
    """The recording, of which frames are known by their numbers."""

    directory: Path
    begins: tuple[int, ...]
    """The frames with which its segments begin. Those before them, but the first, are in their files."""
    leading: int
    """How many frames of a file are shown before its first one."""

    @classmethod
    async def make(cls, path: Path) -> OpenGops:
        await write_foreign_video(path / "input.mp4", TIMES, CODINGS["h265 open GOP"], framerate=1)
        done = await import_file(path / "input.mp4", path / "storage", start=START_US)
        assert (done.reencoded, done.shortfall, done.frames) == ("", "", len(TIMES))
        contents = [read_fragments(one) for one in sorted((path / "storage").glob("*.mp4"))]
        (leading,) = {len(one.leading.shown_us) for one in contents[1:] if one.leading is not None}
        assert contents[0].leading is None and all(one.leading is not None for one in contents[1:])
        return cls(path / "storage", tuple(map(number_of, (one.start_us for one in contents))), leading)

    def copy(self, directory: Path, *numbers: int) -> Path:
        """Another directory with some of the segments, by their places."""
        directory.mkdir()
        for number, path in enumerate(sorted(self.directory.glob("*.mp4"))):
            if number in numbers:
                (directory / path.name).write_bytes(path.read_bytes())
        return directory


def number_of(captured_us: int) -> int:
    """The number of a frame."""
    return (captured_us - START_US) // US


def time_of(number: int) -> int:
    """When a frame was captured; behind the last one, when the recording ends."""
    return TIMES[number] if number < len(TIMES) else TIMES[-1] + 1


def painted(clip: bytes | Path) -> list[int]:
    """The frames that a player shows of a clip; -1 for one that is not whole."""
    return [-1 if one is None else number_of(one.captured_us) for _, one in read_clip(clip)]
