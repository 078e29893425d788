"""The header that WebKit on Linux gets: H.264 of any kind says how long a frame lasts, and decodes as before."""

from __future__ import annotations

import base64
import io
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.browser.driver import PageDriver
from videostore.ffmpeg.process import find_ffmpeg

_STATE = """async ([content, us]) => {
  const { withRate } = await import("./static/stated_rate.mjs");
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const changed = new Uint8Array(withRate(bytes.buffer, us));
  return btoa(Array.from(changed, (byte) => String.fromCharCode(byte)).join(""));
}"""
_LENGTHS = """async (some) => {
  const { frameLength } = await import("./static/stated_rate.mjs");
  return some.map(frameLength);
}"""
_BELIEVES = """async (some) => {
  const { believesRate } = await import("./static/stated_rate.mjs");
  return some.map(believesRate);
}"""
_COLOURS = ["-color_range", "tv", "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709"]
X264 = {
    "high": [],
    "baseline": ["-profile:v", "baseline"],
    "described": ["-vf", "setsar=7/5", *_COLOURS, "-chroma_sample_location", "topleft"],
    "scaled": ["-x264-params", "cqm=jvt"],
    "full chroma": ["-pix_fmt", "yuv444p", "-x264-params", "cqm=jvt"],
    "ten bit": ["-pix_fmt", "yuv420p10le"],
    "fields": ["-x264-params", "tff=1"],
    "buffered": ["-x264-params", "nal-hrd=vbr:vbv-maxrate=500:vbv-bufsize=500"],
}
FRAGMENTED = ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"]


def undescribed(path: Path) -> Path:
    """A picture of 128 × 96 in H.264 that says nothing of its use: all of it is as it is, without prediction."""
    sets = bytes.fromhex("00000001 6742000af841a2 00000001 68ce3880")
    blocks = b"\x0d\x00".join(bytes([1 + number % 200]) * 384 for number in range(48))
    path.write_bytes(sets + bytes.fromhex("00000001 05888421a0") + blocks + b"\x80")
    return path


def make(directory: Path, kind: str) -> bytes:
    """A fragmented MP4 of a kind, at 10 frames a second. Blocking."""
    if kind == "undescribed":
        source = [
            "-f",
            "h264",
            "-i",
            str(undescribed(directory / "picture.h264")),
            "-c",
            "copy",
            "-bsf:v",
            "filter_units=remove_types=7-8",
        ]
    else:
        source = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=10:d=2", "-c:v", "libx264", *X264[kind]]
    target = directory / "made.mp4"
    subprocess.run([find_ffmpeg(), "-v", "error", "-y", *source, *FRAGMENTED, str(target)], check=True)
    return target.read_bytes()


def shown(content: bytes) -> tuple[list[bytes], Fraction | None]:
    """The pictures of a file, and the rate that its H.264 states."""
    with av.open(io.BytesIO(content)) as container:
        pictures = [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
        return pictures, container.streams.video[0].codec_context.framerate


@pytest.mark.parametrize("kind", [*X264, "undescribed"])
def test_a_header_with_another_rate_shows_the_same_pictures(page: PageDriver, tmp_path: Path, kind: str) -> None:
    content = make(tmp_path, kind)
    before, _ = shown(content)
    page.open()
    changed = base64.b64decode(page.page.evaluate(_STATE, [base64.b64encode(content).decode(), 250_000]))
    pictures, rate = shown(changed)
    assert pictures == before
    assert len(pictures) > 0
    assert rate == 4
    assert changed != content


def test_what_is_no_such_header_stays_as_it_is(page: PageDriver, tmp_path: Path) -> None:
    content = make(tmp_path, "high")
    page.open()
    head = content.index(b"avcC") + 20  # in the middle of the first parameter set
    for other in (b"", b"\x00\x00\x00\x08free", content[:head], content.replace(b"avcC", b"hvcC", 1)):
        assert base64.b64decode(page.page.evaluate(_STATE, [base64.b64encode(other).decode(), 250_000])) == other


def test_a_frame_lasts_as_long_as_most_do(page: PageDriver) -> None:
    page.open()
    steady, late, few = [0, 100, 200, 300], [0, 100, 200, 1_900_000, 1_900_100], [5]
    assert page.page.evaluate(_LENGTHS, [steady, late, few, [], [0, 90_000_000]]) == [
        100, 100, 100_000, 100_000, 2_000_000,
    ]  # fmt: skip


def test_only_webkit_on_linux_needs_it(page: PageDriver) -> None:
    page.open()
    apple, google = "Apple Computer, Inc.", "Google Inc."
    browsers = [
        (apple, "Linux x86_64"),
        (apple, "MacIntel"),
        (apple, "iPhone"),
        (google, "Linux x86_64"),
        ("", "Linux x86_64"),
    ]
    asked = [{"vendor": vendor, "platform": platform} for vendor, platform in browsers]
    assert page.page.evaluate(_BELIEVES, asked) == [True, False, False, False, False]
