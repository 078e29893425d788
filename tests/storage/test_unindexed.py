from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from videostore.media.segment_names import name_time_us
from videostore.storage.unindexed import Unread

HOUR_S = 3600
NAMES = st.lists(
    st.one_of(
        st.integers(-10 * HOUR_S, 10 * HOUR_S).map("{}.mp4".format),
        st.integers(0, 23).map("2024-09-06_{:02}-00-33Z.mp4".format),
        st.just("1234567890123456789.mp4"),  # digits, but no time
    ),
    unique=True,
    max_size=60,
)
TAKINGS = st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=20)


def time_us(name: str) -> int:
    return name_time_us(name) or 0


@given(NAMES, TAKINGS)
def test_the_newest_and_the_oldest_are_taken_in_order_whatever_was_taken_before(
    names: list[str], takings: list[tuple[bool, int]]
) -> None:
    unread, left = Unread(names), list(names)
    for newest, limit in takings:
        taken = unread.take_newest(limit) if newest else unread.take_oldest(limit)
        expected = sorted(map(time_us, left), reverse=newest)[:limit]
        assert list(map(time_us, taken)) == expected
        assert set(taken) <= set(left)
        left = [name for name in left if name not in taken]
        assert len(unread) == len(left) and set(unread.names) == set(left)
        if left:
            assert unread.oldest_us is not None and unread.newest_us is not None
            assert all(unread.oldest_us <= time_us(name) < unread.newest_us for name in left)
        else:
            assert unread.oldest_us is unread.newest_us is None


@given(NAMES, TAKINGS, st.data())
def test_the_known_bytes_are_those_of_what_is_still_to_be_read(
    names: list[str], takings: list[tuple[bool, int]], data: st.DataObject
) -> None:
    """Files are measured while others are taken out, so that one may be gone by the time its size is known."""
    unread = Unread(names)
    sizes = {name: data.draw(st.integers(0, 1 << 40)) for name in names}
    waiting = dict(sizes)
    for newest, limit in takings:
        for name in data.draw(st.lists(st.sampled_from(sorted(waiting)), unique=True)) if waiting else ():
            unread.measured(name, waiting.pop(name))
        unread.take_newest(limit) if newest else unread.take_oldest(limit)
        assert unread.known_bytes == sum(sizes[name] for name in unread.names if name not in waiting)


def test_of_nothing_nothing_is_taken() -> None:
    unread = Unread()
    assert not unread and unread.take_newest(5) == unread.take_oldest(5) == unread.names == []
    assert unread.known_bytes == 0
