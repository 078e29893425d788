"""Parts of segments."""

from __future__ import annotations

from pathlib import Path

from videostore.media.fmp4 import read_fragments
from videostore.media.segment import probe
from videostore.store.viewing import SegmentKey, ViewedSegment
from videostore.web.parts import Part, PartTable, PartTables, keyed_parts, table_of


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
