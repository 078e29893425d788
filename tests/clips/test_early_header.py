"""The header of a stream, sent before its first frame is decoded: it is the header that the stream has."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import av
import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.amount import EXHAUSTIVE, some
from tests.support.clapping import clapping, record_clapping
from tests.support.coding import coded_packets, record_coded
from tests.support.damaged_frames import SLICE, damage_frame
from tests.support.foreign_recording import CODINGS, FRAME_US, write_foreign_video
from tests.support.recording import H265, SIZE, SMALL, START_US, US, Stores, capture_times, record, take_over
from videostore.base.errors import FFmpegError
from videostore.clips import early_header, long_stream, plan_head
from videostore.clips.early_header import OtherHeaderError, header_first, header_of
from videostore.media.stream_header import header_bytes, tell_the_same
from videostore.storage.segment_files import close_segment
from videostore.store.store import VideoStore

HEADER = b"\0\0\0\x0cftypiso5" + b"\0\0\0\x0amoov##"
OTHER = HEADER.replace(b"##", b"#!")
FRAGMENT = b"\0\0\0\x08moof" + b"\0\0\0\x0cmdat1234"


async def sent(*blocks: bytes, after: asyncio.Event | None = None, error: Exception | None = None) -> Any:
    if after is not None:
        await after.wait()
    for block in blocks:
        yield block
    if error is not None:
        raise error


def begun() -> asyncio.Event:
    """What a header is made of is there."""
    event = asyncio.Event()
    event.set()
    return event


def told_first(blocks: AsyncGenerator[bytes, None], making: AsyncGenerator[bytes, None]) -> Any:
    """The header of `making`, then these blocks, which begin when it has been made."""
    made = asyncio.Event()

    async def watched() -> Any:
        async with contextlib.aclosing(making):
            try:
                async for block in making:
                    yield block
            finally:
                made.set()

    async def late() -> Any:
        async with contextlib.aclosing(blocks):
            await made.wait()
            for _ in range(10):  # turns of the loop, in which the header is sent
                await asyncio.sleep(0)
            async for block in blocks:
                yield block

    return header_first(watched(), late(), begun())


async def taken(blocks: AsyncGenerator[bytes, None]) -> list[bytes]:
    async with contextlib.aclosing(blocks):
        return [block async for block in blocks]


async def test_of_what_is_made_only_the_header_is_taken() -> None:
    assert await header_of(sent(HEADER[:5], HEADER[5:20], HEADER[20:] + FRAGMENT[:8], error=ValueError())) == HEADER
    for blocks in ((), (HEADER,), (FRAGMENT[8:],)):
        with pytest.raises(ValueError):
            await header_of(sent(*blocks))


@pytest.mark.parametrize("at", [1, len(HEADER) - 1, len(HEADER), len(HEADER) + 3])
async def test_it_comes_once_and_before_the_rest(at: int) -> None:
    whole = HEADER + FRAGMENT
    blocks = await taken(told_first(sent(whole[:at], whole[at:]), sent(HEADER, FRAGMENT)))
    assert blocks[0] == HEADER and b"".join(blocks) == whole


async def test_what_is_there_before_it_is_not_kept_waiting() -> None:
    never = asyncio.Event()
    blocks = await taken(header_first(sent(HEADER, after=never), sent(OTHER, FRAGMENT), begun()))
    assert blocks == [OTHER, FRAGMENT]
    assert await taken(header_first(None, sent(OTHER, FRAGMENT), asyncio.Event())) == [OTHER, FRAGMENT]


async def test_the_stream_begins_when_that_is_encoded_of_which_it_is_made() -> None:
    encoded, begins, made = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def watched() -> Any:
        begins.set()
        yield HEADER
        yield FRAGMENT

    making = sent(HEADER, FRAGMENT, after=made)
    taking = asyncio.ensure_future(taken(header_first(making, watched(), encoded)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not begins.is_set()
    encoded.set()
    await begins.wait()
    made.set()
    assert b"".join(await taking) == HEADER + FRAGMENT


@pytest.mark.parametrize("making", ["hangs", "fails"])
async def test_a_header_that_is_never_encoded_does_not_keep_the_stream_from_beginning(
    making: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_header, "_ALONE_S", 0.1 if making == "hangs" else 1000)
    header = sent(after=asyncio.Event()) if making == "hangs" else sent(error=FFmpegError("clip-failed"))
    assert await taken(header_first(header, sent(OTHER, FRAGMENT), asyncio.Event())) == [OTHER, FRAGMENT]


async def test_without_it_the_stream_is_as_it_is() -> None:
    for making in (sent(HEADER[:5]), sent(error=FFmpegError("clip-failed")), sent(b"not an MP4")):
        assert await taken(told_first(sent(OTHER, FRAGMENT), making)) == [OTHER, FRAGMENT]


@pytest.mark.parametrize("blocks", [(OTHER, FRAGMENT), (), (HEADER[:9],)])
async def test_a_stream_with_another_header_than_was_told_is_an_error(blocks: tuple[bytes, ...]) -> None:
    with pytest.raises(OtherHeaderError):
        await taken(told_first(sent(*blocks), sent(HEADER, FRAGMENT)))


async def test_the_error_of_the_stream_is_passed_on() -> None:
    with pytest.raises(FFmpegError):
        await taken(told_first(sent(error=FFmpegError("clip-failed")), sent(HEADER, FRAGMENT)))


async def test_a_reader_that_goes_away_ends_both() -> None:
    ended = []

    async def watched(name: str) -> Any:
        try:
            yield b""
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    waiting = asyncio.ensure_future(
        taken(header_first(watched("header"), told_first(watched("rest"), sent()), begun()))
    )
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert "header" in ended


def packet_times(stream: bytes) -> list[tuple[int, int | None, int | None]]:
    with av.open(io.BytesIO(stream)) as container:
        return [(one.stream_index, one.pts, one.dts) for one in container.demux() if one.size]


async def coded(codec: str, b_frames: int, stores: Stores, binary: str) -> None:
    await record_coded(stores.storage, coded_packets(capture_times(9), codec, gop=40, b_frames=b_frames, size=SIZE))


async def encoded(stores: Stores, binary: str) -> None:
    await record(stores.storage, capture_times(9), size=SIZE)


async def encoded_as_h265(stores: Stores, binary: str) -> None:
    await record(stores.storage, capture_times(9), size=SMALL, encoder=H265)


async def foreign(coding: str, stores: Stores, binary: str) -> None:
    times = [START_US + number * FRAME_US for number in range(90)]
    await write_foreign_video(stores.storage / f"{START_US // US}.mp4", times, CODINGS[coding])


async def sounding(stores: Stores, binary: str) -> None:
    run = await record_clapping(stores.storage, clapping(9, gop_s=2), binary=binary)
    for path in sorted(stores.storage.glob("*.open")):
        close_segment(path, finished_only=True, run=run)


async def of_two_sizes(stores: Stores, binary: str) -> None:
    await record(stores.storage, capture_times(5), size=SMALL)
    await record(stores.storage, capture_times(3, START_US + 6 * US), size=SIZE)


KINDS: dict[str, Callable[[Stores, str], Awaitable[None]]] = {
    "h264": functools.partial(coded, "h264", 0),
    "h265 with B frames": functools.partial(coded, "hevc", 3),
    "two sizes": of_two_sizes,
    "sound": sounding,
    "h264 of another program": functools.partial(foreign, "h264 main, cabac, 4 references"),
    "encoded": encoded,
    "encoded as h265": encoded_as_h265,
    "h264 with B frames": functools.partial(coded, "h264", 3),
    "h265": functools.partial(coded, "hevc", 0),
    "B frames of another program": functools.partial(foreign, "h264 B frames"),
    "open GOPs of another program": functools.partial(foreign, "h264 open GOP"),
    "h265 of another program": functools.partial(foreign, "h265 long GOP"),
    "10 bit": functools.partial(foreign, "h264 10 bit"),
}


async def recorded(stores: Stores, binary: str, kind: str) -> VideoStore:
    await KINDS[kind](stores, binary)
    await take_over(stores.storage)
    return await stores.open(binary=binary)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Headers that are sent before all else, however little must be decoded."""
    monkeypatch.setattr(plan_head, "_FAR_PIXELS_US", 0)
    headers: list[bytes] = []

    async def always_first(making: Any, blocks: Any, encoded: asyncio.Event) -> Any:
        if making is None:
            async for block in blocks:
                yield block
            return
        number = 0
        async with contextlib.aclosing(told_first(blocks, making)) as both:
            async for block in both:
                if number == 0:
                    assert header_bytes(block + FRAGMENT) == len(block)
                    headers.append(block)
                number += 1
                yield block
        assert encoded.is_set()

    monkeypatch.setattr(long_stream, "header_first", always_first)
    return headers


# Each kind once, followed or not in turn, then the other way round.
@some(("kind", "follow"), [(kind, (turn + n) % 2 == 1) for turn in (0, 1) for n, kind in enumerate(KINDS)], 4)
async def test_it_is_the_header_of_the_stream(
    stores: Stores, binary: str, told: list[bytes], monkeypatch: pytest.MonkeyPatch, kind: str, follow: bool
) -> None:
    store = await recorded(stores, binary, kind)
    ranges = [(0.73, 4.5), (1.62, 8.7), (2.35, 2.9), (0.97, 8.1)][: None if EXHAUSTIVE else 2]
    early = []
    for begin_s, end_s in ranges:
        asked = START_US + round(begin_s * US), START_US + round(end_s * US)
        before = len(told)
        early.append(b"".join(await taken(store._send_video(*asked, follow=follow))))
        assert read_clip(early[-1], [SIZE, SMALL])
        assert len(told) == before or early[-1].startswith(told[-1])
    assert len(told) >= len(ranges) / 2, "a range that begins with the first frames behind a keyframe has none"
    monkeypatch.setattr(long_stream, "header_first", lambda _, blocks, __: blocks)
    for (begin_s, end_s), stream in zip(ranges, early, strict=True):
        asked = START_US + round(begin_s * US), START_US + round(end_s * US)
        plain = b"".join(await taken(store._send_video(*asked, follow=follow)))
        header = header_bytes(plain) or 0
        assert tell_the_same(plain[:header], stream[:header])
        # Not byte by byte: x264 does not keep within bounds twice in the same way.
        assert packet_times(stream) == packet_times(plain)
        assert read_clip(stream, [SIZE, SMALL]) == read_clip(plain, [SIZE, SMALL])


async def test_it_is_not_made_where_little_must_be_decoded(stores: Stores, binary: str, told: list[bytes]) -> None:
    store = await recorded(stores, binary, "encoded")
    await taken(store._send_video(START_US, START_US + 8 * US))
    assert not told, "the first frame is a keyframe"


@pytest.mark.parametrize("larger", [1, 3])
async def test_it_is_made_near_a_keyframe_too_where_frames_take_long_to_encode(
    stores: Stores, told: list[bytes], monkeypatch: pytest.MonkeyPatch, larger: int
) -> None:
    """Of large frames, a few take as long as many small ones."""
    times = capture_times(9)
    await record_coded(stores.storage, coded_packets(times, "h264", gop=40, size=SIZE))
    await take_over(stores.storage)
    store = await stores.open()
    monkeypatch.setattr(plan_head, "_FAR_PIXELS_US", 2 * US * SIZE[0] * SIZE[1] // larger)
    assert read_clip(b"".join(await taken(store._send_video(times[2], times[-1]))), [SIZE])
    assert len(told) == (larger == 3)


async def test_a_stream_that_turns_out_to_be_damaged_before_its_first_frame_is_an_error_once(
    stores: Stores, binary: str, told: list[bytes]
) -> None:
    """What was told of it is not true. The next one is told when it is known."""
    await (await recorded(stores, binary, "h264")).close()
    damage_frame(min(stores.storage.glob("*.mp4")), 2, 0, SLICE)
    store = await stores.open()
    asked = START_US + 3_450_000, START_US + 8 * US
    with pytest.raises(FFmpegError) as error:
        await taken(store._send_video(*asked))
    assert error.value.code == "clip-incomplete" and len(told) == 1
    stream = b"".join(await taken(store._send_video(*asked)))
    shown = [frame and frame.captured_us for _, frame in read_clip(stream)]
    assert shown and shown == [one for one in capture_times(9) if asked[0] <= one < asked[1]][-len(shown) :]
    assert len(told) == 1
