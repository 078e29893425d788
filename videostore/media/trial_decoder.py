"""A trial decoder: finds the fragments of a segment that do not decode, so that no decoder's guess is shown instead."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import cast

from videostore.media.decoder_setup import NoSetupError, read_setup
from videostore.media.fragmented_file import Fragment
from videostore.media.libav import av
from videostore.media.nal_units import frames_of, has_mark, length_bytes, split_units, unit_kind

_OPTIONS = {"h264": {}, "hevc": {"err_detect": "explode"}}
"""The decoder of H.264 says which frames it has filled in. That of H.265 must refuse them."""
TRIED = frozenset(_OPTIONS)
"""Codecs that are decoded."""
_NEEDED = {"hevc": frozenset(range(38))}
"""NAL units without which decoding fails. Others, such as SEI, some cameras write in odd ways, which is no damage."""


def _setup_of(path: Path, codec: str) -> tuple[bytes, int] | None:
    """The decoder's setup in a file, and the bytes of a NAL unit's length; None if its frames cannot be tried."""
    try:
        config = read_setup(path).config
    except NoSetupError:
        return None
    lengths = length_bytes(codec, config)
    return None if lengths is None or codec not in TRIED else (config, lengths)


def undecodable_fragments(path: Path, codec: str, fragments: Sequence[Fragment]) -> frozenset[int]:
    """Of consecutive fragments, the first of which begins with a keyframe, those with a frame that does not decode, by
    the capture times of their first frames. Blocking: it decodes them.

    Raises:
        OSError: the file cannot be read.
    """
    setup = _setup_of(path, codec)
    if setup is None:
        return frozenset()
    config, lengths = setup
    damaged = set()
    with path.open("rb") as file:
        for group in _groups(fragments):
            coded = []
            for number, one in enumerate(group):
                file.seek(one.body_byte)
                frames = frames_of(one, file.read(one.end_byte - one.body_byte))
                # What is shown before the first frame needs frames before it.
                shown = [time_us >= group[0].times_us[0] for time_us in one.times_us]
                coded += [(frame, number) for frame in itertools.compress(frames, shown)]
            marked = {number for frame, number in coded if has_mark(codec, frame, lengths)}
            decoder = TrialDecoder(codec, config, lengths, marked)
            for frame, number in coded:
                decoder.decode(frame, number)
            decoder.finish()
            damaged |= {group[number].times_us[0] for number in decoder.failed}
    return frozenset(damaged)


def undecodable_leading(
    path: Path, codec: str, needed: Sequence[Fragment], following: Path, leading: Sequence[Fragment]
) -> frozenset[int]:
    """Of the fragments at the beginning of a file that hold frames of the file before, those with a frame that does not
    decode, by the capture times of their first frames.

    They need fragments of the file before, the first of which begins with a keyframe. Blocking: it decodes them.

    Raises:
        OSError: a file cannot be read.
    """
    setup = _setup_of(path, codec)
    if setup is None:
        return frozenset()
    config, lengths = setup
    coded: list[tuple[bytes, int]] = []
    for source, fragments, begin in ((path, needed, -len(needed)), (following, leading, 0)):
        with source.open("rb") as file:
            for number, one in enumerate(fragments, begin):
                file.seek(one.body_byte)
                frames = frames_of(one, file.read(one.end_byte - one.body_byte))
                wanted = [number >= 0 or time_us >= needed[0].times_us[0] for time_us in one.times_us]
                coded += [(frame, number) for frame in itertools.compress(frames, wanted)]
    marked = {number for frame, number in coded if has_mark(codec, frame, lengths)}
    decoder = TrialDecoder(codec, config, lengths, marked)
    for frame, number in coded:
        decoder.decode(frame, number)
    decoder.finish()
    return frozenset(leading[number].times_us[0] for number in decoder.failed if number >= 0)


def _groups(fragments: Sequence[Fragment]) -> Iterator[list[Fragment]]:
    """The fragments, divided before each that needs none before it."""
    group: list[Fragment] = []
    for one in fragments:
        if group and one.is_keyed and one.first_us == one.times_us[0]:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


class TrialDecoder:
    """Decodes frames, each of which has the number of its fragment. `failed` are the numbers of those that fail."""

    def __init__(self, codec: str, config: bytes, lengths: int, marked: Collection[int] = ()) -> None:
        """`codec` is one of `TRIED`, `config` its `avcC` or `hvcC`, and `lengths` the bytes of the length of a unit.

        Fragments in `marked` hold frames that came damaged: they fail only if a frame cannot be shown at all.
        """
        context = cast("av.video.codeccontext.VideoCodecContext", av.CodecContext.create(codec, "r"))
        context.extradata = config
        context.options = {} if marked else _OPTIONS[codec]
        context.thread_count = 1
        self._context = context
        self._codec = codec
        self._lengths = lengths
        self._marked = marked
        self._hidden: Counter[int] = Counter()
        """How many frames of each marked fragment did not come out."""
        self.failed: set[int] = set()

    def decode(self, data: bytes, number: int) -> None:
        """Decode a frame."""
        self._hidden[number] += number in self._marked
        try:
            packet = av.Packet(self._without_odd_units(data))
            packet.pts = packet.dts = number
            self._note(self._context.decode(packet))
        except (av.error.FFmpegError, ValueError):
            self._fail(number)

    def finish(self) -> None:
        """Take the frames that the decoder has kept."""
        try:
            self._note(self._context.decode(None))
        except av.error.EOFError:
            pass
        except av.error.FFmpegError:
            self._fail(0)
        self.failed |= {number for number, count in self._hidden.items() if count > 0}

    def _note(self, frames: Sequence[av.VideoFrame]) -> None:
        for frame in frames:
            number = frame.pts or 0
            self._hidden[number] -= number in self._marked
            if frame.is_corrupt:
                self._fail(number)

    def _fail(self, number: int) -> None:
        if number not in self._marked:
            self.failed.add(number)

    def _without_odd_units(self, data: bytes) -> bytes:
        needed = _NEEDED.get(self._codec)
        if needed is None:
            return data
        units = [one for one in split_units(data, self._lengths) if unit_kind(self._codec, one) in needed]
        return b"".join(len(one).to_bytes(self._lengths, "big") + one for one in units)
