"""A place: where the clip of a plan lies in a longer stream, of which it is a part, and what the stream has one of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from videostore.base.errors import FFmpegError
from videostore.clips.mixed_sound import MixedSound, mixed_sound
from videostore.clips.plan import REENCODED_FACTOR, ClipPart, Plan, first_picture_bytes
from videostore.clips.stream_sound import SoundSoFar, StreamSound, cut_window
from videostore.media.look import Look


@dataclass(frozen=True, slots=True)
class Fit:
    """What all of a stream gets whose recording changes its format: the frame size and the shape of a pixel."""

    width: int
    height: int
    pixel_shape: Fraction = Fraction(1)
    copied: tuple[str, bool, Look] | None = None
    """Codec, whether they are of this module, and look of the segments of that size which are copied as they are; None
    if all are re-encoded."""

    @classmethod
    def of_size(cls, width: int, height: int, look: Look | None, copied: tuple[str, bool, Look] | None = None) -> Fit:
        """That of segments of a size, which is made even."""
        shape = look.pixel_shape if look is not None else Fraction(1)
        return cls(width + width % 2, height + height % 2, shape, copied)

    def is_met_by(self, groups: Sequence[Sequence[ClipPart]]) -> bool:
        """Whether these can be copied into the stream."""
        if len(groups) != 1 or self.copied is None:
            return False
        codec, ours, look = self.copied
        one = groups[0][0].segment
        same = (one.codec, one.run_us is not None, one.width, one.height) == (codec, ours, self.width, self.height)
        return same and all(part.look in (None, look) for part in groups[0])

    def reencoded(self, plan: Plan) -> Plan:
        """A plan that is re-encoded, whether its parts differ or not."""
        most_bytes = plan.estimated_bytes * REENCODED_FACTOR + first_picture_bytes(self.width * self.height)
        return replace(plan, reencoded=True, output_bytes=most_bytes)


@dataclass(slots=True)
class Place:
    """Where the clip of a plan lies in a longer stream, of which it is a part. It is changed for each part."""

    position_us: int = 0
    """From the start of the stream."""
    delay_us: int = 0
    """How long before it is shown each frame must be decoded, if all of the part is encoded, for what follows."""
    first: bool = True
    """Whether the stream begins with it."""
    more: bool = True
    """Whether other parts follow."""
    told: Plan | None = None
    """The plan of all of the stream, if it is known: its tags tell the times of that."""
    told_with: Plan | None = None
    """The plan of the first part, unless which nothing is told."""
    tag: str | None = None
    """How the video is tagged in the stream, which its first part decides."""
    fit: Fit | None = None
    """What parts are re-encoded to that have another format; None if none has."""
    sound: StreamSound | None = None
    """What sound the stream has, which its header tells; None without."""
    sound_begin_us: int = 0
    """Where the sound of the part begins in the stream, once it is cut."""
    header_of: Plan | None = None
    """The plan of which only the header is made here, from one frame of it; None if what is made is the part itself."""
    encoded: asyncio.Event | None = None
    """Set when all that must be encoded is, or was before: what is left is to join it."""
    _so_far: SoundSoFar = field(default_factory=SoundSoFar)
    _after: SoundSoFar = field(default_factory=SoundSoFar)

    def mixed_sound(self, plan: Plan, work: Path) -> MixedSound | None:
        """What is to be encoded before the sound of a plan that lies here is cut; None if nothing is. Blocking.

        Raises:
            OSError: a file cannot be read or written.
        """
        return mixed_sound(self.sound, self._so_far, plan, work, self.position_us) if self.sound is not None else None

    def cut_sound(self, plan: Plan, work: Path, sounds: bool, mixed: MixedSound | None = None) -> Path | None:
        """Write the sound of a plan that lies here, which has its place in the stream. None if the stream has none.
        What is `mixed` was encoded. Blocking.

        Raises:
            FFmpegError: the recording `sounds` and the stream cannot, or it has another format of sound.
            OSError: a file cannot be read or written.
        """
        if self.sound is None:
            if sounds:
                raise FFmpegError("stream-format-changed", at_us=plan.parts[0].first_us)
            return None
        encoded = mixed.encoded() if mixed is not None else None
        place = plan, work / "sound.mp4", self.position_us
        made = cut_window(self.sound, self._so_far, *place, more=self.more, encoded=encoded)
        self._after, self.sound_begin_us = made.after, made.begin_us
        return made.path

    def told_by(self, plan: Plan) -> tuple[Plan, bool]:
        """The plan of which the tags tell the times, and whether the stream goes on beyond that."""
        plan = self.header_of or plan
        if self.told is not None and plan is self.told_with:
            return self.told, False
        return plan, self.more

    def pass_on(self) -> None:
        """The part is in the stream: the next one follows."""
        self.first = False
        self._so_far = self._after
