"""What is written into the pipe of a run's ffmpeg: NUT, which carries every packet with its exact time."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av

from videostore.base.constants import US_PER_SECOND
from videostore.media.decode_order import DecodeOrder
from videostore.media.nut_header import with_decode_delay
from videostore.media.packet import Packet

_OPTIONS = {
    "flush_packets": "1",
    # A run may last for months. The muxer here and the demuxer in ffmpeg keep 200 to 250 bytes of each synchronisation
    # point and index entry, which is 400 MB a day; a pipe needs neither. ffmpeg calls this mode experimental.
    "write_index": "0",
    "syncpoints": "none",
    "strict": "experimental",
    "avoid_negative_ts": "disabled",  # reordered frames are decoded before 0, which would move all of them
}
_TIME_BASE = Fraction(1, US_PER_SECOND)


class NutWriter:
    """Turns packets into the bytes of one NUT stream. The caller takes and sends them."""

    def __init__(self, first: Packet, framerate: int) -> None:
        """For a stream that begins with `first`, which still has to be added."""
        self._epoch_us = first.captured_us
        self._delay = first.format.reordered
        self._order = DecodeOrder(first.captured_us, first.format.reordered)
        self._bytes = _Bytes()
        self._container = av.open(self._bytes, "w", format="nut", container_options=_OPTIONS)
        self._stream = _mux_stream(self._container, first, framerate)

    def takes(self, captured_us: int) -> bool:
        """Whether a frame with this capture time can be the next one."""
        return self._order.fits(captured_us)

    @property
    def waiting_bytes(self) -> int:
        """How much was made and not taken yet."""
        return self._bytes.waiting

    def take(self) -> bytearray:
        """The bytes of the packets that were added since it was last called."""
        written = self._bytes.take()
        if self._delay and written:  # the parameter sets need not say it
            written, self._delay = bytearray(with_decode_delay(bytes(written), self._delay)), 0
        return written

    def add(self, packet: Packet) -> None:
        """Append a packet. Its pts is its distance from the first one.

        Raises:
            ValueError: it cannot follow the one before it.
        """
        decoded_us = self._order.next(packet.captured_us)
        if decoded_us is None:
            raise ValueError("its capture time does not fit those before it")
        coded = av.Packet(packet.data)
        coded.stream = self._stream
        coded.time_base = _TIME_BASE
        coded.pts, coded.dts = packet.captured_us - self._epoch_us, decoded_us - self._epoch_us
        coded.is_keyframe = packet.keyframe
        self._container.mux_one(coded)

    def end(self) -> bytearray:
        """What was not taken yet, and what follows the last packet."""
        self._container.close()
        return self.take()


class _Bytes(io.RawIOBase):
    """What the NUT muxer writes, until it is sent to the pipe."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        return len(data)

    @property
    def waiting(self) -> int:
        return len(self._buffer)

    def take(self) -> bytearray:
        taken, self._buffer = self._buffer, bytearray()
        return taken


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
