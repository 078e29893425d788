"""Opens an input once to find out what it is, and whether it can be recorded at all."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from videostore.base.clock import SteadyClock
from videostore.base.errors import RequestError
from videostore.base.tasks import off_loop
from videostore.ffmpeg.process import list_encoders
from videostore.media.h26x import UncopyableError
from videostore.sources.demuxer import Demuxer
from videostore.sources.input_profile import ROTATED, InputProfile, InputRefused
from videostore.sources.server_look import explained
from videostore.sources.session import NO_REASON, InputSession
from videostore.sources.stream_fault import WRONG_URL, other_fault, stream_fault

_MISSING = "there is no such file or device"
_NO_DEVICE = "there is no such device"
_STILL = "it is a still image, not a video"
_NOT_A_STREAM = "it is a file or a playlist, and a hidden URL has to be that of a stream"
_NO_ENCODER = "it has to be encoded, and this ffmpeg has no encoder for that"
_BAD_OPTION = "an option is unknown or has an invalid value"
_REFUSALS = {
    "401": "the user name or the password is missing or wrong (401)",
    "403": "it forbids access (403)",
    "404": "it has no such stream (404)",
}
_MISTAKES = (
    (r"matches no streams", "it contains no video"),
    (r"No such file or directory", _MISSING),
    (r"[Ii]s a directory", "it is a directory"),
    (r"Permission denied", "permission denied"),
    (r"Protocol not found", "this ffmpeg does not support its protocol"),
    (r"Unknown input format", "this ffmpeg does not support its format"),
    (
        r"Option not found|Unrecognized option|parsing option|setting option",
        _BAD_OPTION,
    ),
    (r"Unknown encoder", _NO_ENCODER),
    (r"not on whitelist", _NOT_A_STREAM),
    (r"Port missing in uri", WRONG_URL),
    *((rf"\b{status}\b", reason) for status, reason in _REFUSALS.items()),
)
"""Faults that do not pass, whatever the input is. Anything else that a device or a server reports may pass."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What an input contains."""

    codec: str
    """ffmpeg's name of the codec: the input's, or of what is recorded if it had to be re-encoded to be probed."""
    width: int
    height: int
    live: bool
    """Whether it goes on without an end, and its frames are dated by when they arrive."""
    reencoded: str
    """Why it has to be re-encoded; empty if it can be copied."""
    has_sound: bool = False
    """Whether it has a sound track."""
    records_sound: bool = False
    """Whether that is recorded."""


async def probe(
    profile: InputProfile, clock: SteadyClock, logger: logging.Logger, *, wait: bool = False
) -> StreamInfo | None:
    """Open an input and look at its first frame, which completes its profile.

    Returns None if it is a device or a server that does not answer at the moment, and with `wait` also if there is no
    such device yet, or the server refuses.

    Raises:
        RequestError: it can never be recorded; the sentence says why, without passwords.
        FFmpegError: ffmpeg cannot be started.
    """
    address = profile.settings.address
    await off_loop(address.look)
    if address.is_missing and not (wait and address.is_device):
        raise _mistake(profile, _MISSING)
    while True:
        reason = ""
        async with InputSession(profile, clock, logger, quiet=True) as session:
            demuxer, messages = session.demuxer, session.messages
            try:
                frame = await demuxer.next(profile.patience_s)
                await profile.learn(messages)
                if frame is None and not await demuxer.succeeded():
                    reason = demuxer.killed
                    profile.look_longer(messages)
                    profile.check_times(messages)
                if frame is not None:
                    if messages.holds_pictures and not profile.live and await _ends(demuxer, profile.patience_s):
                        raise _mistake(profile, _STILL)
                    profile.reencoded = profile.reencoded or (ROTATED if messages.rotated else "")
                    if not profile.reencoded:
                        profile.check_order(frame.format, messages)
                    return await _info(profile, session)
            except UncopyableError as error:
                try:
                    await profile.learn(messages)
                except InputRefused as refused:
                    raise RequestError(
                        "input-late", input=str(profile.settings.address), reason=str(refused)
                    ) from refused
                profile.learn_order(error)
                if session.outdated:
                    continue
                if not profile.reencoded:
                    profile.reencoded = str(error)
                    if messages.holds_pictures and not profile.live:  # how many are seen when they are decoded
                        continue
                    return await _info(profile, session)
                raise _encoder_fault(profile, f"its output cannot be recorded: {error}") from error
            except InputRefused as refused:
                raise RequestError("input-late", input=str(profile.settings.address), reason=str(refused)) from refused
            except asyncio.TimeoutError:
                reason = profile.silence("")
                profile.learn_silence()
        if profile.must_reencode(messages) or profile.gives_up_sound(messages):
            continue
        if profile.reencoded and messages.encoder_failed:
            raise _encoder_fault(profile, f"it cannot be opened (ffmpeg: {messages.first})")
        mistake = next((text for pattern, text in _MISTAKES if messages.contains(pattern)), None)
        is_absent = mistake in _REFUSALS.values() or (mistake == _MISSING and address.is_device)
        passes = wait and profile.live and is_absent
        if (mistake and not passes) or not profile.live:
            quoted = messages.detail if mistake in (None, _BAD_OPTION) else ""  # the other sentences say all
            raise _mistake(profile, mistake or reason or "it contains no readable video", quoted)
        told = stream_fault(messages) or other_fault(messages, "") or reason or NO_REASON
        logger.warning("The input %s does not answer: %s.", address, await explained(told, address))
        return None


async def _ends(demuxer: Demuxer, patience_s: float) -> bool:
    """Whether an input of which one frame has come has no other one."""
    return await demuxer.next(patience_s) is None and await demuxer.succeeded()


async def _info(profile: InputProfile, session: InputSession) -> StreamInfo:
    """What it contains. Where it was copied to find out that it cannot be, no encoder was tried.

    Raises:
        RequestError: there is none for it.
    """
    settings = profile.settings
    if profile.reencoded and settings.encoder.name not in await list_encoders(settings.binary):
        raise _mistake(profile, _NO_ENCODER)
    demuxer = session.demuxer
    size = demuxer.width, demuxer.height
    sound = bool(profile.sound), bool(profile.recorded_sound)
    return StreamInfo(demuxer.codec, *size, profile.live, profile.reencoded, *sound)


def _encoder_fault(profile: InputProfile, reason: str) -> RequestError:
    """The input can be read, and the encoder that was chosen for it cannot be used."""
    settings = profile.settings
    return RequestError("input-encoder", input=str(settings.address), encoder=settings.encoder.name, reason=reason)


def _mistake(profile: InputProfile, reason: str, messages: str = "") -> RequestError:
    quoted = f" (ffmpeg: {messages})" if messages else ""
    if reason == _MISSING and profile.settings.address.is_device:
        reason = _NO_DEVICE
    return RequestError("input-unrecordable", input=str(profile.settings.address), reason=f"{reason}{quoted}")
