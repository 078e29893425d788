"""A network camera of our own over RTSP, for what a real server does not do on purpose.

Its RTP time wraps, its sender reports are wrong, its packets are lost. It sends H.264 over TCP or UDP, as its client
asks, to each client from the beginning of the stream.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass

from tests.support.coded_stream import FPS, CodedPicture, SentPicture, units_of
from tests.support.local_server import LocalServer

RTP_HZ = 90_000
_PAYLOAD_BYTES = 1200
_SSRC = 0x5EED
_TYPE = 96
_NTP_EPOCH_S = 2_208_988_800
"""1970 in the time of NTP."""
_REPORT_S = 1.0
Send = Callable[[int, bytes], None]
"""Sends a packet on the channel of RTP (0) or RTCP (1)."""


@dataclass(frozen=True)
class Conduct:
    """What the camera does that others do not."""

    first_rtp_time: int = 0
    clock_ahead_s: float | None = 0.0
    """How far the clock of its sender reports is ahead; None: it sends none."""
    lost: Callable[[int], bool] = lambda number: False
    """Whether the RTP packet of this number is lost on its way."""
    first_picture: int = 0
    """Where in the stream a client joins it."""
    breaks_at: int | None = None
    """The RTP packet from which on the first client gets nothing more."""
    fps: float = FPS
    """Pictures a second."""
    drift_ppm: int = 0
    """How much faster than ours its clock runs."""
    hangs_up: bool = False
    """Whether it then closes the connection; otherwise that stays, and nothing comes."""
    rtp_time: Callable[[int, int], int] = lambda number, right: right
    """The time that a picture gets, of its number and the one that would be right."""


class RtspCamera(LocalServer):
    """Serves one stream on a port of its own. It is an asynchronous context manager, which ends it."""

    def __init__(self, pictures: Sequence[CodedPicture], conduct: Conduct | None = None) -> None:
        super().__init__()
        self.sent: list[SentPicture] = []
        """The pictures that were sent, to all clients, also those of which packets were lost."""
        self.clients = 0
        """How many have asked for the stream so far."""
        self._pictures = pictures
        self._conduct = conduct or Conduct()
        self._delay = max(one.shown - place for place, one in enumerate(pictures))  # none is sent before it is captured

    @property
    def url(self) -> str:
        """Where the camera is."""
        return f"rtsp://127.0.0.1:{self.port}/stream"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _Client(reader, writer, self._sdp(), self._play).serve()

    def _sdp(self) -> str:
        units = units_of(next(one for one in self._pictures if one.keyframe).data)
        sets = ",".join(base64.b64encode(unit).decode() for unit in units if unit[0] & 0x1F in (7, 8))
        lines = (
            *("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"),
            *(f"m=video 0 RTP/AVP {_TYPE}", f"a=rtpmap:{_TYPE} H264/{RTP_HZ}"),
            *(f"a=fmtp:{_TYPE} packetization-mode=1;sprop-parameter-sets={sets}", "a=control:track"),
        )
        return "".join(f"{line}\r\n" for line in lines)

    async def _play(self, send: Send) -> None:
        """Send the stream until the client has gone."""
        conduct, pictures, fps = self._conduct, self._pictures, self._conduct.fps
        self.clients += 1
        connection = self.clients
        breaks_at = conduct.breaks_at if self.clients == 1 else None
        began_s, wall_us = time.monotonic(), time.time_ns() // 1000
        packets = number = 0
        reported_s = -_REPORT_S
        whole = True
        while True:
            rounds, place = divmod(number + conduct.first_picture, len(pictures))
            one = pictures[place]
            shown = rounds * len(pictures) + one.shown - conduct.first_picture
            await asyncio.sleep(max(0.0, began_s + (number + self._delay) / fps - time.monotonic()))
            passed_s = time.monotonic() - began_s
            if conduct.clock_ahead_s is not None and passed_s - reported_s >= _REPORT_S:
                reported_s = passed_s
                rtp_time = conduct.first_rtp_time + round(passed_s * RTP_HZ)
                send(1, _sender_report(wall_us / 1e6 + passed_s + conduct.clock_ahead_s, rtp_time))
            rtp_time = conduct.first_rtp_time + int(
                shown * RTP_HZ * (1_000_000 + conduct.drift_ppm) / (fps * 1_000_000)
            )
            rtp_time = conduct.rtp_time(number, rtp_time)
            sent_us = time.time_ns() // 1000
            whole = whole or one.keyframe
            for payload, last in payloads(one.data):
                if packets == breaks_at:
                    await self._break_down()
                if conduct.lost(packets):
                    whole = False
                else:
                    send(0, _rtp(packets, rtp_time, payload, last=last))
                packets += 1
            captured_us = wall_us + int(shown * 1_000_000 / fps)
            self.sent.append(SentPicture(one.shown, captured_us, sent_us, whole, connection))
            number += 1

    async def _break_down(self) -> None:
        if self._conduct.hangs_up:
            raise ConnectionResetError
        await asyncio.Event().wait()


class _Client:
    """One connection: the requests of RTSP, and the stream."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        sdp: str,
        play: Callable[[Send], Coroutine[None, None, None]],
    ) -> None:
        self._reader, self._writer = reader, writer
        self._sdp, self._play = sdp, play
        self._udp: list[asyncio.DatagramTransport] = []
        self._playing: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        """Answer until the client has gone."""
        try:
            while (request := await self._request()) is not None:
                method, url, headers = request
                await self._answer(method, url, headers)
        finally:
            if self._playing is not None:
                self._playing.cancel()
                await asyncio.gather(self._playing, return_exceptions=True)
            for transport in self._udp:
                transport.close()

    async def _request(self) -> tuple[str, str, dict[str, str]] | None:
        while (first := await self._reader.readexactly(1)) == b"$":  # a report of the client
            _channel, length = struct.unpack(">BH", await self._reader.readexactly(3))
            await self._reader.readexactly(length)
        text = (first + await self._reader.readuntil(b"\r\n\r\n")).decode()
        line, *rest = text.strip().split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
        method, url, _ = line.split(" ")
        return (method, url, headers) if method != "TEARDOWN" else None

    async def _answer(self, method: str, url: str, headers: dict[str, str]) -> None:
        fields = {"CSeq": headers["cseq"], "Session": "1"}
        body = ""
        if method == "OPTIONS":
            fields["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
        elif method == "DESCRIBE":
            body = self._sdp
            fields |= {"Content-Base": f"{url}/", "Content-Type": "application/sdp", "Content-Length": str(len(body))}
        elif method == "SETUP":
            fields["Transport"] = await self._transport(headers["transport"])
        lines = ["RTSP/1.0 200 OK", *(f"{name}: {value}" for name, value in fields.items()), "", body]
        self._writer.write("\r\n".join(lines).encode())
        await self._writer.drain()
        if method == "PLAY" and self._playing is None:
            self._playing = asyncio.create_task(self._play(self._send))
            self._playing.add_done_callback(lambda _: self._writer.transport.abort())

    async def _transport(self, wanted: str) -> str:
        options = dict(one.partition("=")[::2] for one in wanted.split(";"))
        if "client_port" not in options:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        loop = asyncio.get_running_loop()
        for port in map(int, options["client_port"].split("-")):
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=("127.0.0.1", port)
            )
            self._udp.append(transport)
        ports = "-".join(str(one.get_extra_info("sockname")[1]) for one in self._udp)
        return f"RTP/AVP;unicast;client_port={options['client_port']};server_port={ports}"

    def _send(self, channel: int, data: bytes) -> None:
        if self._udp:
            self._udp[channel].sendto(data)
        elif self._writer.is_closing():
            raise ConnectionResetError
        else:
            self._writer.write(struct.pack(">cBH", b"$", channel, len(data)) + data)


def payloads(picture: bytes) -> list[tuple[bytes, bool]]:
    """The payloads of the RTP packets of a picture, and which is the last: units whole, or in fragments (FU-A)."""
    payloads = []
    for unit in units_of(picture):
        if len(unit) <= _PAYLOAD_BYTES:
            payloads.append(unit)
            continue
        pieces = [unit[at : at + _PAYLOAD_BYTES] for at in range(1, len(unit), _PAYLOAD_BYTES)]
        for number, piece in enumerate(pieces):
            flags = 0x80 * (number == 0) | 0x40 * (number == len(pieces) - 1)
            payloads.append(bytes((unit[0] & 0x60 | 28, flags | unit[0] & 0x1F)) + piece)
    return [(payload, number == len(payloads) - 1) for number, payload in enumerate(payloads)]


def _rtp(number: int, rtp_time: int, payload: bytes, *, last: bool) -> bytes:
    marked = _TYPE | 0x80 * last
    return struct.pack(">BBHII", 0x80, marked, number & 0xFFFF, rtp_time & 0xFFFFFFFF, _SSRC) + payload


def _sender_report(wall_s: float, rtp_time: int) -> bytes:
    ntp = round((wall_s + _NTP_EPOCH_S) * (1 << 32))
    return struct.pack(">BBHIQIII", 0x80, 200, 6, _SSRC, ntp & (1 << 64) - 1, rtp_time & 0xFFFFFFFF, 0, 0)
