from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videostore.media.segment_names import name_time_us
from videostore.storage.unindexed import UnindexedFiles

HOUR_S = 3600
NAMES = st.lists(
    st.one_of(
        st.integers(-10 * HOUR_S, 10 * HOUR_S).map("{}.mp4".format),
        st.integers(0, 23).map("2024-09-06_{:02}-00-33Z.mp4".format),
        st.just("1234567890123456789.mp4"),  # digits, but not a time
    ),
    unique=True,
    max_size=60,
)
TAKINGS = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=20)


def time_us(name: str) -> int:
    return name_time_us(name) or 0


@given(NAMES, TAKINGS)
def test_the_newest_and_the_oldest_are_taken_in_order_after_any_others(
    names: list[str], takings: list[tuple[bool, int]]
) -> None:
    unindexed, left = UnindexedFiles(names), list(names)
    for newest, limit in takings:
        taken = unindexed.take_newest(limit) if newest else unindexed.take_oldest(limit)
        expected = sorted(map(time_us, left), reverse=newest)[:limit]
        assert list(map(time_us, taken)) == expected
        assert set(taken) <= set(left)
        left = [name for name in left if name not in taken]
        assert len(unindexed) == len(left) and set(unindexed.names) == set(left)
        if left:
            assert unindexed.oldest_us is not None and unindexed.newest_us is not None
            assert all(unindexed.oldest_us <= time_us(name) < unindexed.newest_us for name in left)
        else:
            assert unindexed.oldest_us is unindexed.newest_us is None


@given(NAMES, TAKINGS, st.data())
def test_the_known_bytes_are_those_of_the_measured_files_that_are_left(
    names: list[str], takings: list[tuple[bool, int]], data: st.DataObject
) -> None:
    """Files are measured while others are taken: a file may have been taken before its size is known."""
    unindexed = UnindexedFiles(names)
    sizes = {name: data.draw(st.integers(0, 1 << 40)) for name in names}
    waiting = dict(sizes)
    for newest, limit in takings:
        for name in data.draw(st.lists(st.sampled_from(sorted(waiting)), unique=True)) if waiting else ():
            unindexed.measured(name, waiting.pop(name))
        unindexed.take_newest(limit) if newest else unindexed.take_oldest(limit)
        assert unindexed.known_bytes == sum(sizes[name] for name in unindexed.names if name not in waiting)


def test_nothing_is_taken_if_there_are_no_files() -> None:
    unindexed = UnindexedFiles()
    assert not unindexed and unindexed.take_newest(5) == unindexed.take_oldest(5) == unindexed.names == []
    assert unindexed.known_bytes == 0
