"""What one of our segments holds: its fragments, and the times and places of their frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from videostore.media.coded_order import CodedFrame, Leading, entries
from videostore.media.look import Look
from videostore.media.sound_track import SoundStretch, SoundTrack, packet_length, shifted

CODECS = {b"avc1": "h264", b"avc3": "h264", b"hvc1": "hevc", b"hev1": "hevc", b"av01": "av1", b"mp4v": "mpeg4"}


class NotOursError(ValueError):
    """The file has no times of frames: it is not one of our segments, or has no complete fragment yet."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """The frames up to the next keyframe, or one second of them if keyframes are further apart."""

    times_us: tuple[int, ...]
    """Capture time of each frame, in microseconds UTC, in the order in which they are decoded."""
    keyframes_us: tuple[int, ...]
    """Those of the frames at which decoding can begin; none if it begins in an earlier fragment."""
    end_us: int
    """End of its last frame, in microseconds UTC."""
    begin_byte: int
    """Position of its beginning in the file."""
    body_byte: int
    """Position of its first frame in the file."""
    end_byte: int
    """Position of its end in the file."""
    sizes: tuple[int, ...]
    """Bytes of each frame; empty if they are not known."""
    fresh: bool
    """Whether it starts with a keyframe that can follow the frames of another encoder."""
    decoded_us: tuple[int, ...] = ()
    """When each frame is decoded, by the clock of the capture times; empty if that is when it is shown."""
    decoded_until_us: int = 0
    """When the first frame behind it is decoded. Nothing that is shown earlier can follow."""
    sounds: tuple[SoundStretch, ...] = ()
    """The sound in it, as the file dates it: `FragmentedFile.sounds` tells when it was captured."""

    @property
    def first_us(self) -> int:
        """Capture time of the frame that is shown first."""
        return min(self.times_us) if self.decoded_us else self.times_us[0]

    @property
    def is_keyed(self) -> bool:
        """Whether decoding can begin at its first frame."""
        return self.keyframes_us[:1] == self.times_us[:1]


@dataclass(frozen=True, slots=True)
class FragmentedFile:
    """The content of one of our segments: all fragments that are complete and can be believed."""

    width: int
    height: int
    codec: str
    """ffmpeg's name: `h264`, `hevc` …"""
    setup: str
    """Digest of the decoder's configuration: streams with the same digest can be joined as they are."""
    look: Look
    comment: str
    """The `comment` tag."""
    fragments: tuple[Fragment, ...]
    header_bytes: int
    """Where the fragments begin."""
    finished: bool
    """Whether ffmpeg has finished the file; otherwise it is still being written, or was cut off."""
    end_lost: bool
    """Whether it continues behind the last fragment with something that cannot be read."""
    header_length_us: int | None = None
    """Its length until the first frame of the next segment; None if the header does not state it."""
    has_tail: bool = False
    """Whether something follows behind the end that ffmpeg wrote, which it would read as well."""
    origin_us: int = 0
    """The time in the file of the first frame, which is later than 0 if frames are decoded before they are shown."""
    sound: SoundTrack | None = None
    """How it describes its sound; None if it has none."""

    @property
    def decoded_from_us(self) -> int:
        """When its first frame is decoded, which is where the file begins."""
        first = self.fragments[0]
        return (first.decoded_us or first.times_us)[0]

    @property
    def sounds(self) -> list[SoundStretch]:
        """Its sound. If the segment is not closed, its times are right to half a packet."""
        if self.sound is None:
            return []
        found = [(one, stretch) for one in self.fragments for stretch in one.sounds]
        sounds = [stretch for _, stretch in found]
        if self.sound.placed or not found:
            return sounds
        # It begins at 0 in the file. The first packet is one of its fragment.
        first, sound = found[0]
        late_us = (first.decoded_us or first.times_us)[0] - sound.times_us[0] + packet_length(sounds) // 2
        return [shifted(one, late_us) for one in sounds]

    @property
    def is_reordered(self) -> bool:
        """Whether frames are decoded at other times, and perhaps in another order, than they are shown."""
        return any(one.decoded_us for one in self.fragments)

    @property
    def order(self) -> tuple[CodedFrame, ...]:
        """The frames in the order in which they are decoded, without `leading` ones; empty if that is the order in
        which they are shown."""
        if not self.is_reordered:
            return ()
        start_us = self.start_us
        return tuple(
            CodedFrame(
                shown_us - start_us, decoded_us - start_us, number == 0 and one.is_keyed, number == 0 and one.fresh
            )
            for one in self.fragments
            for number, (shown_us, decoded_us) in enumerate(
                zip(one.times_us, one.decoded_us or one.times_us, strict=True)
            )
            if shown_us >= start_us
        )

    @property
    def start_us(self) -> int:
        """Capture time of the first frame."""
        return self.fragments[0].times_us[0]

    @property
    def end_us(self) -> int:
        """End of the last frame."""
        return max(one.end_us for one in self.fragments) if self.is_reordered else self.fragments[-1].end_us

    @property
    def complete_until_us(self) -> int:
        """Up to here no frame can follow: later frames may still lack some that are shown before them."""
        if self.finished or not self.is_reordered:
            return self.end_us
        return min(self.end_us, self.fragments[-1].decoded_until_us)

    @property
    def size_bytes(self) -> int:
        """Bytes up to the end of the last complete fragment."""
        return self.fragments[-1].end_byte

    @property
    def times_us(self) -> list[int]:
        """Capture times of its frames, in the order in which they are shown, without `leading` ones."""
        times_us = [time_us for fragment in self.fragments for time_us in fragment.times_us]
        return sorted(one for one in times_us if one >= self.start_us) if self.is_reordered else times_us

    @property
    def leading(self) -> Leading | None:
        """The frames that are shown before its first one; None if there are none."""
        if not self.is_reordered or min(one.first_us for one in self.fragments) >= self.start_us:
            return None
        frames = [
            pair for one in self.fragments for pair in zip(one.times_us, one.decoded_us or one.times_us, strict=True)
        ]
        last = max(number for number, (shown_us, _) in enumerate(frames) if shown_us < self.start_us)
        behind_us = next((decoded_us for _, decoded_us in frames[last + 1 :]), None)
        return Leading(tuple(sorted(one for one, _ in frames if one < self.start_us)), behind_us)

    @property
    def keyframes_us(self) -> list[int]:
        """Capture times of the frames at which decoding can begin."""
        return [time_us for fragment in self.fragments for time_us in fragment.keyframes_us]

    @property
    def entries_us(self) -> list[int]:
        """Capture times of the keyframes that can follow the frames of another encoder."""
        if self.is_reordered:
            return [self.start_us + one.shown_us for one in entries(self.order) if one.fresh]
        return [fragment.times_us[0] for fragment in self.fragments if fragment.fresh]

    @property
    def start_lost(self) -> bool:
        """Whether something before the first fragment cannot be read."""
        return self.fragments[0].begin_byte != self.header_bytes

    @property
    def has_holes(self) -> bool:
        """Whether a part before the last fragment cannot be read."""
        return self.start_lost or len(self.stretches) > 1

    def without(self, starts_us: Collection[int]) -> FragmentedFile:
        """The same without some fragments, which are told by their first frames.

        Raises:
            NotOursError: none is left.
        """
        kept = tuple(one for one in self.fragments if one.times_us[0] not in starts_us)
        if not kept:
            raise NotOursError("all of its fragments are damaged")
        return replace(self, fragments=kept, end_lost=self.end_lost or kept[-1] is not self.fragments[-1])

    @property
    def stretches(self) -> list[list[Fragment]]:
        """The fragments, divided where a part of the file cannot be read."""
        stretches: list[list[Fragment]] = []
        for fragment in self.fragments:
            if not stretches or stretches[-1][-1].end_byte != fragment.begin_byte:
                stretches.append([])
            stretches[-1].append(fragment)
        return stretches
