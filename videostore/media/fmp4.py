"""Reads the exact time of every frame from the boxes of a segment.

ffmpeg writes a `prft` box (producer reference time, ISO/IEC 14496-12, 8.16.5) before each fragment of our segments:
the capture time of the fragment's first frame, UTC, to the microsecond. Together with the durations in `trun` it gives
the time of every frame, also in a file that is still being written or was cut off by a power failure. PyAV does not
read this box and takes 15 ms to open a file; this module reads only headers, in well under 1 ms.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from videostore.base.constants import US_PER_SECOND
from videostore.base.files import open_regular
from videostore.media.agreement import start_times
from videostore.media.boxes import (
    DAMAGE,
    MAX_HEADER_BYTES,
    PRFT_BYTES,
    Box,
    find_fragment,
    first_leaves,
    is_divided,
    read_body,
    read_box,
    track_leaves,
)
from videostore.media.fragment_boxes import FragmentClaim, read_fragment
from videostore.media.fragmented_file import CODECS, Fragment, FragmentedFile, NotOursError
from videostore.media.h26x import starts_fresh
from videostore.media.look import Look
from videostore.media.media_header import stated_length_us, timescale_of
from videostore.media.segment_names import name_time_us, parse_run_comment
from videostore.media.sound_track import SoundClaim, SoundStretch, SoundTrack, date_sound, describe_sound

_MFRO_BYTES = 16
_HEADERS = 16
"""Headers that are kept divided into their boxes, which takes half of the time of reading a segment's ends."""


def read_fragments(path: Path, within_bytes: int | None = None) -> FragmentedFile:
    """Read the headers of a segment, or of its first `within_bytes`. Blocking: a few reads per second of video.

    What is damaged is left out, and reading goes on at the next whole fragment.

    Raises:
        NotOursError: it is not an MP4, or has no `prft` or no complete fragment.
        OSError: the file cannot be read.
    """
    with open_regular(path, buffering=1024) as file:
        try:
            return _read(file, path, within_bytes=within_bytes)
        except DAMAGE as error:
            raise NotOursError(f"{path.name} is damaged or is not a segment") from error


def read_ends(path: Path) -> FragmentedFile:
    """Read only the first and the last fragment of a segment. Blocking: three reads, regardless of its length.

    The last one is found by ffmpeg's table of fragments at the end of the file. Without it, or if the two do not agree,
    all fragments are read.

    Raises:
        NotOursError: it is not an MP4, or has no `prft` or no complete fragment.
        OSError: the file cannot be read.
    """
    with open_regular(path, buffering=4096) as file:
        try:
            if last := _find_last_fragment(file, path.stat().st_size):
                ends = _read(file, path, last)
                if not ends.is_reordered:  # else the frame that is shown last need not be in the last fragment
                    return ends
        except DAMAGE:
            pass
    return read_fragments(path)


def _find_last_fragment(file: BinaryIO, file_bytes: int) -> int | None:
    """Position of the last fragment's `prft`, from `mfra` (8.8.9); None if the file does not end with one."""
    mfra = _read_table(file, file_bytes)
    tfra = first_leaves(mfra[8:]).get(b"tfra") if mfra else None
    if tfra is None:
        return None
    lengths, count = struct.unpack_from(">II", tfra, 8)
    offset_bytes = 8 if tfra[0] else 4
    entry_bytes = 2 * offset_bytes + (lengths >> 4 & 3) + (lengths >> 2 & 3) + (lengths & 3) + 3
    if count < 1:
        return None
    at = 16 + (count - 1) * entry_bytes + offset_bytes
    begin = int.from_bytes(tfra[at : at + offset_bytes], "big") - PRFT_BYTES
    if not 0 < begin < file_bytes:
        return None
    file.seek(begin)
    size, kind = struct.unpack(">I4s", file.read(8))
    return begin if (size, kind) == (PRFT_BYTES, b"prft") else None


def _read_table(file: BinaryIO, file_bytes: int) -> bytes | None:
    """ffmpeg's table of fragments, with which a finished file ends."""
    if file_bytes < _MFRO_BYTES:
        return None
    file.seek(file_bytes - _MFRO_BYTES)
    size, kind, _, mfra_bytes = struct.unpack(">I4sII", file.read(_MFRO_BYTES))
    if (size, kind) != (_MFRO_BYTES, b"mfro") or not _MFRO_BYTES < mfra_bytes <= min(file_bytes, MAX_HEADER_BYTES):
        return None
    file.seek(file_bytes - mfra_bytes)
    mfra = file.read(mfra_bytes)
    return mfra if mfra[4:8] == b"mfra" else None


def _read(
    file: BinaryIO, path: Path, last_fragment: int | None = None, *, within_bytes: int | None = None
) -> FragmentedFile:
    """Read the fragments. With `last_fragment`, the position of the last one, only the first one and that one."""
    file_bytes = path.stat().st_size
    file_bytes = file_bytes if within_bytes is None else min(file_bytes, within_bytes)
    header, header_bytes = _read_header(file, file_bytes)
    moov, sound = _divided(header)
    entry, timescale = moov[b"stsd"], timescale_of(moov[b"mdhd"])
    width, height = struct.unpack_from(">HH", entry, 8 + 24)
    comment = moov.get(b"data", b"\0" * 8)[8:].decode(errors="replace")
    codec, named_us = CODECS[entry[4:8]], name_time_us(path.name)
    if last_fragment is None:
        claims, table, end = _read_claims(file, header_bytes, file_bytes, timescale, sound)
    else:
        claims = _claims_at(file, header_bytes, last_fragment, file_bytes, timescale, sound)
        table, end = claims[-1].end_byte, file_bytes
    starts_us = start_times(claims, timescale, run_us=parse_run_comment(comment), named_us=named_us)
    fragments: list[Fragment] = []
    for claim, start_us in zip(claims, starts_us, strict=True):
        if start_us is not None and (not fragments or _follows(fragments[-1], claim, start_us, timescale)):
            length = claim.shown_length if claim is not claims[-1] else claim.likely_length
            fresh = _is_fresh(file, codec, claim)
            fragments.append(_fragment(claim, start_us, length, timescale, sound, fresh=fresh))
    if not fragments:
        raise NotOursError("it has no fragment with a time")
    if last_fragment is not None and (len(fragments) != len(claims) or starts_us[0] != claims[0].captured_us):
        raise NotOursError("its ends do not agree")
    return FragmentedFile(
        width=width,
        height=height,
        codec=codec,
        setup=hashlib.blake2b(entry, digest_size=8).hexdigest(),
        look=Look.of_entry(entry),
        comment=comment,
        fragments=tuple(fragments),
        header_bytes=header_bytes,
        finished=table is not None,
        end_lost=fragments[-1].end_byte < (file_bytes if table is None else table),
        header_length_us=stated_length_us(moov[b"mdhd"]),
        has_tail=end < file_bytes,
        origin_us=_origin_us(claims, fragments[0], timescale),
        sound=sound,
    )


@functools.lru_cache(maxsize=_HEADERS)
def _divided(header: bytes) -> tuple[Mapping[bytes, bytes], SoundTrack | None]:
    """The boxes of the video in a `moov`, and its sound. All segments of a run have the same one."""
    return first_leaves(header), describe_sound(track_leaves(header))


def _read_header(file: BinaryIO, file_bytes: int) -> tuple[bytes, int]:
    """The content of `moov`, and where it ends. It comes before everything else in a fragmented file."""
    at = 0
    while box := read_box(file, at, file_bytes):
        if box.kind == b"moov":
            body = read_body(file, box)
            if not is_divided(body):
                raise NotOursError("its header is damaged")
            return body, box.end
        at = box.end
    raise NotOursError("it has no header")


def _read_claims(
    file: BinaryIO, at: int, file_bytes: int, scale: int, sound: SoundTrack | None
) -> tuple[list[FragmentClaim], int | None, int]:
    """All whole fragments, and where ffmpeg's table of them, with which it ends a finished file, begins and ends."""
    claims: list[FragmentClaim] = []
    time: Box | None = None
    while True:
        box = read_box(file, at, file_bytes)
        if box is not None and box.kind == b"mfra":
            return claims, box.begin, box.end
        if box is not None and box.kind == b"prft" and box.end - box.begin <= PRFT_BYTES:
            at, time = box.end, box
            continue
        if box is not None and box.kind == b"moof":
            with contextlib.suppress(*DAMAGE):
                claim = read_fragment(file, box, time, scale, file_bytes, sound.number if sound else None)
                if claim is None:
                    break  # it is being written, or was cut off
                if isinstance(claim, SoundClaim):
                    end = claim.begin_byte + sum(claim.sizes)
                    if claims and claims[-1].end_byte == box.begin:
                        claims[-1] = replace(claims[-1], end_byte=end, sounds=(*claims[-1].sounds, claim))
                    at, time = end, None
                    continue
                claims.append(claim)
                at, time = claim.end_byte, None
                continue
        found = find_fragment(file, at + 1, file_bytes)
        if found is None:
            break
        unknown = box is not None and box.end == found and found - at <= PRFT_BYTES
        at, time = found, box if unknown else None  # a `prft` whose name is damaged
    table = _read_table(file, file_bytes)
    return claims, file_bytes - len(table) if table else None, file_bytes


def _claims_at(
    file: BinaryIO, first: int, last: int, file_bytes: int, timescale: int, sound: SoundTrack | None
) -> list[FragmentClaim]:
    """The fragments that begin at two positions; one if these are the same.

    Raises:
        ValueError, or another error of `DAMAGE`: there is none at one of them.
    """
    claims = []
    for at in dict.fromkeys((first, last)):
        time = read_box(file, at, file_bytes)
        moof = read_box(file, time.end, file_bytes) if time is not None and time.kind == b"prft" else None
        claim = None
        if moof is not None and moof.kind == b"moof":
            claim = read_fragment(file, moof, time, timescale, file_bytes, sound.number if sound else None)
        if not isinstance(claim, FragmentClaim):
            raise NotOursError("it has no fragment there")
        claims.append(claim)
    return claims


def _is_fresh(file: BinaryIO, codec: str, claim: FragmentClaim) -> bool:
    def read(at: int, count: int) -> bytes:
        file.seek(claim.body_byte + at)
        return file.read(max(0, min(count, claim.end_byte - claim.body_byte - at)))

    return claim.keyframes[:1] == (0,) and starts_fresh(codec, read)


def _origin_us(claims: Sequence[FragmentClaim], first: Fragment, timescale: int) -> int:
    if not first.decoded_us:
        return 0
    base = next((one.base for one in claims if one.begin_byte == first.begin_byte), None)
    return (base or 0) * US_PER_SECOND // timescale


def _offset_us(claim: FragmentClaim, timescale: int) -> int:
    """How long after it is decoded the first frame is shown."""
    if claim.base is None or claim.decode_base is None:
        return 0
    return (claim.base - claim.decode_base) * US_PER_SECOND // timescale


def _follows(last: Fragment, claim: FragmentClaim, start_us: int, timescale: int) -> bool:
    """Whether a fragment begins after the last frame of another one, in the order of decoding."""
    return start_us - _offset_us(claim, timescale) > (last.decoded_us or last.times_us)[-1]


def _fragment(
    claim: FragmentClaim, start_us: int, length: int, timescale: int, sound: SoundTrack | None, *, fresh: bool
) -> Fragment:
    times = [start_us + elapsed * US_PER_SECOND // timescale for elapsed in claim.elapsed]
    decode_us = start_us - _offset_us(claim, timescale)
    return Fragment(
        times_us=tuple(times),
        keyframes_us=tuple(times[number] for number in claim.keyframes),
        end_us=start_us + length * US_PER_SECOND // timescale,
        begin_byte=claim.begin_byte,
        body_byte=claim.body_byte,
        end_byte=claim.end_byte,
        sizes=claim.sizes,
        fresh=fresh,
        decoded_us=tuple(decode_us + elapsed * US_PER_SECOND // timescale for elapsed in claim.decoded),
        decoded_until_us=decode_us + claim.length * US_PER_SECOND // timescale,
        sounds=() if sound is None else _sounds(claim, sound, decode_us, timescale),
    )


def _sounds(claim: FragmentClaim, sound: SoundTrack, decode_us: int, timescale: int) -> tuple[SoundStretch, ...]:
    if claim.decode_base is None:
        return ()
    zero_us = decode_us - claim.decode_base * US_PER_SECOND // timescale
    return tuple(date_sound(one, sound.timescale, zero_us) for one in claim.sounds)
