"""The frames around the border of two segments, of which the second begins with an open GOP.

They are those from the last keyframe of the first segment to the last of its frames that the second file holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import MIB
from videostore.media.coded_picture import parameter_sets, with_start_codes
from videostore.media.decoder_setup import NoSetupError, read_setup
from videostore.media.fmp4 import read_fragments
from videostore.media.fragmented_file import Fragment, FragmentedFile, NotOursError
from videostore.media.nal_units import length_bytes
from videostore.media.segment import UnreadableError

_PIECE_BYTES = MIB


@dataclass(frozen=True, slots=True)
class _Place:
    """A frame in a file."""

    path: Path
    begin_byte: int
    size_bytes: int
    time_us: int


@dataclass(frozen=True, slots=True)
class BorderFrames:
    """All that a decoder needs for these frames, read as it is taken: it may be more than fits into memory."""

    codec: str
    frames: int
    _sets: bytes
    _lengths: int
    _places: tuple[_Place, ...]

    def pieces(self) -> Iterator[bytes]:
        """The frames in the order of decoding with start codes, behind the parameter sets. They end where a file cannot
        be read any more. Blocking.
        """
        piece = bytearray(self._sets)
        try:
            for one in self._places:
                with one.path.open("rb") as file:
                    file.seek(one.begin_byte)
                    piece += with_start_codes(file.read(one.size_bytes), self._lengths)
                if len(piece) >= _PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
        except OSError:
            pass  # who counts the frames that come out sees that some are missing
        yield bytes(piece)


def border_frames(path: Path, following: Path) -> BorderFrames | None:
    """The frames around a border; None if the second file holds none of the first one. Blocking.

    Raises:
        UnreadableError: a file is missing or damaged.
    """
    try:
        content, after = read_fragments(path), read_fragments(following)
        if after.leading is None or after.start_lost:
            return None
        begin = max((n for n, fragment in enumerate(content.fragments) if fragment.is_keyed), default=0)
        needed = content.fragments[begin:]
        borrowed_us = after.leading.shown_us
        places = [one for fragment in needed for one in _places(path, fragment) if one.time_us >= needed[0].times_us[0]]
        behind = [one for fragment in leading_fragments(after) for one in _places(following, fragment)]
        while behind[-1].time_us not in borrowed_us:
            behind.pop()
        config = read_setup(path).config
        lengths = length_bytes(content.codec, config)
        if lengths is None:
            return None
        places += behind
        return BorderFrames(content.codec, len(places), parameter_sets(content.codec, config), lengths, tuple(places))
    except (NotOursError, NoSetupError, OSError) as error:
        raise UnreadableError("it or the file behind it cannot be read") from error


def leading_fragments(content: FragmentedFile) -> Sequence[Fragment]:
    """The fragments of a file from its first keyframe to the last frame that is shown before it."""
    if content.leading is None:
        return ()
    shown_us = content.leading.shown_us
    last = max(n for n, fragment in enumerate(content.fragments) if fragment.first_us in shown_us)
    return content.fragments[: last + 1]


def _places(path: Path, fragment: Fragment) -> Iterator[_Place]:
    at = fragment.body_byte
    for time_us, size in zip(fragment.times_us, fragment.sizes, strict=True):
        yield _Place(path, at, size, time_us)
        at += size
