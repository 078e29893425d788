"""The command line of the ffmpeg that opens an input."""

from __future__ import annotations

from typing import Any

from videostore.base.constants import US_PER_SECOND
from videostore.base.time_format import format_seconds
from videostore.ffmpeg.filters import deinterlaced, even_size, filter_text, player_colours, timed_by_arrival
from videostore.media.sound import COPIED
from videostore.sources.hidden_input import LIST_INPUT, list_of, program_options
from videostore.sources.input_profile import InputProfile
from videostore.sources.sound_reader import SOUND_LATER_US

RTSP_TIMEOUT_S = 10.0
"""If a camera does not answer for this long, ffmpeg gives up and reports the reason itself."""

_NUT_OPTIONS = (
    "-f",
    "nut",
    "-flush_packets",
    "1",
    "-write_index",
    "0",
    "-syncpoints",
    "none",
    "-strict",
    "experimental",
)
"""Every frame at once, and nothing that would grow with the length of the stream."""
_VIDEO = "0:V:0"
"""The first video stream that is not a cover image."""
_SOUND = "0:a:0?"
_SOUND_BITRATE = "64k"
_TELEPHONE = ("pcm_mulaw", "pcm_alaw", "adpcm_g722", "adpcm_g726", "adpcm_g726le", "g723_1", "g729", "gsm")
"""Codecs of telephones: 8000 samples in a second, of which a frame of AAC would take 128 ms."""
_TELEPHONE_RATE = "16000"

_FEW_FRAMES = "2"
"""So many are analysed of a slow camera. ffmpeg waits until it knows when frames are decoded, up to 50 of them, and of
H.264 and H.265 it says so only after seven: 35 s of one frame in 5 s."""

_MAY_BE_MPEG_TS = frozenset({"http", "https", "tcp", "tls", "udp", "srt", "rist"})
_MPEG_TS_BYTES = "184"
"""MPEG-TS does not tell where a frame ends either, in most streams. With packets of this size its demuxer passes the
end of a frame on with the beginning of the next one, and not when that is complete. It is the least; 8 Mbit/s cost
0.2 % of a core. Other demuxers have no such option, which a list may name all the same."""

_REORDER_QUEUE = "2"
"""Over TCP ffmpeg has no queue of packets, and then does not look whether all of them came. The shortest that looks."""

_ANY_DECODING_TIME = f"setts=pts=PTS:dts='if(eq(PTS,NOPTS),DTS,N-{1 << 40})'"
"""NUT does not say when frames are decoded. Where an input does not say it either, ffmpeg guesses, and moves B frames
that are shown before its guess. The filter holds each frame back until the next one, so live inputs go without if they
have no B frames, or say when they are decoded."""
_ANY_LIVE_TIME = f"setts=pts='if(eq(PTS,NOPTS),NEXT_PTS,PTS)+{SOUND_LATER_US}/({US_PER_SECOND}*TB)':dts=N-{1 << 40}"
"""The same for RTP, of which ffmpeg's parser gives the first frame no time. Times may begin below 0, which NUT does not
take; only their distances count."""
_NO_GUESS = "+nofillin"
"""With it, a time that is missing stays missing."""


def input_command(profile: InputProfile, resume_us: int = 0) -> list[str]:
    """The command that writes an input's video to standard output, as NUT: copied, or re-encoded if it has to be.

    `resume_us` is where in a file it starts.
    """
    settings = profile.settings
    live, reencode = profile.live, bool(profile.reencoded)
    options = _opening_options(profile)
    if live and reencode:
        options["thread_type"] = "slice"  # frame threads delay frames
    if settings.format:
        options["f"] = settings.format
    if resume_us:
        options["ss"] = format_seconds(resume_us)
    if reencode:
        coding = ["-vf", filter_text(lambda video: _prepared(video, profile))]
        for name, value in settings.encoder.options().items():
            coding += [f"-{name}", str(value)]
    else:
        coding = ["-c", "copy", "-copytb", "1"]
        if not live:
            options["fflags"] = "+genpts"  # for raw H.264 and AVI files
            coding += ["-bsf:v", _ANY_DECODING_TIME]
        elif profile.makes_times:
            coding += ["-bsf:v", _ANY_LIVE_TIME]
    if (not reencode and (not live or profile.makes_times)) or profile.recorded_sound:
        coding += ["-avoid_negative_ts", "disabled"]
    options |= _users_options(profile)
    opened = ["-i", settings.address.argument]
    if settings.hidden:
        # The list has no packets of its own to analyse: its one entry was analysed when it was opened.
        kept = {"fflags": options["fflags"]} if profile.makes_times else {}
        kept |= {name: options[name] for name in ("max_ts_probe",) if name in options}
        options = program_options(options) | kept | {"fpsprobesize": "0", "analyzeduration": "0"}
        opened = list(LIST_INPUT)
    return [
        *(settings.binary, "-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+info"),
        *(word for name, value in options.items() for word in ((f"-{name}", value) if value else (f"-{name}",))),
        *opened,
        *("-map", _VIDEO),
        *coding,
        *_NUT_OPTIONS,
        "pipe:1",
    ]


def sound_command(profile: InputProfile) -> list[str]:
    """The rest of the command that writes the sound, as NUT, to the output whose name follows; empty if it is not
    recorded.

    It is an output of its own: behind one muxer, the video would wait for the sound.
    """
    codec = profile.recorded_sound
    if not codec:
        return []
    # Copying begins with a keyframe, and where times are not filled in, ffmpeg 5.1 does not mark sound as such.
    coding = ["-c:a", "copy", "-copyinkf:a"]
    if codec not in COPIED:
        coding = ["-c:a", "aac", "-b:a", _SOUND_BITRATE]
        if codec in _TELEPHONE:
            coding += ["-ar", _TELEPHONE_RATE]
    moved = ["-avoid_negative_ts", "disabled", "-output_ts_offset", format_seconds(SOUND_LATER_US)]
    return ["-map", _SOUND, *coding, *moved, *_NUT_OPTIONS]


def input_list(profile: InputProfile) -> bytes:
    """What that command reads from its standard input: the URL and its options, if they are hidden."""
    settings = profile.settings
    if not settings.hidden:
        return b""
    return list_of(settings.address.argument, {**_opening_options(profile), **_users_options(profile)}, settings.format)


def _opening_options(profile: InputProfile) -> dict[str, str]:
    """Options with which an input is opened, unless the user names others."""
    options: dict[str, str] = {}
    if profile.settings.address.scheme in ("rtsp", "rtsps"):
        # Before the patience ends, so that ffmpeg tells the reason, unless frames may take as long.
        timeout_s = profile.patience_s + RTSP_TIMEOUT_S if profile.patient else RTSP_TIMEOUT_S
        options = {"rtsp_transport": "tcp", "timeout": str(round(timeout_s * US_PER_SECOND))}
        if profile.settings.options.get("rtsp_transport", "tcp") == "tcp":
            options["reorder_queue_size"] = _REORDER_QUEUE
    if profile.live:
        options["fpsprobesize"] = "0"  # the frames of such a probe would come late, and all at once
        options["analyzeduration"] = str(round(profile.look_s * US_PER_SECOND))
        if profile.patient:
            options["max_ts_probe"] = _FEW_FRAMES
    if profile.makes_times:
        options["fflags"] = _NO_GUESS
    settings = profile.settings
    if settings.format == "mpegts" or (settings.hidden and settings.address.scheme in _MAY_BE_MPEG_TS):
        options["max_packet_size"] = _MPEG_TS_BYTES
    return options


def _users_options(profile: InputProfile) -> dict[str, str]:
    options = dict(profile.settings.options)
    if profile.makes_times and "fflags" in options:
        options["fflags"] += _NO_GUESS
    return options


def _prepared(video: Any, profile: InputProfile) -> Any:
    """What an encoder gets: whole frames of even size, in the colours that players show."""
    video = timed_by_arrival(video, profile.timed_from_us) if profile.untimed else video
    video = even_size(deinterlaced(video) if profile.interlaced else video)
    return player_colours(video, full_range=profile.codec == "mjpeg")
