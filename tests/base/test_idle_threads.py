from __future__ import annotations

import threading
from concurrent.futures import CancelledError, wait

import pytest

from videostore.base.idle_threads import IdleThreads

_PATIENCE_S = 60


def named(name: str) -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == name]


def test_results_and_errors_come_back() -> None:
    threads = IdleThreads(2, "results")
    assert list(threads.map(divmod, [7, 9], [2, 2])) == [(3, 1), (4, 1)]
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(_PATIENCE_S)
    threads.shutdown()
    assert threads.submit(divmod, 1, 1).cancelled()


def test_as_many_threads_as_are_needed_run_at_once_and_no_more() -> None:
    threads, release, running = IdleThreads(3, "at once"), threading.Event(), threading.Semaphore(0)

    def hang() -> None:
        running.release()
        release.wait(_PATIENCE_S)

    futures = [threads.submit(hang) for _ in range(5)]
    for _ in range(3):
        assert running.acquire(timeout=_PATIENCE_S)
    assert len(named("at once")) == 3 and not any(one.done() for one in futures)
    release.set()
    assert not wait(futures, _PATIENCE_S).not_done
    threads.shutdown()


def test_what_comes_one_after_the_other_is_done_by_one_thread_which_ends_when_nothing_comes() -> None:
    threads = IdleThreads(4, "one", idle_s=0.2)
    used = {threads.submit(threading.get_ident).result(_PATIENCE_S)}
    for one in named("one"):
        one.join(_PATIENCE_S)
    assert not named("one")
    used.add(threads.submit(threading.get_ident).result(_PATIENCE_S))
    assert len(named("one")) <= 1 and used
    threads.shutdown()
    for one in named("one"):
        one.join(_PATIENCE_S)
    assert not named("one")


def test_at_the_end_what_waits_is_cancelled_and_what_hangs_is_not_waited_for() -> None:
    threads, release, running = IdleThreads(1, "end"), threading.Event(), threading.Event()

    def hang() -> str:
        running.set()
        release.wait(_PATIENCE_S)
        return "done"

    first, second = threads.submit(hang), threads.submit(hang)
    assert running.wait(_PATIENCE_S)
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        second.result(_PATIENCE_S)
    assert not first.done()
    release.set()
    assert first.result(_PATIENCE_S) == "done"
    threads.shutdown()
    for one in named("end"):
        one.join(_PATIENCE_S)
    assert not named("end")


def test_a_thread_that_cannot_start_is_no_thread_fewer_later(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = IdleThreads(1, "refused")
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", no_more_threads)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                threads.submit(divmod, 7, 2)
    assert threads.submit(divmod, 7, 2).result(_PATIENCE_S) == (3, 1)
    threads.shutdown()


def no_more_threads(self: threading.Thread) -> None:
    """As under a limit of processes, which no test can set for root."""
    raise RuntimeError("can't start new thread")
