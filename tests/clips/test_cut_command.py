from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from scripts.fakes.painted_camera import read_clip
from tests.support.coded_stream import FPS, Coding, code, painted_number
from tests.support.recording import START_US, US
from tests.support.sent_stream import write_stream
from tests.support.silent_sets import all_silenced
from videostore import VideoStore
from videostore.base.system import processors
from videostore.clips.copy_range import CopyRange
from videostore.clips.cut_command import CommandMaker
from videostore.clips.plan import ClipPart
from videostore.media.segment import Segment
from videostore.store.footage_import import import_file

_UNPROBED = "option fpsprobesize 0\n"


def part_of(last_length_us: int | None, copy: CopyRange) -> ClipPart:
    segment = Segment("0.mp4", START_US, START_US + 10 * US, 1000, 1280, 720, "h264", run_us=1, run_number=0)
    return ClipPart(
        segment, Path("/storage/0.mp4"), segment.end_us, START_US + US, last_length_us=last_length_us, copy=copy
    )


def listed(*parts: ClipPart) -> tuple[str, tuple[str, ...]]:
    """The list of an edge, and the arguments with which it is decoded."""
    maker = CommandMaker(Path("/cutting"))
    command = maker.writing(maker.exact_video("head.txt", parts).output("/cutting/head.mp4"))
    return command.files[Path("/cutting/head.txt")], command.arguments


def test_no_frames_are_read_for_their_rate_if_they_are_decoded_in_the_order_in_which_they_are_shown() -> None:
    in_order = part_of(40_000, CopyRange(START_US + 2 * US))
    text, arguments = listed(in_order, in_order)
    assert text.count(_UNPROBED) == 2
    assert arguments[arguments.index("-threads") + 1] == str(processors())
    reordered = part_of(40_000, replace(in_order.copy, decode_us=START_US))
    for parts in ((in_order, reordered), (part_of(None, CopyRange()),)):
        assert _UNPROBED not in listed(*parts)[0]


async def test_edges_of_b_frames_that_the_stream_does_not_announce_have_each_frame(tmp_path: Path) -> None:
    """What ffmpeg knows of such a stream it has learnt from its first frames."""
    pictures = all_silenced(code(Coding("h264", gop_s=2, b_frames=3, length_s=8)))
    write_stream(tmp_path / "input.nut", "h264", pictures)
    done = await import_file(tmp_path / "input.nut", tmp_path / "storage", start=START_US)
    assert (done.reencoded, done.frames) == ("", len(pictures))
    drawn = random.Random(7)
    async with VideoStore.open(tmp_path / "storage") as store:
        for _ in range(12):
            first = drawn.randrange(len(pictures) - 4)
            last = drawn.randrange(first + 1, min(first + 3 * FPS, len(pictures)))
            clip = await store.fetch(*(START_US + (2 * number - 1) * US // (2 * FPS) for number in (first, last)))
            shown = [frame and painted_number(frame.captured_us) for _, frame in read_clip(clip.data)]
            assert shown == list(range(first, last))
