"""What is written into the pipe of a run's ffmpeg: NUT, which carries every packet with its exact time."""

from __future__ import annotations

import bisect
import io
from collections import deque
from fractions import Fraction
from typing import Any

from videostore.base.constants import FILE_ROUNDING_US, US_PER_SECOND
from videostore.media.damage_mark import with_mark
from videostore.media.decode_order import DecodeOrder
from videostore.media.libav import av
from videostore.media.nut_header import with_decode_delay
from videostore.media.packet import Packet
from videostore.media.sound import SoundFormat, SoundPacket, sample_entry
from videostore.media.sound_file import whole_file

_OPTIONS = {
    "flush_packets": "1",
    # A run may last for months. The muxer here and the demuxer in ffmpeg keep 200 to 250 bytes of each synchronisation
    # point and index entry, which is 400 MB a day; a pipe needs neither. ffmpeg calls this mode experimental.
    "write_index": "0",
    "syncpoints": "none",
    "strict": "experimental",
    "avoid_negative_ts": "disabled",  # reordered frames are decoded before 0, which would move all of them
}
_WITH_SOUND = {"max_interleave_delta": "1"}
"""The muxer holds each packet of two streams back until the other stream has one, or until the next one comes."""
_TIME_BASE = Fraction(1, US_PER_SECOND)

SOUND_PATIENCE_US = US_PER_SECOND
"""ffmpeg holds a frame back until the sound of its time has come, but not longer."""
_SOUND_LATE_US = SOUND_PATIENCE_US * 4 // 5
_SILENCE = b"\xfc\xff\xfe"
_SOUND_KNOWN = 16384
"""Packets of sound whose times are remembered: minutes, where a segment ends soon after its last frame was given."""


class NutWriter:
    """Turns packets into the bytes of one NUT stream. The caller takes and sends them."""

    def __init__(self, first: Packet, framerate: int) -> None:
        """For a stream that begins with `first`, which still has to be added."""
        self._epoch_us = first.captured_us
        self._delay = first.format.reordered
        self._order = DecodeOrder(first.captured_us, first.format.reordered)
        self._bytes = _Bytes()
        sound = first.format.sound
        options = _OPTIONS if sound is None else _OPTIONS | _WITH_SOUND
        self._container = av.open(self._bytes, "w", format="nut", container_options=options)
        self._stream = _mux_stream(self._container, first, framerate)
        self._sound_stream: Any = _sound_stream(self._container, sound) if sound is not None else None
        self._sound_rate = sound.rate if sound is not None else 1
        """NUT counts sound in samples."""
        self._sounds: deque[int] = deque(maxlen=_SOUND_KNOWN)
        """At which samples the last packets of sound begin."""
        self._decoded_us = -1
        """When the last frame was decoded, as the muxer was told."""
        self._keyframes_us: deque[int] = deque()
        """When the keyframes are decoded that ffmpeg may hold back for their sound."""
        self._begins_us: deque[int] = deque(maxlen=_SOUND_KNOWN)
        """When the last keyframes are decoded, with one of which each segment begins."""
        self._border_us = self._order.begins_us
        """When the last keyframe is decoded before which sound comes too late: it would be taken for later sound."""

    def takes(self, captured_us: int) -> bool:
        """Whether a frame with this capture time can be the next one."""
        return self._order.fits(captured_us)

    @property
    def waiting_bytes(self) -> int:
        """How much was made and not taken yet."""
        return self._bytes.waiting

    def take(self) -> bytes:
        """The bytes of the packets that were added since it was last called."""
        written = self._bytes.take()
        if self._delay and written:  # the parameter sets need not say it
            written, self._delay = with_decode_delay(written, self._delay), 0
        return written

    def add(self, packet: Packet) -> None:
        """Append a packet with its sound. Its pts is its distance from the first one.

        Raises:
            ValueError: it cannot follow the one before it.
        """
        decoded_us = self._order.next(packet.captured_us)
        if decoded_us is None:
            raise ValueError("its capture time does not fit those before it")
        if self._sound_stream is not None:
            self._find_border(packet, decoded_us)
            for one in packet.sound:
                self._add_sound(one)
        data = packet.data
        if packet.damage is not None:
            data = with_mark(packet.format.codec, data, packet.damage)
        coded = av.Packet(data)
        coded.stream = self._stream
        coded.time_base = _TIME_BASE
        # NUT does not tell when a frame is decoded, and with two streams its first time must not be before 0.
        self._decoded_us = max(decoded_us - self._epoch_us, self._decoded_us + 1)
        coded.pts, coded.dts = packet.captured_us - self._epoch_us, self._decoded_us
        coded.is_keyframe = packet.keyframe
        self._container.mux_one(coded)

    def _find_border(self, packet: Packet, decoded_us: int) -> None:
        if packet.keyframe:
            self._keyframes_us.append(decoded_us)
            self._begins_us.append(decoded_us)
        while self._keyframes_us and self._keyframes_us[0] <= decoded_us - _SOUND_LATE_US:
            self._border_us = self._keyframes_us.popleft()

    def _add_sound(self, packet: SoundPacket) -> None:
        later_us = packet.captured_us - self._epoch_us
        begins = (2 * later_us * self._sound_rate + US_PER_SECOND) // (2 * US_PER_SECOND)
        if self._sounds:  # the estimate of capture times may go back
            begins = max(begins, self._sounds[-1] + 1)
        if self._captured_us(begins) < self._border_us:
            return
        coded = av.Packet(packet.data)
        coded.stream = self._sound_stream
        coded.time_base = Fraction(1, self._sound_rate)
        coded.pts = coded.dts = begins
        coded.is_keyframe = True
        self._container.mux(coded)
        self._sounds.append(begins)

    def _captured_us(self, samples: int) -> int:
        return self._epoch_us - -samples * US_PER_SECOND // self._sound_rate

    def next_sound_us(self, decoded_us: int) -> int | None:
        """When the first packet of sound was captured in a segment whose first frame is decoded at a time, which may be
        `FILE_ROUNDING_US` off; None if there is none, or if it is forgotten.

        It is the first one that is not before that frame, as ffmpeg sees it, which counts sound in samples: if it was
        captured with the frame, it may be the one before or behind.
        """
        begins, known = list(self._begins_us), list(self._sounds)
        at = bisect.bisect_left(begins, decoded_us - FILE_ROUNDING_US)
        if at < len(begins) and begins[at] <= decoded_us + FILE_ROUNDING_US:
            decoded_us = begins[at]
        else:
            decoded_us -= FILE_ROUNDING_US
        at = bisect.bisect_left(known, -((self._epoch_us - decoded_us) * self._sound_rate // US_PER_SECOND))
        return None if at == len(known) or (at == 0 and len(known) == _SOUND_KNOWN) else self._captured_us(known[at])

    def end(self) -> bytes:
        """What was not taken yet, and what follows the last packet."""
        self._container.close()
        return self.take()


class _Bytes(io.RawIOBase):
    """What the NUT muxer writes, until it is sent to the pipe."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.waiting = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self.waiting += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts, self.waiting = [], 0
        return taken


def _sound_stream(container: av.container.OutputContainer, format: SoundFormat) -> Any:
    # Only a stream that PyAV has read has what a decoder needs.
    described = whole_file(sample_entry(format), format.rate, 1, [_SILENCE])
    with av.open(io.BytesIO(described), format="mp4") as sound:
        stream: Any = container.add_stream_from_template(sound.streams.audio[0])
    stream.time_base = _TIME_BASE
    return stream


def _mux_stream(container: av.container.OutputContainer, first: Packet, framerate: int) -> Any:
    # The rate is only used to guess the duration of a segment's last frame.
    stream: Any
    format = first.format
    if format.parameter_sets:
        # The MP4 muxer needs them in the header, where PyAV only puts what it has read itself.
        with av.open(io.BytesIO(first.data), format=format.codec) as keyframe:
            stream = container.add_stream_from_template(keyframe.streams.video[0], opaque=True)
    elif format.codec == "rawvideo":  # only an encoder writes the pixel format to the stream's header
        stream = container.add_stream("rawvideo", rate=framerate)
        stream.width, stream.height, stream.pix_fmt = format.width, format.height, "rgba"
        stream.codec_context.time_base = _TIME_BASE
    else:
        stream = container.add_mux_stream(format.codec, rate=framerate, width=format.width, height=format.height)
    stream.time_base = _TIME_BASE
    return stream
