"""A storage directory that the Go module has left, and what its clients ask of the recorder that takes it over."""

from __future__ import annotations

import base64
import contextlib
import io
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import av
import pytest
from grpclib import GRPCError

from tests.support.recording import US, Stores, until
from tests.support.served_recorder import Client, served
from tests.support.storage import START_S
from videostore.base.time_format import format_utc
from videostore.store.store import VideoStore

SECONDS = 3
"""Length of a segment here."""
FRAME_S = 0.1


def at(second: float) -> str:
    """A timestamp so many seconds after the first segment."""
    return format_utc(round((START_S + second) * US))


def between(begin: float, end: float) -> dict[str, str]:
    return {"from_": at(begin), "to": at(end)}


class GoDirectory:
    """A storage directory that the Go module has left, and a recorder that takes it over."""

    def __init__(self, stores: Stores, segments: Path, directory: Path) -> None:
        self.stores = stores
        self._segments = segments
        self._directory = directory
        stores.storage.mkdir()

    def put(self, *names: str | int, kind: str = "usual") -> list[Path]:
        """Add segments by their names, or by how many seconds they begin after the first."""
        paths = [self.stores.storage / (f"{START_S + one}.mp4" if isinstance(one, int) else one) for one in names]
        for path in paths:
            shutil.copy(self._segments / f"{kind}.mp4", path)
        return paths

    @contextlib.asynccontextmanager
    async def taken_over(self, **options: Any) -> AsyncIterator[tuple[VideoStore, Client]]:
        """Start the recorder; everything is in its index."""
        store = await self.stores.open(**options)
        await until(store._archive.reconciled.is_set)
        async with served(store, self._directory) as client:
            yield store, client


async def refusal(client: Client, command: str, **fields: Any) -> str:
    with pytest.raises(GRPCError) as error:
        await client(command, **fields)
    return str(error.value.message)


def clip(answer: Mapping[str, Any]) -> bytes:
    return base64.b64decode(str(answer["video"]))


def frames(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(1 for _ in container.decode(video=0))
