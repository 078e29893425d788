"""The judging of the soak: a flaw that it overlooked would make the soak worthless."""

from __future__ import annotations

import itertools
import time

import pytest

from scripts.fakes.painted_camera import PaintedFrame
from scripts.soak.faults import BY_NAME, KINDS, US, Excuse, Fault, schedule
from scripts.soak.judge import Judge, Verdict, runs_of
from scripts.soak.usage import ALLOWED, ProcessHistory, Usage

START_US = 1_795_000_000 * US
STEP_US = 70_000
FRAMES = 200
END_US = START_US + FRAMES * STEP_US
ALL_KINDS = [kind.name for kind in KINDS]

Shown = list[tuple[float, PaintedFrame | None]]


def delivered() -> list[int]:
    """Capture times of a camera that delivered one frame every 70 ms."""
    return [START_US + number * STEP_US for number in range(FRAMES)]


def faultless(first: int = 0, last: int = FRAMES) -> Shown:
    """The frames of a clip without a flaw."""
    return [
        ((number - first) * STEP_US / US, PaintedFrame(START_US + number * STEP_US, number))
        for number in range(first, last)
    ]


def judged(shown: Shown, *excuses: Excuse) -> Verdict:
    """The verdict on one clip of all frames."""
    judge = Judge(delivered(), excuses)
    judge.take(shown, [(START_US, END_US)], START_US, END_US)
    return judge.finish()


def faults(seed: int, count: int = 80, seconds: float = 1800) -> list[Fault]:
    return list(itertools.islice(schedule(seed, seconds, ALL_KINDS), count))


def test_the_same_seed_gives_the_same_faults_and_another_seed_gives_others() -> None:
    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


def test_every_kind_of_fault_occurs_in_a_soak_of_half_an_hour() -> None:
    assert {fault.kind.name for fault in faults(3)} == set(ALL_KINDS)


def test_the_first_half_has_no_restarts_so_that_a_leak_has_time_to_show() -> None:
    elapsed_s = 0.0
    for fault in faults(4):
        if elapsed_s < 900:
            assert not fault.kind.restarts
        elapsed_s += fault.calm_s + fault.hold_s + 3.0


def test_the_duration_of_faults_and_calms_is_within_limits() -> None:
    for fault in faults(5):
        assert 10 <= fault.calm_s <= 25
        assert fault.kind.hold_s[0] <= fault.hold_s <= fault.kind.hold_s[1]


def test_faults_can_be_restricted_even_to_restarts() -> None:
    only = list(itertools.islice(schedule(1, 60, ["all-killed"]), 3))
    assert [fault.kind for fault in only] == [BY_NAME["all-killed"]] * 3


def test_each_kind_says_why_it_may_lose_frames() -> None:
    assert all(kind.why for kind in KINDS)
    assert len(BY_NAME) == len(KINDS)


def test_a_recording_without_a_flaw_is_flawless() -> None:
    verdict = judged(faultless())
    assert verdict.flawless and verdict.stored == verdict.delivered == FRAMES
    assert verdict.drift_ms < 0.01


def test_a_missing_frame_is_found_at_the_start_in_the_middle_and_at_the_end() -> None:
    for gone in (0, 77, FRAMES - 1):
        shown = faultless()
        del shown[gone]
        verdict = judged(shown)
        assert not verdict.flawless and verdict.missing == [(gone, START_US + gone * STEP_US)]


def test_a_frame_that_is_shown_twice_is_found_in_one_clip_and_across_two() -> None:
    shown = faultless()
    shown.insert(31, shown[30])
    assert judged(shown).doubled == 1

    judge = Judge(delivered(), [])
    middle_us = START_US + 100 * STEP_US
    assert not judge.take(faultless(0, 100), [(START_US, middle_us)], START_US, middle_us)
    assert judge.take(faultless(99, FRAMES), [(middle_us, END_US)], middle_us, END_US)
    verdict = judge.finish()
    assert verdict.doubled == 1 and verdict.outside == 1 and not verdict.flawless


def test_a_frame_with_a_wrong_time_is_found_and_its_drift_is_reported() -> None:
    shown = faultless()
    seconds, frame = shown[50]
    shown[50] = (seconds + 0.020, frame)
    verdict = judged(shown)
    assert verdict.misdated == 1 and not verdict.flawless
    assert verdict.drift_ms == pytest.approx(20, abs=0.1)


def test_frames_out_of_order_are_found() -> None:
    shown = faultless()
    (first_s, first), (second_s, second) = shown[10], shown[11]
    shown[10:12] = [(first_s, second), (second_s, first)]
    assert judged(shown).out_of_order == 1


def test_a_frame_that_cannot_be_read_or_was_never_delivered_is_found() -> None:
    shown = faultless()
    shown[5] = (shown[5][0], None)
    shown[6] = (shown[6][0], PaintedFrame(START_US + 6 * STEP_US + 1, 6))
    verdict = judged(shown)
    assert (verdict.unreadable, verdict.unknown) == (1, 1)
    assert [counter for counter, _ in verdict.missing] == [5, 6]


def test_only_missing_frames_within_an_excuse_are_excused() -> None:
    shown = faultless()
    del shown[40:50]
    excuse = Excuse(START_US + 42 * STEP_US, START_US + 60 * STEP_US, "ffmpeg-killed")
    verdict = judged(shown, excuse)
    assert [counter for counter, _ in verdict.missing] == [40, 41]
    assert verdict.excused == {"ffmpeg-killed": 8} and verdict.in_excuses == {"ffmpeg-killed": 18}
    assert not verdict.flawless


def test_a_gap_counts_as_drift_only_if_the_answer_does_not_name_it() -> None:
    before, after = faultless(0, 50), faultless(90, FRAMES)
    gap_us = 40 * STEP_US
    closed_up = before + [(seconds + 50 * STEP_US / US, frame) for seconds, frame in after]
    excuse = Excuse(START_US + 50 * STEP_US, START_US + 90 * STEP_US, "camera-hang")
    named = [(START_US, START_US + 50 * STEP_US), (START_US + 50 * STEP_US + gap_us, END_US)]

    judge = Judge(delivered(), [excuse])
    assert judge.take(closed_up, named, START_US, END_US) == []
    assert [counter for counter, _ in judge.to_locate] == [0, 90]
    assert judge.finish().flawless

    verdict = judged(closed_up, excuse)
    assert verdict.misdated == FRAMES - 90 and not verdict.flawless


def test_a_saved_clip_must_show_stored_frames_but_not_lost_ones() -> None:
    stored = faultless()
    del stored[20]
    judge = Judge(delivered(), [])
    judge.take(stored, [(START_US, END_US)], START_US, END_US)
    ten_to_thirty_us = START_US + 10 * STEP_US, START_US + 30 * STEP_US
    assert judge.missing_in(faultless(10, 30), *ten_to_thirty_us) == 0
    assert judge.missing_in(faultless(10, 29), *ten_to_thirty_us) == 1
    assert judge.missing_in(faultless(10, 20) + faultless(21, 30), *ten_to_thirty_us) == 0


def test_missing_frames_are_reported_in_groups() -> None:
    assert runs_of([(3, 30), (4, 40), (9, 90)]) == [(30, 40, 2), (90, 90, 1)]


def test_a_soak_of_eight_hours_is_judged_in_seconds_of_cpu_time() -> None:
    """At 15 frames a second, with a fault every 20 s."""
    count = 8 * 3600 * 15
    times = [START_US + number * STEP_US for number in range(count)]
    excuses = [Excuse(at_us, at_us + 2 * US, "all-killed") for at_us in range(times[0], times[-1], 20 * US)]
    began_s = time.thread_time()
    verdict = Judge(times, excuses).finish()
    assert time.thread_time() - began_s < 10
    assert len(verdict.missing) + sum(verdict.excused.values()) == count


@pytest.mark.parametrize("grown", ALLOWED)
def test_growth_beyond_the_allowed_amount_is_found(grown: str) -> None:
    def usage(at_s: float, more: float) -> Usage:
        values = {"rss_mb": 70.0, "threads": 9, "descriptors": 20, "children": 1, "cuts": 0, "unfinished": 0}
        values[grown] += more
        return Usage(
            at_s,
            values["rss_mb"],
            round(values["threads"]),
            round(values["descriptors"]),
            round(values["children"]),
            round(values["cuts"]),
            round(values["unfinished"]),
        )

    steady = ProcessHistory(0.0, 1, [usage(at_s, ALLOWED[grown] if at_s > 100 else 0) for at_s in range(0, 200, 2)])
    assert steady.growth() == []
    leaking = ProcessHistory(
        0.0, 1, [usage(at_s, ALLOWED[grown] + 1 if at_s > 100 else 0) for at_s in range(0, 200, 2)]
    )
    assert len(leaking.growth()) == 1
    assert grown in leaking.growth()[0]
