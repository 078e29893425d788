"""Sessions are random, few, and end."""

from __future__ import annotations

import itertools

from tests.support.recording import FixedClock
from videostore.web.sessions import IDLE_US, LONGEST_US, MOST_SESSIONS, Sessions


def test_each_has_an_id_of_its_own_that_is_not_stored() -> None:
    sessions = Sessions(FixedClock())
    ids = {sessions.begin() for _ in range(100)}
    assert len(ids) == len(sessions) == 100 and all(len(one) >= 43 for one in ids)
    assert all(sessions.is_open(one) for one in ids)
    assert not any(one.encode() in key for one, key in itertools.product(ids, sessions._sessions))


def test_it_ends_when_it_is_not_used() -> None:
    clock = FixedClock()
    sessions = Sessions(clock)
    used, idle = sessions.begin(), sessions.begin()
    clock.advance(IDLE_US / 1e6 - 1)
    assert sessions.is_open(used)
    clock.advance(2)
    assert sessions.is_open(used) and not sessions.is_open(idle) and len(sessions) == 1


def test_it_ends_after_a_week_however_much_it_is_used() -> None:
    clock = FixedClock()
    sessions = Sessions(clock)
    one = sessions.begin()
    for _ in range(LONGEST_US // IDLE_US):
        assert sessions.is_open(one)
        clock.advance(IDLE_US / 1e6)
    clock.advance(1)
    assert not sessions.is_open(one)


def test_too_many_end_the_one_that_was_used_the_longest_ago() -> None:
    sessions = Sessions(FixedClock())
    first, second = sessions.begin(), sessions.begin()
    assert sessions.is_open(first)
    for _ in range(MOST_SESSIONS - 1):
        sessions.begin()
    assert sessions.is_open(first) and not sessions.is_open(second) and len(sessions) == MOST_SESSIONS


def test_it_can_be_ended_and_nothing_else_is_one() -> None:
    sessions = Sessions(FixedClock())
    one = sessions.begin()
    for other in ("", "x", one[:-1], one + "A", "\ud800"):
        sessions.end(other)
        assert not sessions.is_open(other)
    sessions.end(one)
    assert not sessions.is_open(one) and len(sessions) == 0
