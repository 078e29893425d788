from __future__ import annotations

import asyncio
import contextlib

from videostore.store.answer_budget import AnswerBudget, AnswerRoom


class Answers:
    """Answers that take room in a budget, and the order in which they got it."""

    def __init__(self, limit_bytes: int) -> None:
        self.budget = AnswerBudget(limit_bytes)
        self.began: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str, size_bytes: int) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._answer(name, size_bytes))
        await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self._tasks[name]
        await settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await asyncio.gather(self._tasks[name], return_exceptions=True)
        await settle()

    async def _answer(self, name: str, size_bytes: int) -> None:
        with self.budget.room() as room:
            await room.take(size_bytes)
            self.began.append(name)
            await self._ends[name].wait()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_answers_that_fit_together_begin_at_once_and_the_rest_in_the_order_in_which_it_asked() -> None:
    answers = Answers(100)
    for name, size_bytes in (("a", 60), ("b", 40), ("c", 90), ("d", 10)):
        await answers.ask(name, size_bytes)
    assert answers.began == ["a", "b"] and answers.budget.taken_bytes == 100
    await answers.end("b")
    assert answers.began == ["a", "b"]  # `d` would fit, but `c` asked first
    await answers.end("a")
    assert answers.began == ["a", "b", "c", "d"]
    await answers.end("c")
    await answers.end("d")
    assert answers.budget.taken_bytes == 0


async def test_an_answer_larger_than_the_budget_gets_its_turn_alone() -> None:
    answers = Answers(100)
    await answers.ask("small", 10)
    await answers.ask("huge", 500)
    await answers.ask("next", 10)
    assert answers.began == ["small"]
    await answers.end("small")
    assert answers.began == ["small", "huge"]
    await answers.end("huge")
    assert answers.began == ["small", "huge", "next"]
    await answers.end("next")
    assert answers.budget.taken_bytes == 0


async def test_an_answer_that_is_no_longer_wanted_makes_way() -> None:
    answers = Answers(100)
    for name, size_bytes in (("a", 50), ("b", 90), ("c", 50)):
        await answers.ask(name, size_bytes)
    await answers.cancel("b")
    assert answers.began == ["a", "c"]
    await answers.cancel("a")
    await answers.cancel("c")
    assert answers.budget.taken_bytes == 0


async def test_a_turn_that_comes_while_its_answer_is_cancelled_is_given_back() -> None:
    budget = AnswerBudget(100)
    first, second = budget.room(), budget.room()
    await first.take(100)
    waiting = asyncio.create_task(second.take(100))
    await settle()
    first.resize(0)  # the turn comes …
    waiting.cancel()  # … in the same moment
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert budget.taken_bytes == 0


async def test_room_that_turns_out_not_to_be_needed_is_for_others() -> None:
    budget = AnswerBudget(100)
    room: AnswerRoom = budget.room()
    await room.take(100)
    room.resize(30)
    with budget.room() as other:
        await asyncio.wait_for(other.take(70), 150)
        assert budget.taken_bytes == 100
    room.resize(0)
    assert budget.taken_bytes == 0
