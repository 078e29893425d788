"""Threads that end when there is nothing to do: those of an executor of the standard library stay."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

_T = TypeVar("_T")
_IDLE_S = 5.0


class IdleThreads(Executor):
    """An executor for what is seldom done. Its threads start when they are needed, and end when they are not."""

    def __init__(self, most: int, name: str, idle_s: float = _IDLE_S) -> None:
        """At most so many threads, each of which waits for so long before it ends."""
        self._most = most
        self._name = name
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, work: Callable[..., _T], /, *arguments: Any, **named: Any) -> Future[_T]:
        """Run a function in a thread. What comes after the shutdown is cancelled, as what waited until then.

        Raises:
            RuntimeError: the system allows no more threads at the moment.
        """
        future: Future[_T] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            self._waiting.append((future, lambda: work(*arguments, **named)))
            if self._idle >= len(self._waiting):
                self._changed.notify()
            elif self._threads < self._most:
                try:
                    threading.Thread(target=self._run, name=self._name, daemon=True).start()
                except RuntimeError:
                    if not self._threads:
                        self._waiting.pop()
                        raise
                else:
                    self._threads += 1
        return future

    def _run(self) -> None:
        while (found := self._next()) is not None:
            _do(*found)
            del found  # a result may be large

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._waiting or self._closed, self._idle_s)
            self._idle -= 1
            if self._waiting:
                return self._waiting.popleft()
            self._threads -= 1
            self._changed.notify_all()
            return None

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work. What is being done is done; with `wait`, until it is."""
        with self._changed:
            self._closed = True
            cancelled = [future for future, _ in self._waiting] if cancel_futures else []
            if cancel_futures:
                self._waiting.clear()
            self._changed.notify_all()
        for future in cancelled:
            future.cancel()
        if wait:
            with self._changed:
                self._changed.wait_for(lambda: not self._threads)


def _do(future: Future[Any], work: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 (who waits for the result gets it)
        future.set_exception(error)
    else:
        future.set_result(result)
