"""Passwords cannot be guessed: not from one address, not from many, and without shutting others out."""

from __future__ import annotations

from tests.support.recording import FixedClock
from videostore.web.attempts import BURST, BURST_OF_ALL, EVERY_S, EVERY_S_OF_ALL, MOST_ADDRESSES, Attempts


def fail(attempts: Attempts, address: str, times: int) -> None:
    for _ in range(times):
        attempts.failed(address)


def test_an_address_has_some_attempts_and_then_one_after_a_while() -> None:
    clock = FixedClock()
    attempts = Attempts(clock)
    fail(attempts, "192.0.2.1", BURST - 1)
    assert attempts.wait_s("192.0.2.1") == 0
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == EVERY_S and attempts.wait_s("192.0.2.2") == 0
    clock.advance(EVERY_S - 1)
    assert attempts.wait_s("192.0.2.1") == 1
    clock.advance(1)
    assert attempts.wait_s("192.0.2.1") == 0
    attempts.failed("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == EVERY_S


def test_right_passwords_cost_nothing() -> None:
    attempts = Attempts(FixedClock())
    for _ in range(1000):
        attempts.succeeded("192.0.2.1")
    assert attempts.wait_s("192.0.2.1") == 0


def test_many_addresses_together_are_slowed_down_but_not_those_that_are_known() -> None:
    clock = FixedClock()
    attempts = Attempts(clock)
    attempts.succeeded("10.0.0.1")
    for number in range(BURST_OF_ALL):
        attempts.failed(f"198.51.100.{number}")
    assert attempts.wait_s("203.0.113.9") == EVERY_S_OF_ALL
    assert attempts.wait_s("10.0.0.1") == 0
    clock.advance(EVERY_S_OF_ALL)
    assert attempts.wait_s("203.0.113.9") == 0


def test_a_network_of_ipv6_counts_as_one_caller_and_a_mapped_address_as_the_one_inside() -> None:
    attempts = Attempts(FixedClock())
    for number in range(BURST):
        attempts.failed(f"2001:db8::{number:x}")
    assert attempts.wait_s("2001:db8::ffff") > 0 and attempts.wait_s("2001:db8:0:1::1") == 0
    fail(attempts, "::ffff:192.0.2.1", BURST)
    assert attempts.wait_s("192.0.2.1") > 0


def test_what_is_remembered_has_a_bound() -> None:
    attempts = Attempts(FixedClock())
    for number in range(MOST_ADDRESSES + 100):
        attempts.failed(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        attempts.succeeded(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._buckets) == len(attempts._known) == MOST_ADDRESSES


def test_a_clock_that_is_set_back_frees_nobody() -> None:
    clock = FixedClock()
    attempts = Attempts(clock)
    fail(attempts, "192.0.2.1", BURST)
    clock.monotonic -= 10**9
    assert attempts.wait_s("192.0.2.1") == EVERY_S
