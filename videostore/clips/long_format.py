"""The format of a long stream: what it has one of from its first byte on, told from the index and a few files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.clips.clip_sound import SoundFormat
from videostore.clips.place import Fit
from videostore.clips.planner import FindOpenSegments
from videostore.clips.stream_sound import ENCODED_SOUND, StreamSound
from videostore.clips.windows import FIRST_SEGMENTS
from videostore.media.fmp4 import read_ends, read_fragments
from videostore.media.fragmented_file import NotOursError
from videostore.media.look import Look
from videostore.media.segment import Segment
from videostore.media.silence import codec_of
from videostore.storage.archive import Archive
from videostore.storage.segment_kinds import SegmentKind, kinds_of, runs_of

_COMPARED_SEGMENTS = 5000
"""42 hours. To compare more before the first byte would take long."""
_COMPARED_RUNS = 100
"""A file of each is opened to look for sound, which all segments of a run have or none: a tenth of a second. Of more
runs, the first and the last are compared, because sound is mostly switched on or off once."""
_COMPARED_KINDS = 30
_LOOKS = 10
"""So often files are looked up again of which one was closed, or deleted, before it was opened."""
_ENCODED_COLOURS = (6, 6, 6, False)
"""Those of all that is re-encoded."""


@dataclass(frozen=True, slots=True)
class LongFormat:
    """What a stream has one of."""

    sound: StreamSound | None = None
    fit: Fit | None = None
    """What is re-encoded to; None if nothing has to be."""

    def copies(self, segment: Segment) -> bool:
        """Whether a segment is copied into the stream, as far as the index tells."""
        if self.fit is None or self.fit.copied is None:
            return self.fit is None
        one = (segment.codec, segment.run_us is not None, segment.width, segment.height)
        return one == (*self.fit.copied[:2], self.fit.width, self.fit.height)


class LongFormats:
    """Finds the formats of streams of one archive."""

    def __init__(self, archive: Archive, opened: FindOpenSegments) -> None:
        self._archive = archive
        self._opened = opened

    async def codecs(self, asked: Range) -> set[str]:
        """The codecs of what is stored of a range, or of its beginning if it is very long."""
        return {one.codec for one in await self._kinds(asked)}

    async def find(self, asked: Range, *, follow: bool = False, short: bool = False) -> LongFormat | None:
        """The format of the stream of a range; None if that is planned whole because it is short, unless even `short`
        ones have one.

        Of several formats of sound it is the first to which the others can be encoded. Where another size or codec, or
        sound, shows only in what is not compared, the stream has no place for it.
        """
        kinds, looks = await self._looks(asked)
        fit = _fit_of(looks, alike=len(looks) == len(kinds))
        if not (follow or short) and fit is None and sum(one.segments for one in kinds) <= FIRST_SEGMENTS:
            return None
        for _ in range(_LOOKS):
            try:
                return LongFormat(await off_loop(_sound_of, await self._compared_files(asked), follow), fit)
            except FileNotFoundError:
                continue  # it was closed just now, and has another name
        present = [one for one in await self._compared_files(asked) if await off_loop(one.exists)]
        return LongFormat(await off_loop(_sound_of, present, follow), fit)

    async def _looks(self, asked: Range) -> tuple[Sequence[SegmentKind], Sequence[tuple[SegmentKind, Look]]]:
        """The kinds of a range, and how those look that are compared."""
        for left in reversed(range(_LOOKS)):
            kinds = await self._kinds(asked)
            compared = _compared(kinds)
            try:
                paths = [self._archive.directory / one.file_name for one in compared]
                looks = [await off_loop(_look, path, left > 0) for path in paths]
                break
            except FileNotFoundError:
                continue  # it was closed just now, and has another name
        return kinds, list(zip(compared, looks, strict=True))

    async def _compared_files(self, asked: Range) -> list[Path]:
        """The files that are opened to look for sound."""
        searched = self._archive.index, asked.from_us, asked.to_us, _COMPARED_SEGMENTS
        async with self._archive.steady():  # what is closed meanwhile would be in neither
            names = await runs_of(*searched)
            opened = await self._opened(asked.from_us, asked.to_us)
        paths = [self._archive.directory / name for name in names]
        if len(paths) > _COMPARED_RUNS:
            paths = paths[: _COMPARED_RUNS // 2] + paths[-_COMPARED_RUNS // 2 :]
        return [*paths, *(path for _, path in opened)]

    async def _kinds(self, asked: Range) -> list[SegmentKind]:
        async with self._archive.steady():
            kinds = await kinds_of(self._archive.index, asked.from_us, asked.to_us, _COMPARED_SEGMENTS)
            opened = await self._opened(asked.from_us, asked.to_us)
        for one, path in opened:
            shown = (one.codec, one.width, one.height, one.setup)
            kinds.append(SegmentKind(*shown, int(one.run_us is not None), 1, path.name))
        return kinds


def _compared(kinds: Sequence[SegmentKind]) -> Sequence[SegmentKind]:
    """The kinds of which a file is opened: of too many the first ones, and the largest, to which all others fit."""
    if len(kinds) <= _COMPARED_KINDS:
        return kinds
    return [*kinds[: _COMPARED_KINDS - 1], max(kinds[_COMPARED_KINDS - 1 :], key=_size_of)]


def _size_of(kind: SegmentKind) -> tuple[int, int]:
    return kind.width * kind.height, kind.segments


def _fit_of(kinds: Sequence[tuple[SegmentKind, Look]], *, alike: bool) -> Fit | None:
    """The size that all of a stream gets which has these kinds: the largest. None if they are one, and `alike` are
    those which were not compared.
    """
    # H.264 may change its parameter sets within a stream: they are repeated in it. Those of other codecs must be equal.
    formats = {(one[:3], one.ours, look, None if one.codec == "h264" else one.setup) for one, look in kinds}
    if len(formats) <= 1 and alike:
        return None
    largest, look = max(kinds, key=lambda one: _size_of(one[0]))
    even = largest.width % 2 == largest.height % 2 == 0
    copied = even and largest.codec == "h264" and largest.ours and look.colours in (None, _ENCODED_COLOURS)
    return Fit.of_size(largest.width, largest.height, look, (largest.codec, True, look) if copied else None)


def _look(path: Path, must_exist: bool) -> Look:
    """Blocking.

    Raises:
        FileNotFoundError: it is gone, and must exist.
    """
    try:
        return read_ends(path).look
    except (NotOursError, OSError) as error:  # the plan tells what cannot be read
        if must_exist and isinstance(error, FileNotFoundError):
            raise
        return Look()


def _sound_of(paths: Sequence[Path], follow: bool) -> StreamSound | None:
    """The sound of a stream of these files; None if none of them has some. Files are read until one is found to which
    others can be encoded. To follow, the first is taken, since others may never come. Blocking.
    """
    found: dict[SoundFormat, StreamSound] = {}
    for path in paths:
        try:
            track = read_ends(path).sound
            if track is None or not codec_of(track.entry):
                continue
            format = SoundFormat(track.entry, track.timescale)
            if format not in found:
                sound = found[format] = StreamSound.of(format, read_fragments(path).sounds)
                if follow or sound.encoding is not None:
                    return sound
        except FileNotFoundError:
            raise
        except (NotOursError, OSError):  # the plan tells what cannot be read
            continue
    return ENCODED_SOUND if len(found) > 1 else next(iter(found.values()), None)
