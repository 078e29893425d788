"""Recordings that are not as ours are coded: B frames, distant keyframes, sizes that change, the Go module's files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, SOUND, Footage, code, make, make_changing, make_imported
from tests.support.recording import US, record, take_over
from tests.support.web_server import WebServer, run_web
from videostore.store.footage_import import import_file
from videostore.web.recorders import RecorderPlace

LENGTH_S, FPS = 40, 10
DEEP = ("-pix_fmt", "yuv420p10le")
SILENT = ("-c:v", "libx264", "-preset", "veryfast", "-g", "10", "-bf", "0")
B_FRAMES = ("-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-bf", "3", "-x264-params", "open-gop=0")
OPUS = ("-c:a", "libopus", "-ar", "48000")
CLOSED_H265 = "keyint=10:bframes=0:open-gop=0:log-level=error"
H265_10_BIT = ("-c:v", "libx265", "-preset", "ultrafast", *DEEP, "-x265-params", CLOSED_H265)
TIMES_US = tuple(BASE_US + number * US // FPS for number in range(LENGTH_S * FPS))


def make_resized(directory: Path) -> Footage:
    """A camera whose pictures become smaller; the page reads the paint of those as large as before."""
    footage = make(directory, (0, 20))

    async def work() -> None:
        times = [BASE_US + 20 * US + number * US // FPS for number in range(100)]
        await record(directory, times, size=(320, 180), segment_seconds=5)
        await take_over(directory)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
    return Footage(directory, footage.times_us)


def make_uneven(directory: Path) -> Footage:
    """Reordered frames of another camera, each after another distance than the one before."""
    apart_ms = [number * 100 + number % 3 * 30 for number in range(LENGTH_S * FPS)]
    times_us = tuple(BASE_US + one * 1000 for one in apart_ms)
    uneven = ("-vf", "settb=1/1000,setpts=N*100+mod(N\\,3)*30", "-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    file = code(directory.with_suffix(".mp4"), times_us, FPS, *uneven, *B_FRAMES)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(import_file(file, directory, start=BASE_US))).result()
    return Footage(directory, times_us)


def make_foreign(directory: Path) -> Footage:
    """A segment as the Go module writes it, at a whole second."""
    directory.mkdir()
    second_us = BASE_US // US * US
    coding = ("-c:v", "libx264", "-preset", "veryfast", "-g", "10", "-bf", "0")
    file = code(directory / f"{second_us // US}.mp4", TIMES_US, FPS, *coding)
    assert file.exists()
    return Footage(directory, TIMES_US)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Footage]:
    root = tmp_path_factory.mktemp("coded")
    h264 = ("-c:v", "libx264", "-preset", "veryfast")
    return {
        "b-frames": make_imported(root / "b-frames", *B_FRAMES),
        "sound": make_imported(root / "sound", *SOUND, *h264, "-g", "10", "-bf", "0"),
        "both": make_imported(root / "both", *SOUND, *B_FRAMES),
        "distant": make_imported(root / "distant", *h264, "-g", "120", "-keyint_min", "120", "-bf", "0"),
        "h264-10-bit": make_imported(root / "h264-10-bit", *h264, *DEEP, "-g", "10", "-bf", "0"),
        "h265-10-bit": make_imported(root / "h265-10-bit", *H265_10_BIT),
        "sound-begins": make_changing(root / "sound-begins", SILENT, (*SOUND, *SILENT)),
        "sound-breaks": make_changing(root / "sound-breaks", (*SOUND, *SILENT), SILENT, (*SOUND, *SILENT)),
        "sound-changes": make_changing(root / "sound-changes", (*SOUND, *SILENT), (*SOUND, *OPUS, *SILENT)),
        "codec-changes": make_changing(root / "codec-changes", SILENT, H265_10_BIT),
        "uneven": make_uneven(root / "uneven"),
        "resized": make_resized(root / "resized"),
        "foreign": make_foreign(root / "foreign"),
    }


@pytest.fixture(scope="module")
def coded_server(coded: dict[str, Footage]) -> Iterator[WebServer]:
    with run_web([RecorderPlace(id, one.directory) for id, one in coded.items()]) as server:
        yield server


@pytest.mark.parametrize("id", ["b-frames", "sound", "both", "distant", "uneven", "resized"])
def test_each_moment_shows_its_frame(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage], id: str
) -> None:
    page = open_page(coded_server, bypass_csp=True)
    for after_s in (0.03, 3.33, 7.91, 12.049, 19.5, 11.96, 0.51):
        us = BASE_US + round(after_s * US)
        page.open_at(us, recorders=id)
        assert page.painted(id) == coded[id].shown_at(us), after_s
        assert page.stamp_us(id) == coded[id].shown_at(us) // 1000 * 1000, after_s


@pytest.mark.parametrize("id", ["sound-begins", "sound-breaks", "sound-changes"])
def test_moments_around_a_change_of_sound_are_shown_and_played(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage], id: str
) -> None:
    page = open_page(coded_server, bypass_csp=True)
    last_s = (coded[id].times_us[-1] - BASE_US) / US
    for after_s in (39.85, 60.03, 3.33, 38.5, last_s - 0.07, 0.51, 75.91):
        us = BASE_US + round(after_s * US)
        page.open_at(us, recorders=id)
        assert page.painted(id) == coded[id].shown_at(us), (after_s, page.message(id))
        assert page.stamp_us(id) == coded[id].shown_at(us) // 1000 * 1000, after_s
    for before_us in (BASE_US + 38 * US, (coded[id].times_us[-1] - 41 * US)):
        page.open_at(before_us, recorders=id)
        page.press("k")
        page.until_painted(id, lambda us, since=before_us: us > since + 24 * US)  # type: ignore[misc]
        page.press("k")


_DEAF = """
const { isTypeSupported } = MediaSource;
const { addSourceBuffer } = MediaSource.prototype;
const isSound = (type) => /mp4a|opus/i.test(type);
MediaSource.isTypeSupported = (type) => !isSound(type) && isTypeSupported.call(MediaSource, type);
MediaSource.prototype.addSourceBuffer = function (type) {
  if (isSound(type)) throw new DOMException("no decoder", "NotSupportedError");
  return addSourceBuffer.call(this, type);
};"""


@pytest.mark.parametrize("id", ["sound", "both", "sound-begins", "sound-changes"])
def test_sound_that_the_browser_cannot_decode_takes_no_picture_away(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage], id: str
) -> None:
    page = open_page(coded_server, bypass_csp=True)
    page.page.add_init_script(_DEAF)
    us = BASE_US + 5 * US
    page.open_at(us, recorders=id)
    assert page.painted(id) == coded[id].shown_at(us)
    page.press("k")
    page.until_painted(id, lambda shown: shown > us + US)
    assert not page.is_told(id)
    page.press("m")
    told = "This browser cannot decode the sound"
    assert page.text("#word").startswith(told) is (id != "sound-begins")


def test_what_is_deleted_behind_a_change_of_sound_is_told_as_a_gap(
    open_page: Callable[..., PageDriver], coded: dict[str, Footage], tmp_path: Path
) -> None:
    """What was loaded ends at the change. The page loads again there, and finds the file gone."""
    storage = tmp_path / "storage"
    shutil.copytree(coded["sound-begins"].directory, storage)
    with run_web([RecorderPlace("door", storage)]) as server:
        page = open_page(server, bypass_csp=True).open_at(BASE_US + 38_500_000, recorders="door")
        assert page.painted("door") == coded["sound-begins"].shown_at(BASE_US + 38_500_000)
        for path in sorted(storage.glob("*.mp4"))[2:]:
            path.unlink()
        page.type_time(iso(BASE_US + 65 * US))
        page.until(lambda: "Nothing was recorded" in page.message("door"))
        assert page.painted("door") is None


def test_play_at_the_end_before_a_change_of_sound_goes_on_behind_it(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage]
) -> None:
    last_us = BASE_US + 40 * US - US // 10
    page = open_page(coded_server, bypass_csp=True).open_at(last_us, recorders="sound-begins")
    video = page.screen("sound-begins").locator("video")
    page.until(lambda: video.evaluate("(video) => video.duration") < 41)  # what is loaded ends there
    video.evaluate("(video) => { video.currentTime = video.duration; }")
    page.until(lambda: video.evaluate("(video) => video.ended"))
    page.page.keyboard.press("k")
    shown_us = page.until_painted("sound-begins", lambda us: us != last_us)
    assert shown_us >= BASE_US + 60 * US


def test_what_comes_before_a_codec_that_cannot_be_decoded_is_shown_and_played(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage]
) -> None:
    id = "codec-changes"
    page = open_page(coded_server, bypass_csp=True)
    if page.page.evaluate("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.2.4.L63.90\"')"):
        pytest.skip("this Chromium decodes H.265 with 10 bit")
    for after_s in (39.85, 38.53):
        us = BASE_US + round(after_s * US)
        page.open_at(us, recorders=id)
        assert (page.painted(id), page.message(id)) == (coded[id].shown_at(us), "")
    page.press("k")
    page.until(lambda: "cannot decode H.265 with 10 bit" in page.message(id))
    page.until_painted(id, lambda us: us == BASE_US + 60 * US)
    page.until(lambda: page.page.get_by_role("button", name="Play", exact=True).is_visible())


def test_pictures_of_another_size_are_shown(open_page: Callable[..., PageDriver], coded_server: WebServer) -> None:
    page = open_page(coded_server, bypass_csp=True).open_at(BASE_US + 25 * US, recorders="resized")
    assert page.stamp_us("resized") == (BASE_US + 25 * US) // 1000 * 1000


def test_a_segment_of_the_go_module_shows_its_frames(
    open_page: Callable[..., PageDriver], coded_server: WebServer, coded: dict[str, Footage]
) -> None:
    page = open_page(coded_server, bypass_csp=True)
    behind_us = BASE_US % US  # its times begin at the second in its name
    for after_s in (0.05, 11.15, 29.05):
        us = BASE_US + round(after_s * US)
        page.open_at(us - behind_us, recorders="foreign")
        assert page.painted("foreign") == coded["foreign"].shown_at(us), after_s


@pytest.mark.parametrize(
    ("id", "codec", "named"),
    [
        ("h264-10-bit", "avc1.6e0016", "H.264 with more than 8 bit or 4:2:0 colours"),
        ("h265-10-bit", "hvc1.2.4.L63.90", "H.265 with 10 bit"),
    ],
)
def test_what_this_browser_cannot_decode_is_shown_as_pictures_and_downloaded(
    open_page: Callable[..., PageDriver],
    coded_server: WebServer,
    coded: dict[str, Footage],
    id: str,
    codec: str,
    named: str,
    tmp_path: Path,
) -> None:
    page = open_page(coded_server)
    us = BASE_US + 12_030_000
    page.open_at(us, recorders=id)
    if page.page.evaluate(f"MediaSource.isTypeSupported('video/mp4; codecs=\"{codec}\"')"):
        pytest.skip(f"this Chromium decodes {named}")
    page.until(lambda: f"cannot decode {named}" in page.message(id))
    for due_us in (us, us + US):
        shown_us = coded[id].shown_at(due_us)
        page.until(lambda due=shown_us: page.painted(id) == due)  # type: ignore[misc]
        assert page.stamp_us(id) == shown_us // 1000 * 1000
        page.press("ArrowRight")
    button = page.screen(id).get_by_role("button", name="Download")
    path = page.downloaded(button.click, tmp_path)
    frames = [frame.captured_us if frame else 0 for _, frame in read_clip(path)]
    middle_us = us + 2 * US
    assert frames == [one for one in coded[id].times_us if middle_us - 30 * US <= one < middle_us + 30 * US]
