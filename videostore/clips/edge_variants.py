"""The ways to encode the edges of a clip so that they join what is copied, and whether one has worked.

An own recording is met by its own encoder: then one set of parameters serves the whole clip. A stream of another
encoder is met by one of the same codec, profile and pixel format, whose parameter sets have other ids; the clip has
both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videostore.clips.cut_commands import HEVC_IN_BAND
from videostore.clips.hevc_edge import rewrite_edge
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.options import REENCODED
from videostore.media.decoder_setup import DecoderSetup, NoSetupError, join_setups, read_setup, replace_config
from videostore.media.h264_sets import SequenceSet, read_picture_set, read_sequence_set, time_unit
from videostore.media.hevc_sets import decoding_bits, read_sequence_format
from videostore.media.lenient_tags import lenient_tags
from videostore.media.libav import av

Fit = Callable[[DecoderSetup, Path, Sequence[Path]], bool]
"""Whether encoded edges can be joined to a segment with this setup, at this path. May change them so that they can."""

_SPS, _PPS = 7, 8
_HEVC_VPS, _HEVC_SPS, _HEVC_PPS = 32, 33, 34
_MOST_IDS = 32
_PROFILES = {66: "baseline", 77: "main", 100: "high", 110: "high10", 122: "high422", 244: "high444"}
_QUALITY = REENCODED["crf"]
_FAST_X264 = "stitchable=1:subme=1:me=dia:trellis=0:psy=0:scenecut=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:aq-mode=1"
"""None of it shows in the parameter sets, nor does the quality, because of `stitchable`. Half the time of `medium`."""
_FAST_X265 = "rd=2:subme=1:me=dia:rdoq-level=0:psy-rdoq=0:psy-rd=0:early-skip=1:rect=0:scenecut=0"
_BITRATE_FACTOR = 4
"""For encoders whose quality cannot be set: an edge is too short for their rate control."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to encode edges."""

    name: str
    options: Mapping[str, Any]
    """Of the output of ffmpeg that encodes."""
    fit: Fit
    tag: str | None = None
    """How the clip's H.265 is tagged. `hev1` also has the parameter sets before each keyframe, because Firefox takes
    only one of each kind from the header. Apple's players play only `hvc1`."""


def variants(setup: DecoderSetup, encoder: Encoder | None) -> list[Variant]:
    """The ways to try for segments with this setup, the best one first. `encoder` may be the one that made them.

    Raises:
        NoSetupError: the setup is damaged.
    """
    found = []
    if setup.codec == "h264":
        try:
            sequence, pictures = _read_sets(setup)
            unit = time_unit(setup.of_kind(_SPS)[0])
        except (ValueError, IndexError) as error:
            raise NoSetupError("its parameter sets are damaged, or in the video") from error
        # x264 writes the unit in which it gets the times, twice for the two fields of a frame.
        if len(setup.sets) == 2 and unit == (1, 2 * setup.timescale):
            found.append(Variant("same-sets", _same_x264(sequence, setup), _has_same_sets))
        found.append(Variant("more-sets", _numbered_x264(sequence, pictures), _adds_sets))
        return found
    if setup.codec == "hevc" and not setup.sets:
        raise NoSetupError("its parameter sets are in the video")
    if encoder is not None and not encoder.copies:
        hevc = setup.codec == "hevc"
        fit = _has_same_hevc_sets if hevc else _has_same_extradata
        found.append(Variant("same-encoder", _same_encoder(encoder), fit, "hvc1" if hevc else None))
    if setup.codec == "hevc":
        found.append(Variant("more-sets", _fast_x265(), _adds_renumbered_sets, tag=HEVC_IN_BAND))
    return found


def _read_sets(setup: DecoderSetup) -> tuple[SequenceSet, set[int]]:
    """The first sequence parameter set, and the ids that are taken."""
    sequences = [read_sequence_set(unit) for unit in setup.of_kind(_SPS)]
    pictures = [int(read_picture_set(unit).id) for unit in setup.of_kind(_PPS)]
    return sequences[0], {one.id for one in sequences} | set(pictures)


def _same_x264(sequence: SequenceSet, setup: DecoderSetup) -> dict[str, Any]:
    """Options with which x264 writes the parameter sets that it has written for a recording."""
    picture = read_picture_set(setup.of_kind(_PPS)[0])
    choices = (
        f"level={sequence.level}:ref={sequence.reference_frames}:cabac={picture.cabac:d}:weightp={picture.weighted:d}"
        f":8x8dct={picture.transform_8x8:d}:chroma-qp-offset={picture.chroma_qp_offset}"
    )
    options = {"c:v": "libx264", "preset": "ultrafast", "crf": _QUALITY, "bf": 0}
    return options | {"x264-params": f"{choices}:{_FAST_X264}"} | _fields(sequence)


def _numbered_x264(sequence: SequenceSet, taken: set[int]) -> dict[str, Any]:
    """Options for video of the same kind with parameter sets of another id."""
    free = next((id for id in range(1, _MOST_IDS) if id not in taken), None)
    if free is None:
        raise NoSetupError("all ids of parameter sets are taken")
    options = {name: value for name, value in REENCODED.items() if name != "pix_fmt"}
    if sequence.profile in _PROFILES:
        options["profile:v"] = _PROFILES[sequence.profile]
    return options | {"x264-params": f"sps-id={free}:level={sequence.level}"} | _fields(sequence)


def _fields(sequence: SequenceSet) -> dict[str, Any]:
    return {} if sequence.progressive else {"flags": "+ildct+ilme"}


def _same_encoder(encoder: Encoder) -> dict[str, Any]:
    """Options with which the encoder of a recording writes the same setup."""
    options: dict[str, Any] = dict(encoder.options())
    del options["force_key_frames"]
    if encoder.name == "libx265":
        del options["b:v"]
        return options | {"crf": _QUALITY, "x265-params": f"{options['x265-params']}:{_FAST_X265}"}
    return options | {"b:v": _BITRATE_FACTOR * encoder.bitrate}


def _fast_x265() -> dict[str, Any]:
    options = {"c:v": "libx265", "preset": "ultrafast", "crf": _QUALITY, "bf": 0, "tag:v": "hvc1"}
    return options | {"x265-params": "bframes=0:rc-lookahead=0:scenecut=0:frame-threads=1:log-level=error"}


def _has_same_sets(setup: DecoderSetup, segment: Path, edges: Sequence[Path]) -> bool:
    return all(read_setup(path).sets == setup.sets for path in edges)


def _has_same_hevc_sets(setup: DecoderSetup, segment: Path, edges: Sequence[Path]) -> bool:
    """The sets may differ in what decoding does not need: x265 repeats where the decoder says that the chroma is."""
    if any(_needed(read_setup(path)) != _needed(setup) for path in edges):
        return False
    for path in edges:
        rewrite_edge(path, renumber=False)
        replace_config(path, setup.config)
    return True


def _needed(setup: DecoderSetup) -> tuple[object, ...]:
    """What decoding needs of the parameter sets."""
    others = [setup.of_kind(kind) for kind in (_HEVC_VPS, _HEVC_PPS)]
    try:
        return (*others, [decoding_bits(unit) for unit in setup.of_kind(_HEVC_SPS)])
    except ValueError:
        return (*others, setup.of_kind(_HEVC_SPS))


def _has_same_extradata(setup: DecoderSetup, segment: Path, edges: Sequence[Path]) -> bool:
    return len({_extradata(path) for path in (segment, *edges)}) == 1


def _extradata(path: Path) -> tuple[str, str | None, bytes]:
    try:
        with av.open(str(path), **lenient_tags()) as container:
            context = container.streams.video[0].codec_context
            return context.name, context.pix_fmt, context.extradata or b""
    except (av.error.FFmpegError, IndexError) as error:
        raise NoSetupError(f"{path.name} has no video") from error


def _kind(sequence: SequenceSet) -> tuple[int, int, bool, bool]:
    return sequence.chroma_format, sequence.bit_depth, sequence.progressive, sequence.lossless


def _adds_sets(setup: DecoderSetup, segment: Path, edges: Sequence[Path]) -> bool:
    for path in edges:
        made = read_setup(path)
        (ours, _), (theirs, _) = _read_sets(made), _read_sets(setup)
        if _kind(ours) != _kind(theirs):
            return False
        replace_config(path, join_setups(made, setup).config)
    return True


def _adds_renumbered_sets(setup: DecoderSetup, segment: Path, edges: Sequence[Path]) -> bool:
    theirs = read_sequence_format(setup.of_kind(_HEVC_SPS)[0])
    for path in edges:
        made = rewrite_edge(path, renumber=True)
        ours = read_sequence_format(made.of_kind(_HEVC_SPS)[0])
        if (ours.chroma_format, ours.bit_depth) != (theirs.chroma_format, theirs.bit_depth):
            return False
        replace_config(path, join_setups(made, setup).config)
    return True
