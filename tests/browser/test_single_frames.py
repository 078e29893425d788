"""The fragments that Firefox gets: one for each frame of a reordered video, with the same frames at the same times."""

from __future__ import annotations

import base64
import io
import itertools
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from tests.browser.driver import PageDriver
from videostore.ffmpeg.process import find_ffmpeg

_DIVIDE = """async (content) => {
  const { withSingleFrames } = await import("./static/single_frames.mjs");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const changed = new Uint8Array(withSingleFrames(bytes.buffer));
  return btoa(Array.from(changed, (byte) => String.fromCharCode(byte)).join(""));
}"""
_SHOWN = """async ([header, piece]) => {
  const { firstShown } = await import("./static/first_shown.mjs");
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  return firstShown(bytes(header), bytes(piece));
}"""
_LEADS = """async ([header, ...pieces]) => {
  const { firstShown } = await import("./static/first_shown.mjs");
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
  const keyframes = new Map();
  return pieces.map((piece) => firstShown(bytes(header), bytes(piece), keyframes).leadS);
}"""
_STRETCHES = """async (some) => {
  const { stretchesFrames } = await import("./static/single_frames.mjs");
  return some.map((userAgent) => stretchesFrames({ userAgent }));
}"""
_FPS, _LENGTH_S = 10, 4
B_FRAMES = ["-c:v", "libx264", "-g", "20", "-bf", "3", "-x264-params", "open-gop=0:scenecut=0"]
OPEN_GOPS = ["-c:v", "libx265", "-x265-params", "keyint=20:bframes=3:b-adapt=0:open-gop=1:log-level=error"]
PLAIN = ["-c:v", "libx264", "-g", "20", "-bf", "0"]
SOUND = ["-f", "lavfi", "-i", f"sine=duration={_LENGTH_S}", "-c:a", "aac"]
_MOVFLAGS = "+frag_keyframe+empty_moov+default_base_moof"
IN_TIME = ["-frag_duration", "1000000"]
KINDS = {
    "B frames": (B_FRAMES, "", IN_TIME),
    "B frames and sound": ([*SOUND, *B_FRAMES], "", IN_TIME),
    "B frames, all that can be in the header": (B_FRAMES, "", []),
    "B frames, shown before they are decoded": (B_FRAMES, "+negative_cts_offsets", IN_TIME),
    "open GOPs": (OPEN_GOPS, "", IN_TIME),
}


class Made(NamedTuple):
    """A fragmented MP4."""

    header: bytes
    piece: bytes


def make(directory: Path, coding: list[str], flags: str = "", options: list[str] | None = None) -> Made:
    """Moving pictures. Blocking."""
    pictures = ["-f", "lavfi", "-i", f"testsrc2=s=320x180:r={_FPS}:d={_LENGTH_S}"]
    path = directory / "made.mp4"
    command = [find_ffmpeg(), "-v", "error", *pictures, *coding, "-pix_fmt", "yuv420p", "-movflags", _MOVFLAGS + flags]
    subprocess.run([*command, *(options or []), str(path)], check=True)
    content = path.read_bytes()
    at = content.index(b"moof") - 4
    return Made(content[:at], content[at : content.rindex(b"mfra") - 4])


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def divided(page: PageDriver, piece: bytes) -> bytes:
    return base64.b64decode(page.page.evaluate(_DIVIDE, text(piece)))


def packets(content: bytes) -> dict[str, list[tuple[Any, ...]]]:
    """All of each track, in order."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    with av.open(io.BytesIO(content)) as container:
        for one in container.demux():
            if one.size:
                packet = one.pts, one.dts, one.duration, one.is_keyframe, bytes(one)
                found.setdefault(one.stream.type, []).append(packet)
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_each_frame_is_a_fragment_of_its_own(page: PageDriver, tmp_path: Path, kind: str) -> None:
    header, piece = make(tmp_path, *KINDS[kind])
    page.open()
    changed = divided(page, piece)
    before, after = packets(header + piece), packets(header + changed)
    assert after == before and len(after["video"]) == _FPS * _LENGTH_S
    of_sound = piece.count(b"moof") if "audio" in before else 0
    assert changed.count(b"moof") == len(after["video"]) + of_sound
    assert divided(page, changed) == changed


def test_what_is_not_reordered_or_no_fragment_stays_as_it_is(page: PageDriver, tmp_path: Path) -> None:
    plain = make(tmp_path, PLAIN, "", IN_TIME)
    (tmp_path / "made.mp4").unlink()
    header, piece = make(tmp_path, B_FRAMES, "", IN_TIME)
    page.open()
    from_elsewhere = piece.replace(b"tfhd\x00\x02", b"tfhd\x00\x00")
    for other in (plain.piece, header, b"", piece[:-1], piece[:300], piece[:60], piece[3:], from_elsewhere):
        assert divided(page, other) == other


def test_damaged_bytes_are_no_error(page: PageDriver, tmp_path: Path) -> None:
    _, piece = make(tmp_path, B_FRAMES, "", IN_TIME)
    page.open()
    size = int.from_bytes(piece[:4], "big")
    for at in range(0, size, 7):
        divided(page, piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :])


def test_a_piece_with_its_sound_first_is_divided_too(page: PageDriver, tmp_path: Path) -> None:
    header, piece = make(tmp_path, [*SOUND, *B_FRAMES, "-map", "1:a", "-map", "0:v"], "", IN_TIME)
    page.open()
    changed = divided(page, piece)
    before, after = packets(header + piece), packets(header + changed)
    assert after == before and len(after["video"]) == _FPS * _LENGTH_S
    assert changed.count(b"moof") == len(after["video"]) + piece.count(b"moof")


def box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return (len(content) + 8).to_bytes(4, "big") + name + content


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


def moof(*runs: bytes, size: int = 1) -> bytes:
    """A fragment of one track whose frames last 1 and have a size, if they tell nothing else."""
    header = box(b"tfhd", words(0x020018, 1, 1, size))
    track = box(b"traf", header, box(b"tfdt", words(0, 0)), *(box(b"trun", run) for run in runs))
    return box(b"moof", box(b"mfhd", words(0, 1)), track)


ALL_BYTES = 100_000
REORDERED = words(0x000800, 2, 0, 5)
IMPOSSIBLE = {
    "a count without end": moof(REORDERED, words(0, 2**32 - 1)),
    "a count without end, of empty frames": moof(REORDERED, words(0, 2**32 - 1), size=0),
    "counts that are too much together": moof(REORDERED, words(0, 60_000)) + moof(words(0, 60_000)),
    "frames that share their bytes": moof(*[words(0x000801, 1, 0, order) for order in range(20)], size=ALL_BYTES),
}


@pytest.mark.parametrize("kind", list(IMPOSSIBLE))
def test_a_piece_that_tells_of_too_much_stays_as_it_is(page: PageDriver, tmp_path: Path, kind: str) -> None:
    header, _ = make(tmp_path, B_FRAMES, "", IN_TIME)
    piece = IMPOSSIBLE[kind] + box(b"mdat", bytes(ALL_BYTES))
    page.open()
    assert divided(page, piece) == piece
    if "share" not in kind:
        assert page.page.evaluate(_SHOWN, [text(header), text(piece)]) == {"delayS": 0, "leadS": 0}


def test_frames_of_several_runs_and_empty_ones_are_divided(page: PageDriver) -> None:
    def two_runs(at: int) -> bytes:
        return moof(words(0x000801, 2, at, 0, 5), words(0x000A01, 2, at + 6, 0, 2, 9, 0), size=3)

    at = len(two_runs(0)) + 8
    piece = two_runs(at) + box(b"mdat", b"aaabbbccccccccc")
    page.open()
    changed = divided(page, piece)
    assert changed.count(b"moof") == 4
    frames = [b"aaa", b"bbb", b"", b"ccccccccc"]
    places = [changed.index(box(b"mdat", frame)) for frame in frames]
    assert places == sorted(places)


@pytest.mark.parametrize("kind", [one for one in KINDS if "shown before" not in one])  # libav moves those
def test_where_its_first_frame_is_shown_is_read(page: PageDriver, tmp_path: Path, kind: str) -> None:
    header, piece = make(tmp_path, *KINDS[kind])
    page.open()
    moofs = [at - 4 for at in range(len(piece)) if piece.startswith(b"moof", at)]
    all_of_it = packets(header + piece)["video"]
    with av.open(io.BytesIO(header + piece)) as container:
        base = container.streams.video[0].time_base
    assert base is not None
    for at in moofs:
        if piece[at : at + 200].count(b"traf") < len(packets(header + piece)):
            continue
        ours = packets(header + piece[at:])["video"]
        first = min(pts for pts, *_ in ours)
        expected = {"delayS": float((first - ours[0][1]) * base), "leadS": float((ours[0][0] - first) * base)}
        assert page.page.evaluate(_SHOWN, [text(header), text(piece[at:])]) == pytest.approx(expected)
        assert ours == all_of_it[-len(ours) :]
    nothing = {"delayS": 0, "leadS": 0}
    for other in (b"", piece[:60], header):
        assert page.page.evaluate(_SHOWN, [text(header), text(other)]) == nothing
        assert page.page.evaluate(_SHOWN, [text(other[:40]), text(piece)]) == nothing


def fragments_of(piece: bytes) -> list[bytes]:
    """The fragments of a piece, each with its bytes."""
    begins = [at - 4 for at in range(len(piece)) if piece.startswith(b"moof", at)]
    return [piece[begin:end] for begin, end in itertools.pairwise([*begins, len(piece)])]


def test_a_piece_that_ends_among_reordered_frames_ends_when_the_next_one_begins(
    page: PageDriver, tmp_path: Path
) -> None:
    header, piece = make(tmp_path, B_FRAMES, "", IN_TIME)
    page.open()
    among = 0
    for one in fragments_of(piece):
        before, after = packets(header + one)["video"], packets(header + divided(page, one))["video"]
        assert after == before
        shown = sorted(pts for pts, *_ in before)
        steps = {later - earlier for earlier, later in itertools.pairwise(shown)}
        among += len(steps) > 1
    assert among > 0, "each has all frames between its own"


def test_a_piece_is_dated_by_the_keyframe_before_it(page: PageDriver, tmp_path: Path) -> None:
    header, piece = make(tmp_path, B_FRAMES, "", IN_TIME)
    page.open()
    fragments = fragments_of(piece)
    with av.open(io.BytesIO(header + piece)) as container:
        base = container.streams.video[0].time_base
    assert base is not None
    leads, after_keyframe, unlike = [], 0, 0
    for one in fragments:
        ours = packets(header + one)["video"]
        pts, dts, _, is_keyframe, _ = ours[0]
        after_keyframe = pts - dts if is_keyframe else after_keyframe
        leads.append(float((dts + after_keyframe - min(pts for pts, *_ in ours)) * base))
        unlike += pts - dts != after_keyframe
    assert page.page.evaluate(_LEADS, [text(header), *map(text, fragments)]) == pytest.approx(leads)
    assert unlike > 0


def test_only_firefox_needs_it(page: PageDriver) -> None:
    page.open()
    agents = [
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 FxiOS/140.0 Safari/605.1.15",
    ]
    assert page.page.evaluate(_STRETCHES, agents) == [True, False, False]
