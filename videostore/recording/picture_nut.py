"""What is written into the pipe of a run's ffmpeg when it records images: NUT, which tells the exact time of each.

PyAV can write it too (`NutWriter`), but copies each image four times, and its libraries take 17 MB: a module that
records the images of a camera needs them for nothing else.
"""

from __future__ import annotations

from videostore.base.constants import US_PER_SECOND
from videostore.media.decode_order import DecodeOrder
from videostore.media.nut_header import checksum
from videostore.media.packet import Packet, StreamFormat

_FILE = b"nut/multimedia container\0"
_MAIN, _STREAM = b"NM\x7a\x56\x1f\x5f\x04\xad", b"NS\x11\x40\x5b\xf2\xf9\xdb"
_INFO, _SYNC_POINT = b"NI\xab\x68\xb5\x96\xba\x78", b"NK\xe4\xad\xee\xca\x45\x69"
_TAGS = {"mjpeg": b"MJPG", "png": b"MPNG", "rawvideo": b"RGBA"}
_VERSION = 4, 1
"""The one that allows a stream without synchronisation points, of which ffmpeg would remember each."""
_PIPE = 2
_MOST_WITHOUT_CHECKSUM = 32767
_NO_FRAME, _FLAGS_IN_FRAME = 1 << 13, 1 << 12
_FRAME_CODES = (1, 254)
"""How many of the 255, which are all but "N", have no meaning, and how many begin a frame that says what it is."""
_SHORT_TIME_BITS = 14
"""Times below this have another meaning: each is written with it added."""
_FRAME_START = b"\x01\x69"
"""Frame code 1; then its flags: a keyframe, whose time, size and checksum follow."""
_TEXT = 2
"""The type of a value: a string."""


def is_picture(format: StreamFormat) -> bool:
    """Whether its frames are images that can be written here."""
    return format.codec in _TAGS and format.sound is None


class PictureNut:
    """Turns images into the bytes of one NUT stream. The caller takes and sends them."""

    def __init__(self, first: Packet, framerate: int) -> None:
        """For a stream that begins with `first`, which still has to be added."""
        self._epoch_us = first.captured_us
        self._order = DecodeOrder(first.captured_us, 0)
        self._parts = [_header(first.format, framerate)]
        self.waiting_bytes = 0
        """How much was made and not taken yet."""

    def takes(self, captured_us: int) -> bool:
        """Whether an image with this capture time can be the next one."""
        return self._order.fits(captured_us)

    def take(self) -> bytes:
        """The bytes of the images that were added since it was last called."""
        taken = b"".join(self._parts)
        self._parts, self.waiting_bytes = [], 0
        return taken

    def add(self, packet: Packet) -> None:
        """Append an image. Its pts is its distance from the first one.

        Raises:
            ValueError: it cannot follow the one before it.
        """
        if self._order.next(packet.captured_us) is None:
            raise ValueError("its capture time does not fit those before it")
        time = _number(packet.captured_us - self._epoch_us + (1 << _SHORT_TIME_BITS))
        head = _FRAME_START + time + _number(len(packet.data))
        self._parts += (head, checksum(head), packet.data)
        self.waiting_bytes += len(packet.data)

    def next_sound_us(self, decoded_us: int) -> int | None:
        """None: images have no sound."""
        del decoded_us
        return None

    def end(self) -> bytes:
        """What was not taken yet; nothing follows the last image."""
        return self.take()


def _header(format: StreamFormat, framerate: int) -> bytes:
    rate = f"{framerate}/1".encode()  # only used to guess how long a segment's last frame lasts
    main = _numbers(*_VERSION, 1, _MOST_WITHOUT_CHECKSUM, 1, 1, US_PER_SECOND)
    for flags, count in zip((_NO_FRAME, _FLAGS_IN_FRAME), _FRAME_CODES, strict=True):
        main += _numbers(flags, 6, 0, 1, 0, 0, 0, count)  # six fields: time, factor of the size, stream, size, -, count
    main += _numbers(0, _PIPE)  # no header is left out of frames
    tag = _TAGS[format.codec]
    times = _numbers(0, _SHORT_TIME_BITS, US_PER_SECOND, 0)  # time base, short times, longest step, decode delay
    shape = _numbers(0, 0, format.width, format.height, 0, 0, 0)  # flags, no setup, size, shape of a pixel, colours
    stream = _numbers(0, 0, len(tag)) + tag + times + shape
    name = b"r_frame_rate"
    info = _numbers(1, 0, 0, 0, 1, len(name)) + name + _numbers(_TEXT, len(rate)) + rate
    point = _numbers(0, 0)
    return _FILE + _packet(_MAIN, main) + _packet(_STREAM, stream) + _packet(_INFO, info) + _packet(_SYNC_POINT, point)


def _packet(start: bytes, body: bytes) -> bytes:
    return start + _number(len(body) + 4) + body + checksum(body)


def _numbers(*values: int) -> bytes:
    return b"".join(map(_number, values))


def _number(value: int) -> bytes:
    """In seven bits a byte, of which all but the last have the eighth."""
    found = bytearray((value & 0x7F,))
    while value := value >> 7:
        found.append(value & 0x7F | 0x80)
    found.reverse()
    return bytes(found)
