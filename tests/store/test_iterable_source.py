from __future__ import annotations

from collections.abc import AsyncIterator

from tests.support.recording import capture_times, packet
from videostore.media.packet import Gap, Packet, Source
from videostore.store.iterable_source import IterableSource

PACKETS = [packet(time_us) for time_us in capture_times(1)]


async def test_a_source_of_an_iterable_yields_what_it_yields() -> None:
    async def packets() -> AsyncIterator[Packet | Gap]:
        for one in PACKETS:
            yield one
        yield Gap("the camera was away")

    source = IterableSource(packets())
    assert isinstance(source, Source)
    assert [item async for item in source.packets()] == [*PACKETS, Gap("the camera was away")]
    assert source.error is None


async def test_an_exception_of_the_iterable_becomes_a_gap_and_is_kept() -> None:
    failure = RuntimeError("the camera burned")

    async def packets() -> AsyncIterator[Packet | Gap]:
        yield PACKETS[0]
        raise failure

    source = IterableSource(packets())
    assert [item async for item in source.packets()] == [PACKETS[0], Gap("the source failed: the camera burned")]
    assert source.error is failure


async def test_an_iterable_of_something_else_is_a_mistake_that_is_kept() -> None:
    async def packets() -> AsyncIterator[Packet | Gap]:
        yield PACKETS[0]
        yield PACKETS[1].data  # type: ignore[misc]

    source = IterableSource(packets())
    assert [type(item) for item in [item async for item in source.packets()]] == [Packet, Gap]
    assert str(source.error) == "it yielded bytes, which is neither a Packet nor a Gap"
