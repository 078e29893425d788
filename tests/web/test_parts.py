"""Parts of segments."""

from __future__ import annotations

from pathlib import Path

from tests.support.coded_stream import FPS, Coding, code
from tests.support.coded_stream import SIZE as CODED_SIZE
from tests.support.coding import record_coded
from tests.support.recording import START_US, US
from videostore.media.fmp4 import read_fragments
from videostore.media.h26x import inspect_keyframe, parameter_sets
from videostore.media.packet import Packet, StreamFormat
from videostore.media.segment import probe
from videostore.store.viewing import SegmentKey, ViewedSegment
from videostore.web.parts import Part, PartTable, PartTables, keyed_parts, shown_before, table_of


def test_the_parts_of_a_segment_are_its_fragments(recording: Path) -> None:
    path = min(recording.glob("*.mp4"))
    content = read_fragments(path)
    table = table_of(content)
    assert len(table.parts) == len(content.fragments) >= 2
    assert table.parts[0].begin_byte == table.header_bytes
    assert table.parts[0].start_us == content.start_us
    for one, other in zip(table.parts, table.parts[1:], strict=False):
        assert one.end_byte == other.begin_byte
        assert abs(one.end_us - other.start_us) <= 1
        assert one.keyed


def test_what_no_player_can_begin_with_belongs_to_what_is_before_it() -> None:
    table = PartTable(
        10,
        (
            Part(0, 10, 10, 20, keyed=False),
            Part(10, 20, 20, 30, keyed=False),
            Part(20, 30, 30, 40, keyed=True),
            Part(30, 40, 40, 50, keyed=False),
            Part(50, 60, 60, 70, keyed=False),  # behind a damaged one
            Part(60, 70, 70, 80, keyed=True),
        ),
    )
    assert keyed_parts(table) == (
        Part(0, 20, 10, 30, keyed=False),
        Part(20, 40, 30, 50, keyed=True),
        Part(50, 60, 60, 70, keyed=False),
        Part(60, 70, 70, 80, keyed=True),
    )


async def test_parts_are_read_once(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / min(recording.glob("*.mp4")).name
    path.write_bytes((recording / path.name).read_bytes())
    segment = probe(path)
    viewed = ViewedSegment(SegmentKey.of(segment), segment, path)
    tables = PartTables()
    assert tables.known(viewed.key) is None
    table = await tables.read(viewed)
    path.unlink()
    assert table is not None
    assert await tables.read(viewed) == tables.known(viewed.key) == table


async def test_what_is_gone_damaged_or_of_another_program_has_no_parts(recording: Path, tmp_path: Path) -> None:
    segment = probe(min(recording.glob("*.mp4")))
    viewed = ViewedSegment(SegmentKey.of(segment), segment, tmp_path / "gone.mp4")
    assert await PartTables().read(viewed) is None
    viewed.path.write_bytes(b"\0" * 1000)
    assert await PartTables().read(viewed) is None
    assert await PartTables().read(ViewedSegment(SegmentKey(1, None), segment, viewed.path)) is None


async def test_the_parts_of_reordered_video_lie_one_behind_the_other(tmp_path: Path) -> None:
    """Of a slow camera each frame is a part, and shown earlier or later than the one that is decoded before it."""
    coded = code(Coding("hevc", b_frames=2, open_gop=True, length_s=3))
    seen = inspect_keyframe("hevc", coded[0].data)
    format = StreamFormat("hevc", *CODED_SIZE, parameter_sets("hevc", coded[0].data), reordered=seen.reordered)
    packets = [Packet(format, one.data, START_US + one.shown * US, one.keyframe) for one in coded]
    await record_coded(tmp_path, packets, segment_seconds=14)
    first, second, *_ = (table_of(read_fragments(one)) for one in sorted(tmp_path.glob("*.open")))
    for table, begin in ((first, 0), (second, FPS)):
        assert table.parts[0].start_us == START_US + begin * US
        assert [one.start_us for one in table.parts[1:]] == [one.end_us for one in table.parts[:-1]]
        numbers = [(one.shown_us - START_US) // US for one in table.parts]
        assert len(shown_before(table.parts, START_US + (begin + 5) * US)) > max(
            at for at, one in enumerate(numbers) if one < begin + 5
        )
    assert (first.leading, second.leading) == (0, 3)
    assert first.settled_us == START_US + (FPS - 3) * US + 1, "the last two are in the second file"
