from __future__ import annotations

from scripts.bench.pairs import in_turn, milliseconds, ratio_of, with_spread


async def test_the_sides_take_turns_and_each_begins_every_other_round() -> None:
    order: list[str] = []

    async def side(name: str) -> str:
        order.append(name)
        return name

    ours, bare = await in_turn(3, lambda: side("a"), lambda: side("b"))
    assert order == ["a", "b", "b", "a", "a", "b"] and (ours, bare) == (["a"] * 3, ["b"] * 3)


def test_a_median_is_told_with_its_spread() -> None:
    assert milliseconds([0.010, 0.030, 0.020]) == "20 ms [10–30]"
    assert with_spread([1, 2, 3, 4, 5, 6, 7, 8, 900], "s", 1) == "5.0 s [2.5–7.5]"
    assert ratio_of([3, 1, 2], [1, 1, 9]) == 2
