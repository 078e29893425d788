from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import US
from videostore.base.ranges import Range, merge_ranges
from videostore.storage.timeline import Timeline


def timeline_of(*spans: tuple[int, int], size_bytes: int = 10) -> Timeline:
    """A timeline of segments, given by start and end in seconds."""
    timeline = Timeline()
    for start, end in spans:
        timeline.add(start * US, end * US, size_bytes)
    return timeline


def seconds(timeline: Timeline) -> list[tuple[float, float]]:
    return [(one.from_us / US, one.to_us / US) for one in timeline.ranges()]


def test_neighbours_at_most_five_seconds_apart_are_one_range() -> None:
    assert seconds(timeline_of((0, 30), (30, 60), (65, 90))) == [(0, 90)]
    assert seconds(timeline_of((0, 30), (36, 60))) == [(0, 30), (36, 60)]


def test_a_gap_one_microsecond_longer_than_five_seconds_separates_ranges() -> None:
    timeline = timeline_of((0, 30))
    timeline.add(35 * US + 1, 40 * US, 10)
    assert len(timeline.ranges()) == 2


def test_segments_are_added_in_any_order() -> None:
    assert seconds(timeline_of((60, 90), (0, 30), (100, 130), (30, 60))) == [(0, 90), (100, 130)]


def test_a_segment_that_fills_a_gap_joins_both_sides() -> None:
    assert seconds(timeline_of((0, 30), (60, 90), (32, 58))) == [(0, 90)]


def test_sums_follow_what_is_added_and_removed() -> None:
    timeline = timeline_of((0, 30), (30, 60), (100, 110))
    assert (timeline.stored_bytes, timeline.stored_us, timeline.segments) == (30, 70 * US, 3)
    timeline.remove([(0, 30 * US, 10)], [(30 * US, 60 * US)])
    assert (timeline.stored_bytes, timeline.stored_us, timeline.segments) == (20, 40 * US, 2)
    assert seconds(timeline) == [(30, 60), (100, 110)]


def test_removing_the_oldest_removes_whole_ranges_and_the_front_of_the_next() -> None:
    timeline = timeline_of((0, 30), (100, 130), (130, 160))
    timeline.remove([(0, 30 * US, 10), (100 * US, 130 * US, 10)], [(130 * US, 160 * US)])
    assert seconds(timeline) == [(130, 160)]
    timeline.remove([(130 * US, 160 * US, 10)], [])
    assert timeline.ranges() == []
    assert (timeline.stored_bytes, timeline.stored_us, timeline.segments) == (0, 0, 0)


def test_the_end_within_a_stretch_is_that_of_the_last_range_in_it() -> None:
    timeline = timeline_of((0, 30), (100, 130), (9000, 9030))
    ends = [timeline.end_within(begin * US, end * US) for begin, end in [(0, 10), (10, 110), (30, 100), (120, 8000)]]
    assert ends == [30 * US, 130 * US, None, 130 * US]
    assert timeline.end_within(120 * US, 9001 * US) == 9030 * US


spans = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=25)


@given(spans)
def test_adding_segments_one_by_one_gives_the_same_as_merging_all(given_spans: list[tuple[int, int]]) -> None:
    timeline = timeline_of(*((start, start + length) for start, length in given_spans))
    expected = merge_ranges([Range(s * US, (s + n) * US) for s, n in given_spans], 5 * US)
    assert timeline.ranges() == expected


@given(spans, st.data())
def test_removing_segments_gives_the_same_as_adding_only_the_rest(
    given_spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    segments = [(start * US, (start + length) * US) for start, length in given_spans]
    timeline = timeline_of(*((start, start + length) for start, length in given_spans))
    gone = data.draw(st.sets(st.integers(0, len(segments) - 1))) if segments else set()
    rest = [span for number, span in enumerate(segments) if number not in gone]
    for number in sorted(gone):
        start_us, end_us = segments[number]
        others = [span for other, span in enumerate(segments) if other not in gone or other > number]
        near = [(s, e) for s, e in others if s <= end_us + 5 * US and e >= start_us - 5 * US]
        timeline.remove([(start_us, end_us, 10)], near)
    assert timeline.ranges() == merge_ranges([Range(*span) for span in rest], 5 * US)
    assert timeline.segments == len(rest) and timeline.stored_bytes == 10 * len(rest)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 20)), max_size=15), st.integers(0, 550), st.integers(1, 60)
)
def test_the_nearest_range_is_the_one_at_the_smallest_distance(
    given_spans: list[tuple[int, int]], start: int, length: int
) -> None:
    timeline = timeline_of(*((s, s + n) for s, n in given_spans))
    from_us, to_us = start * US, (start + length) * US

    def distance(one: Range) -> int:
        return max(0, one.from_us - to_us, from_us - one.to_us)

    nearest = timeline.nearest(from_us, to_us)
    assert (nearest is None) == (not given_spans)
    if nearest is not None:
        assert distance(nearest) == min(map(distance, timeline.ranges()))


def test_a_copy_with_more_ranges_leaves_the_timeline_as_it_was() -> None:
    timeline = timeline_of((0, 30), (60, 90))
    copy = timeline.with_ranges([Range(32 * US, 58 * US), Range(200 * US, 210 * US)])
    assert seconds(copy) == [(0, 90), (200, 210)]
    assert seconds(timeline) == [(0, 30), (60, 90)]


def test_a_summary_has_what_is_stored_of_a_range() -> None:
    timeline = Timeline()
    for start_us in (0, 100 * US, 200 * US):
        timeline.add(start_us, start_us + 10 * US, 1)
    assert timeline.within(5 * US, 150 * US) == 2
    assert timeline.summary(5 * US, 150 * US) == [Range(5 * US, 10 * US), Range(100 * US, 110 * US)]
    assert timeline.summary(11 * US, 99 * US) == []
    assert timeline.summary(0, 300 * US, 91 * US) == [Range(0, 210 * US)]
    assert timeline.summary(0, 300 * US, 90 * US) == timeline.ranges()


def test_a_summary_of_many_ranges_looks_at_few_of_them() -> None:
    timeline = Timeline()
    for number in range(20_000):
        timeline.add(number * 20 * US, number * 20 * US + US, 1)
    found = timeline.summary(0, 400_000 * US, 400 * US)
    assert found == [Range(0, 19_999 * 20 * US + US)]
    timeline.remove([(100_000 * US, 101_000 * US, 1)], [])
    assert len(timeline.summary(0, 400_000 * US, 400 * US)) == 2


def test_the_ranges_around_a_moment_are_found() -> None:
    timeline = timeline_of((0, 30), (60, 90))
    first, second = timeline.ranges()
    found = [timeline.around(at_s * US) for at_s in (-1, 0, 45, 60, 100)]
    assert found == [(None, first), (first, second), (first, second), (second, None), (second, None)]
    assert Timeline().around(0) == (None, None)


def test_its_start_and_its_gaps_are_told() -> None:
    assert (Timeline().start_us, Timeline().gaps) == (None, 0)
    timeline = timeline_of((60, 90), (10, 30), (92, 95))
    assert (timeline.start_us, timeline.gaps) == (10 * US, 1)
