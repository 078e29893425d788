"""A source made of any asynchronous iterable of packets."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from videostore.base.errors import reason_of
from videostore.media.packet import Gap, Packet


class IterableSource:
    """A `Source` of the packets of an iterable. It can be iterated only once."""

    def __init__(self, packets: AsyncIterable[Packet | Gap]) -> None:
        self._packets = packets
        self.error: Exception | None = None
        """The exception that the iterable raised, which ended the recording."""

    async def packets(self) -> AsyncIterator[Packet | Gap]:
        """Yield what the iterable yields. An exception that it raises becomes a gap, and is kept in `error`."""
        try:
            async for item in self._packets:
                if not isinstance(item, (Packet, Gap)):
                    raise TypeError(f"it yielded {type(item).__name__}, which is neither a Packet nor a Gap")
                yield item
        except Exception as error:  # noqa: BLE001 (`VideoStore.ended` raises it)
            self.error = error
            yield Gap(f"the source failed: {reason_of(error)}")
