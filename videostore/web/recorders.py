"""Recorders: the storage directories that a server shows. They come and go while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.lanes import Lane, take_lane
from videostore.base.tasks import end_task, off_loop
from videostore.ffmpeg.process import find_ffmpeg
from videostore.store.store import VideoStore
from videostore.web.growing_playlists import GrowingPlaylists
from videostore.web.live import LiveWindow
from videostore.web.marks import Marks, RestingMarks
from videostore.web.parts import PartTables
from videostore.web.pictures import Pictures
from videostore.web.saves import WebSaves
from videostore.web.segment_bytes import SegmentBytes

_RETRY_S = 10.0
"""How often a directory that cannot be opened is tried again."""
_OPEN_WITHIN_S = 5.0
"""A request waits so long for a directory that is being opened. One of 300,000 segments takes a few seconds."""
_LOOK_WITHIN_S = 1.0
"""Who asks whether it records waits so long for a directory that is being opened; most are open in less."""
_LIVE_FOR_S = 2.0
"""How long it is believed whether a recording is in progress."""
_NOT_SLUG = re.compile(r"[^a-z0-9]+")
_DIGITS = re.compile(r"([0-9]+)|([^0-9]+)")
_SLUG_CHARS = 60
_DIGEST_CHARS = 6


@dataclass(frozen=True, slots=True)
class RecorderPlace:
    """Where a recorder stores, as the command line or the module names it."""

    name: str
    directory: Path
    upload_path: Path | None = None
    """Where clips for upload go; None if there is no such place."""


class Recorder:
    """A recorder that is shown: a read-only store over its directory, which is opened in the background."""

    def __init__(self, place: RecorderPlace, logger: logging.Logger, marks: Marks | None = None) -> None:
        """`start` opens it; `close` ends it."""
        self.id = ""
        """What names it in addresses, among the others."""
        self.place = place
        self.tables = PartTables()
        self.marks = marks or RestingMarks(place.directory)
        self.trouble: VideoStoreError | None = None
        """Why its directory cannot be opened; None if it can, or was not tried yet."""
        self.told: Mapping[str, Any] | None = None
        """What its module said last, as `get_status` does; None where no module does."""
        self._told_at = 0.0
        self._logger = logger
        self._store: VideoStore | None = None
        self._ready = asyncio.Event()
        self._opening: asyncio.Task[None] | None = None
        self._live: LiveWindow | None = None
        self._growing: GrowingPlaylists | None = None
        self._segments: SegmentBytes | None = None
        self._pictures: Pictures | None = None
        self._saves: WebSaves | None = None
        self._lane = Lane()
        """Where requests for it do their blocking calls."""
        self._recording = False
        self._looked = 0.0
        self.device: int | None = None
        """What tells the disk of its directory from others; None if that is not known."""

    @property
    def name(self) -> str:
        """The name by which people know it."""
        return self.place.name

    def tell(self, status: Mapping[str, Any]) -> None:
        """Take what its module says of it."""
        self.told, self._told_at = status, time.monotonic()

    @property
    def told_age_s(self) -> float:
        """How long ago that was."""
        return time.monotonic() - self._told_at

    @property
    def stored_bytes(self) -> int | None:
        """How much it stores; None while its directory is not open."""
        return None if self._store is None else self._store.health().stored_bytes

    def start(self) -> None:
        """Begin to open the directory."""
        self._opening = asyncio.create_task(self._open())

    async def close(self) -> None:
        """End everything of it."""
        if self._opening is not None:
            await end_task(self._opening)
        if self._saves is not None:
            await self._saves.close()
        if self._store is not None:
            await self._store.close()

    async def store(self) -> VideoStore:
        """Its store, as soon as it is open.

        Raises:
            RequestError: its directory cannot be opened, or is not open yet.
        """
        take_lane(self._lane)
        if self._store is None or not self._ready.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _OPEN_WITHIN_S if self.trouble is None else 0.1)
        if self._store is None or not self._ready.is_set():
            if self.trouble is not None:
                raise RequestError("recorder-not-readable", value=self.name, reason=str(self.trouble))
            raise RequestError("recorder-opening", value=self.name)
        return self._store

    async def live(self) -> LiveWindow:
        """What its viewers see live.

        Raises:
            RequestError: as `store`.
        """
        store = await self.store()
        if self._live is None:
            self._live = LiveWindow(store._viewing, self.tables)
        return self._live

    async def growing(self) -> GrowingPlaylists:
        """Its playlists that grow.

        Raises:
            RequestError: as `store`.
        """
        store = await self.store()
        if self._growing is None:
            self._growing = GrowingPlaylists(store._viewing, self.tables)
        return self._growing

    async def segments(self) -> SegmentBytes:
        """Opens its segments.

        Raises:
            RequestError: as `store`.
        """
        store = await self.store()
        if self._segments is None:
            self._segments = SegmentBytes(store._viewing, await off_loop(find_ffmpeg))
        return self._segments

    async def pictures(self) -> Pictures:
        """Makes its pictures.

        Raises:
            RequestError: as `store`.
        """
        store = await self.store()
        if self._pictures is None:
            self._pictures = Pictures(store, self.tables)
        return self._pictures

    async def saves(self) -> WebSaves:
        """Makes its saves.

        Raises:
            RequestError: as `store`.
        """
        store = await self.store()
        if self._saves is None:
            self._saves = WebSaves(store, self._logger)
        return self._saves

    async def is_recording(self) -> bool:
        """Whether a recording is in progress. While its directory is being opened, it waits for that for a moment."""
        if self._store is None and self.trouble is None:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ready.wait(), _LOOK_WITHIN_S)
        if self._store is not None and time.monotonic() - self._looked > _LIVE_FOR_S:
            self._looked = time.monotonic()
            with self._lane.taken():
                self._recording = await self._store._viewing.is_recording()
        return self._recording

    async def _open(self) -> None:
        while True:
            store = VideoStore.open(
                self.place.directory, name=self.place.name, upload_path=self.place.upload_path, logger=self._logger
            )
            store._begins_with_index = True
            try:
                await store.start()
            except VideoStoreError as error:
                if self.trouble is None or str(self.trouble) != str(error):
                    self._logger.error("%s cannot be shown: %s", self.name, error)
                self.trouble = error
            except Exception as error:
                self._logger.exception("%s cannot be shown. Trying again.", self.name)
                self.trouble = VideoStoreError("storage-unusable", path=self.place.directory, reason=reason_of(error))
            else:
                self._store, self.trouble = store, None
                self.device = await off_loop(_device_of, self.place.directory)
                self._ready.set()
                return
            await asyncio.sleep(_RETRY_S)


class Recorders:
    """All recorders of a server, by name. Owns them until `close`."""

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logger or logging.getLogger("videostore")
        self._all: list[Recorder] = []
        self.on_change: list[Callable[[], None]] = []
        """Called when a recorder was added or removed."""

    def __iter__(self) -> Iterator[Recorder]:
        return iter(list(self._all))

    def __len__(self) -> int:
        return len(self._all)

    def add(self, place: RecorderPlace, marks: Marks | None = None) -> Recorder:
        """Show a recorder from now on. Its directory is opened in the background, and may not exist yet.

        Without `marks` it has no module, and is marked only while nothing records to it.
        """
        recorder = Recorder(place, self._logger, marks)
        self._all.append(recorder)
        self._all.sort(key=lambda one: (*natural_key(one.name), str(one.place.directory)))
        self._name_all()
        recorder.start()
        self._changed()
        return recorder

    async def remove(self, recorder: Recorder) -> None:
        """Show a recorder no more."""
        if recorder in self._all:
            self._all.remove(recorder)
            self._name_all()
        self._changed()
        await recorder.close()

    async def close(self) -> None:
        """Remove all."""
        for one in self:
            await self.remove(one)

    def get(self, id: str) -> Recorder:
        """The recorder with an id.

        Raises:
            RequestError: there is none.
        """
        found = [one for one in self._all if one.id == id] or [one for one in self._all if _long_id(one.place) == id]
        if not found:
            raise RequestError("no-such-recorder", value=id)
        return found[0]

    def named(self, name: str) -> Recorder | None:
        """The recorder with a name; None if there is none."""
        return next((one for one in self if one.name == name), None)

    def _name_all(self) -> None:
        """Give each its id. It depends on no order: links must lead to the same recorder after a restart."""
        shared = Counter(slug(one.name) for one in self._all)
        for one in self._all:
            plain = slug(one.name)
            one.id = plain if shared[plain] == 1 else _long_id(one.place)

    def _changed(self) -> None:
        for call in self.on_change:
            call()


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """What sorts names as people do: without regard to case, and `camera 2` before `camera 10`."""
    parts = _DIGITS.findall(name.casefold())
    return [(int(digits), "") if digits else (-1, text) for digits, text in parts], name


def slug(name: str) -> str:
    """A name as addresses write it: `Front Door` is `front-door`.

    One with letters that have no place there gets a digest of its own: its address, and each link with it, must not
    depend on what other recorders there are.
    """
    decomposed = unicodedata.normalize("NFKD", name)
    plain = _NOT_SLUG.sub("-", decomposed.encode("ascii", "ignore").decode().lower()).strip("-")[:_SLUG_CHARS]
    if any(one.isalnum() and not one.isascii() for one in decomposed):
        return f"{plain or 'recorder'}-{_digest(name)}"
    return plain or "recorder"


def _long_id(place: RecorderPlace) -> str:
    """What tells a recorder from others whose names become the same, or are."""
    return f"{slug(place.name)}-{_digest(place.name)}-{_digest(str(place.directory))}"


def _device_of(directory: Path) -> int | None:
    """Blocking."""
    try:
        return directory.stat().st_dev
    except OSError:
        return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
