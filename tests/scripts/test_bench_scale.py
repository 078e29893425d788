from __future__ import annotations

import io
import itertools
from pathlib import Path

import av
import pytest

from scripts.bench.scale_table import Line, format_lines
from scripts.bench.segments import SEGMENT_S, Template, record_template, start_times, write_index, write_segments
from tests.support.recording import Stores, until
from videostore.media.segment import probe
from videostore.media.segment_names import closed_name
from videostore.storage.index import FILE_NAME

US = 1_000_000
END_US = 1_724_000_000 * US
"""Earlier than the clock of the test stores."""


@pytest.fixture
async def template(tmp_path: Path, binary: str) -> Template:
    """A segment to copy."""
    directory = tmp_path / "template"
    directory.mkdir()
    made = await record_template(directory, binary)
    assert not list(directory.iterdir())
    return made


def copy_segments(directory: Path, template: Template, count: int, *, gaps: int) -> list[int]:
    directory.mkdir()
    starts_us = start_times(count, END_US, gaps=gaps, gap_s=60)
    write_segments(directory, template, starts_us)
    return starts_us


async def test_a_copied_segment_has_its_own_time_to_the_microsecond(tmp_path: Path, template: Template) -> None:
    directory = tmp_path / "made"
    starts_us = copy_segments(directory, template, 5, gaps=0)
    assert {start_us % US for start_us in starts_us} == {123_457}
    for start_us in starts_us:
        segment = probe(directory / closed_name(start_us))
        assert segment == template.at(start_us)
        assert (segment.start_us, segment.end_us) == (start_us, start_us + SEGMENT_S * US)


async def test_a_clip_of_copied_segments_is_exact_to_the_frame(stores: Stores, template: Template) -> None:
    starts_us = copy_segments(stores.storage, template, 4, gaps=0)
    store = await stores.open()
    await until(lambda: store.health().segments == 4)
    from_us = starts_us[1] + 10 * US + 1  # just after the frame of the tenth second
    clip = await store.fetch(from_us, from_us + 60 * US)
    assert clip.ranges is None
    with av.open(io.BytesIO(clip.data)) as container:
        video = container.streams.video[0]
        assert video.time_base is not None
        shown = [float(packet.pts * video.time_base) for packet in container.demux(video) if packet.pts is not None]
    assert [pts for pts in shown if pts >= 0] == pytest.approx(range(60), abs=0.001)


async def test_a_written_index_equals_a_rebuilt_one(stores: Stores, template: Template) -> None:
    starts_us = copy_segments(stores.storage, template, 12, gaps=3)
    rebuilt = await stores.open()
    await until(lambda: rebuilt.health().segments == 12)
    found = (await rebuilt.state()).ranges, rebuilt.health()
    await rebuilt.close()
    for path in stores.storage.glob(f"{FILE_NAME}*"):
        path.unlink()
    await write_index(stores.storage, template, starts_us)
    known = await stores.open()
    assert ((await known.state()).ranges, known.health()) == found
    assert len(found[0]) == 4


@pytest.mark.parametrize(("count", "gaps"), [(1, 0), (10, 0), (10, 3), (1000, 50)])
def test_copied_segments_are_contiguous_except_for_the_gaps(count: int, gaps: int) -> None:
    starts_us = start_times(count, END_US, gaps=gaps, gap_s=60)
    distances = [(b - a) // US for a, b in itertools.pairwise(starts_us)]
    assert sorted(distances) == [SEGMENT_S] * (count - 1 - gaps) + [SEGMENT_S + 60] * gaps
    assert 0 <= starts_us[-1] + SEGMENT_S * US - END_US < US


@pytest.mark.parametrize(
    ("line", "ok"),
    [
        (Line("x", "s", (1.0, 2.0)), None),
        (Line("x", "s", (1.0, 2.0), limit=2.0), True),
        (Line("x", "s", (2.1, 1.0), limit=2.0), False),
        (Line("x", "/s", (250.0, 199.0), limit=200.0, at_least=True), False),
        (Line("x", "ms", (0.01, 0.02), steady=True), True),
        (Line("x", "ms", (0.01, 0.03), steady=True), False),
        (Line("x", "ms", (0.0001, 0.0005), steady=True), True),  # too little to distinguish from noise
        (Line("x", "ms", (0.01, 0.02), limit=0.015, steady=True), False),
    ],
)
def test_a_line_says_whether_its_target_is_met(line: Line, ok: bool | None) -> None:
    assert line.ok is ok


def test_the_table_is_in_columns() -> None:
    headings = ["cost", "1,000", "30,000", "growth", "target", "ok?"]
    written = format_lines(headings, [Line("select", "ms", (0.002, 0.003), limit=0.1, steady=True)])
    assert written.splitlines() == [
        "cost   | 1,000  | 30,000 | growth | target                   | ok?",
        "-------+--------+--------+--------+--------------------------+----",
        "select | 2.0 ms | 3.0 ms | 1.50   | ≤ 100.0 ms, growth ≤ 2 x | yes",
    ]
