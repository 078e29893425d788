"""A clip on its way from a machine: in pieces, where an answer cannot carry it whole."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from videostore.base.constants import FASTSTART_BYTES, US_PER_SECOND
from videostore.base.errors import NothingStoredError, RequestError, TooLargeError, UnreadableRangeError
from videostore.base.ranges import Range, merge_ranges
from videostore.base.tasks import run_in_thread
from videostore.clips.progress import OnProgress
from videostore.ffmpeg.process import find_ffmpeg
from videostore.remote.splice import Joint, Packet, Piece, even_out

TOLD_US = 1000
"""Answers name times to the millisecond: pieces meet at whole ones."""
LIMIT = re.compile(r"about ([\d.]+) MiB.* carries ([\d.]+) MiB: fetch at most ([\d.]+) s")
"""What a refusal says: how large the clip would be, what an answer carries, and how long a clip that fits."""

_AIM_SHARE = 0.4
"""Pieces take so much of what an answer carries: memory at both ends is spared, and the progress seen."""
_SHORT_US = 2 * US_PER_SECOND
"""Pieces get shorter only where they must: each carries up to a second that is hidden."""
_SHORTEST_US = US_PER_SECOND // 100
_REACHES_S = (0.25, 1, 2, 4, 16)
"""How far a clip reaches that tells what lies around a seam; the camera may be slow."""

_FARTHEST_US = 60 * US_PER_SECOND
"""How far from a seam a frame is looked for where no answer carries two of them."""

_MIB = 1 << 20

Fetch = Callable[[int, int, Path], Awaitable[tuple[Range, ...] | None]]
"""Fetches the clip of a range into a file; gives what it holds, where that is not all."""


class Transfer:
    """One clip on its way: the pieces that are fetched, and the joints that they make."""

    def __init__(self, fetch: Fetch, work: Path, asked: Range, report: OnProgress | None) -> None:
        self.path = work / "clip.mp4"
        self._fetch_piece = fetch
        self._work = work
        self._asked = asked
        self._report = report
        self._held: list[Range] = []
        self._unsure_us: list[int] = []
        """Seams at which the last frame's own word had to be taken for how long it lasts."""
        self._pieces = 0
        self._joints: list[Joint] = []
        self._total_bytes = 0
        self._longest_us = asked.to_us - asked.from_us
        self._aim_bytes: float | None = None

    @property
    def ranges(self) -> tuple[Range, ...] | None:
        """What the clip holds, where that is not all. It is parted where the times over a seam could not be told."""
        held = _without(merge_ranges(self._held), self._unsure_us)
        length_us = self._asked.to_us - self._asked.from_us
        complete = len(held) == 1 and length_us - (held[0].to_us - held[0].from_us) < TOLD_US
        return None if complete else tuple(held)

    async def fetch(self) -> None:
        """Write the clip to `path`."""
        try:
            await self._fetch_pieces()
            for joint in self._joints:
                await run_in_thread(joint.close)
        finally:
            for joint in self._joints:
                with contextlib.suppress(OSError, ValueError):
                    joint.close()
        if len(self._joints) == 1:
            self._joints[0].path.rename(self.path)
        elif self._joints:
            await even_out(self._joints, self.path, find_ffmpeg())

    async def _fetch_pieces(self) -> None:
        at_us, absent = self._asked.from_us, None
        while at_us < self._asked.to_us:
            end_us = self._end_us(at_us)
            piece = self._work / f"piece{self._pieces}.mp4"
            try:
                ranges = await self._fetch_piece(at_us, end_us, piece)
            except TooLargeError as error:
                self._shorten(error, end_us - at_us)
                continue
            except (NothingStoredError, UnreadableRangeError) as error:
                absent = absent or error
                self._held += await self._last_frame_in(at_us, end_us)
                self._longest_us *= 2
            except RequestError as error:
                if not self._pieces or "lies in the future" not in str(error):
                    raise
                break  # the range reaches beyond the machine's present
            else:
                await self._keep(piece, Range(at_us, end_us), ranges)
            at_us = end_us
            if self._report is not None:
                self._report((at_us - self._asked.from_us) / (self._asked.to_us - self._asked.from_us))
        if absent is not None and not self._pieces:
            raise absent

    def _end_us(self, at_us: int) -> int:
        """Where the next piece ends: what is left is divided evenly, for a tiny rest might hold no frame at all."""
        left_us = self._asked.to_us - at_us
        count = -(-left_us // self._longest_us)
        return self._asked.to_us if count == 1 else max(at_us + 1, (at_us + left_us // count) // TOLD_US * TOLD_US)

    async def _last_frame_in(self, from_us: int, to_us: int) -> list[Range]:
        """What is held of a range in which no frame was captured: one before it may last into it."""
        whole = (from_us, to_us) == (self._asked.from_us, self._asked.to_us)
        if whole or (from_us > self._asked.from_us and not any(one.to_us == from_us for one in self._held)):
            return []
        for reach_s in _REACHES_S:
            before_us = from_us - int(reach_s * US_PER_SECOND)
            try:
                ranges = await self._fetch_piece(before_us, to_us, self._work / "before.mp4")
            except (NothingStoredError, UnreadableRangeError):
                continue
            except RequestError:  # too large, for instance
                break
            held = [Range(before_us, to_us)] if ranges is None else ranges
            return [Range(max(one.from_us, from_us), one.to_us) for one in held if one.to_us > from_us]
        return []

    def _shorten(self, refusal: TooLargeError, length_us: int) -> None:
        """Ask for less after a refusal, which says how much would fit; it is raised again where nothing does."""
        self._longest_us = length_us // 2
        if told := LIMIT.search(str(refusal)):
            about_mib, carried_mib, fits_s = map(float, told.groups())
            self._aim_bytes = _AIM_SHARE * carried_mib * _MIB
            self._total_bytes = self._total_bytes or int(about_mib * _MIB)
            fits_us = fits_s * US_PER_SECOND
            if fits_us > 0:
                self._longest_us = min(self._longest_us, max(int(_AIM_SHARE * fits_us), _SHORT_US))
        if self._longest_us < _SHORTEST_US:
            raise refusal

    def _lengthen(self, size_bytes: int, length_us: int) -> None:
        """Let the size of a piece steer the length of the next; a clip need not be equally dear everywhere."""
        if self._aim_bytes is not None:
            aimed_us = int(length_us * self._aim_bytes / size_bytes)
            self._longest_us = max(length_us // 2, min(aimed_us, 2 * length_us), min(length_us, _SHORT_US))

    async def _keep(self, piece: Path, asked: Range, ranges: tuple[Range, ...] | None) -> None:
        """Make a piece part of the clip."""
        self._pieces += 1
        self._held += [asked] if ranges is None else ranges
        size_bytes = piece.stat().st_size
        if asked == self._asked:
            piece.rename(self.path)
        else:
            await self._take(piece, asked.from_us)
            piece.unlink()
        self._lengthen(size_bytes, asked.to_us - asked.from_us)

    async def _take(self, path: Path, at_us: int) -> None:
        """Join a piece to those before it."""
        piece = await run_in_thread(Piece.read, path)
        if self._joints:
            joint = self._joints[-1]
            distance_us = None
            if piece.head == 0 and joint.first.joins(piece) and self._is_held_around(at_us):
                distance_us = await self._measure(joint, piece, at_us)
                if distance_us is None:
                    self._unsure_us.append(at_us)
            if (seam := joint.seam(piece, distance_us)) is not None:
                await run_in_thread(joint.add, piece, seam)
                return
            await run_in_thread(joint.close)
        number, faststart = len(self._joints), 0 < self._total_bytes <= FASTSTART_BYTES
        self._joints.append(
            await run_in_thread(functools.partial(Joint, self._work / f"joint{number}.mp4", piece, faststart=faststart))
        )

    def _is_held_around(self, at_us: int) -> bool:
        return any(one.from_us < at_us < one.to_us for one in merge_ranges(self._held))

    async def _measure(self, joint: Joint, piece: Piece, at_us: int) -> int | None:
        """How far apart two frames are between which a piece begins with a keyframe, and so hides nothing.

        The last frame's own word may be a guess, at the end of a segment. A clip that holds both knows.
        """
        for reach_s in _REACHES_S:
            reach_us = int(reach_s * US_PER_SECOND)
            try:
                bridge = await self._glimpse(at_us - reach_us, min(at_us + reach_us, self._asked.to_us))
            except RequestError:  # too large, for instance
                break
            if bridge and (distance_us := bridge.distance_us(joint.last, piece.packets[0])) is not None:
                return distance_us
        # No answer carries both: each is looked for by itself.
        last_us = await self._search(joint.last, at_us, -_FARTHEST_US)
        if last_us is None:
            return None
        first_us = await self._search(piece.packets[0], at_us, min(_FARTHEST_US, self._asked.to_us - at_us))
        return None if first_us is None else first_us - last_us

    async def _search(self, frame: Packet, at_us: int, reach_us: int) -> int | None:
        """When the frame next to a moment was captured, behind it or before it (by a negative reach).

        That is told by the shortest range that holds something. None: it is another frame, or not to be found.
        """
        nearest: Packet | None = None
        empty_us, full_us = 0, abs(reach_us)
        while full_us - empty_us > 1 or nearest is None:
            tried_us = min(empty_us + max(1, (full_us - empty_us) // (2 if nearest else 4)), full_us)
            try:
                found = await self._glimpse(*sorted((at_us, at_us + (tried_us if reach_us > 0 else -tried_us))))
            except RequestError:  # too large, for instance: then it is not empty
                if tried_us == full_us:
                    return None
                full_us = tried_us
                continue
            if found is None and tried_us == full_us:
                return None
            if found is None:
                empty_us = tried_us
            else:
                nearest, full_us = found.packets[found.head if reach_us > 0 else -1], tried_us
        if nearest.digest != frame.digest:
            return None
        return at_us + full_us - 1 if reach_us > 0 else at_us - full_us

    async def _glimpse(self, from_us: int, to_us: int) -> Piece | None:
        """A clip that is only looked at; None where nothing was captured in its range."""
        path = self._work / "bridge.mp4"
        try:
            await self._fetch_piece(from_us, to_us, path)
        except (NothingStoredError, UnreadableRangeError):
            return None
        return await run_in_thread(Piece.read, path)


def _without(ranges: list[Range], unsure_us: list[int]) -> list[Range]:
    """The ranges, parted by the least that is told at these moments."""
    for at_us in unsure_us:
        ranges = [
            part
            for one in ranges
            for part in (
                [Range(one.from_us, at_us - TOLD_US), Range(at_us, one.to_us)]
                if one.from_us < at_us - TOLD_US and at_us < one.to_us
                else [one]
            )
        ]
    return ranges
