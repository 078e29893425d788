"""The page in Firefox and in WebKit: the painted clock of what is sought, of a gap's ends, and live."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.browser.driver import GRAB, Shown, iso, read_shown
from tests.browser.firefox import PROGRAM, Firefox, run_firefox
from tests.browser.footage import BASE_US, GAP_US, SOUND, Footage, being_recorded, make, make_changing, make_imported
from tests.browser.webkit import WebKit, browser_path, run_webkit
from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

DOOR = "front-door"
STREET = "street"
ROAD, ALLEY, MARKET, SQUARE = "road", "alley", "market", "square"
OPEN_GOPS = "keyint=30:bframes=3:b-adapt=0:open-gop=1:log-level=error"
B_FRAMES = ("-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-bf", "3", "-x264-params", "open-gop=0")
SIMPLE = ("-c:v", "libx264", "-preset", "veryfast", "-g", "20", "-bf", "0")
REORDERED = {
    ROAD: ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", OPEN_GOPS),
    ALLEY: B_FRAMES,
    MARKET: (*SOUND, *B_FRAMES),
}
AMONG_REORDERED_S = {
    ROAD: (28.73, 28.93, 3.33, 29.73, 31.83, 33.03),
    ALLEY: (20.93, 21.13, 20.83, 22.93, 5.03, 30.0),
    MARKET: (29.73, 29.93, 26.03, 30.03),
}
"""Around the ends of fragments that are not those of a GOP, behind keyframes that others precede, and at the end of a
file with sound."""
WITHIN_S = 120.0


@dataclass(frozen=True)
class Engine:
    """A browser that shows one recording."""

    browser: Firefox | WebKit
    url: str
    recorder: str
    footage: Footage


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    if PROGRAM is None:
        pytest.skip("Firefox is not installed")
    with run_firefox(tmp_path_factory.mktemp("firefox")) as firefox:
        yield firefox


@pytest.fixture(scope="module")
def webkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebKit]:
    browser = browser_path()
    if browser is None:
        pytest.skip("WebKit with its driver, or Xvfb, is not installed")
    with run_webkit(browser, tmp_path_factory.mktemp("webkit")) as webkit:
        yield webkit


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebServer, Footage]]:
    """Frames so close together that WebKit takes them for a stream without holes, at 10 a second it does not."""
    directory = tmp_path_factory.mktemp("street") / STREET
    footage = make(directory, (0, 40), (70, 40), fps=25)
    with run_web([RecorderPlace(STREET, directory)]) as server:
        yield server, footage


@pytest.fixture(scope="module")
def reordered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[WebServer, dict[str, Footage]]]:
    """Two segments each: of H.265, of which the second one begins with an open GOP, and of H.264 with B frames, without
    sound and with it."""
    root = tmp_path_factory.mktemp("reordered")
    footage = {id: make_imported(root / id, *coding) for id, coding in REORDERED.items()}
    assert all(len(list(one.directory.glob("*.mp4"))) == 2 for one in footage.values())
    footage[SQUARE] = make_changing(root / SQUARE, (*SOUND, *SIMPLE), SIMPLE, (*SOUND, *REORDERED[ROAD]))
    with run_web([RecorderPlace(id, one.directory) for id, one in footage.items()]) as server:
        yield server, footage


@pytest.fixture(params=["Firefox", "WebKit", "WebKit, 25 frames/s"])
def engine(request: pytest.FixtureRequest, server: WebServer, footage: dict[str, Footage]) -> Engine:
    browser = request.getfixturevalue(str(request.param).partition(",")[0].lower())
    if "25" in request.param:
        of_street, frames = request.getfixturevalue("street")
        return Engine(browser, of_street.url, STREET, frames)
    return Engine(browser, server.url, DOOR, footage[DOOR])


def shown(engine: Engine) -> Shown:
    """The picture and what is written beside it, both at one moment."""
    return read_shown(engine.browser.evaluate(f"({GRAB})(document.querySelector('figure.screen'))"))


def painted(engine: Engine) -> int | None:
    return shown(engine).painted_us


def until_painted(engine: Engine, due_us: range) -> int:
    deadline = time.monotonic() + WITHIN_S
    while (us := painted(engine)) is None or us not in due_us:
        assert time.monotonic() < deadline, (us, engine.browser.evaluate("document.body.innerText"))
        time.sleep(0.1)
    return us


def until_shown(engine: Engine, due_us: int) -> None:
    """Wait until a frame is shown, with its time beside it."""
    deadline = time.monotonic() + WITHIN_S
    while not ((seen := shown(engine)).is_true and seen.painted_us == due_us):
        assert time.monotonic() < deadline, (due_us, seen)
        time.sleep(0.1)


def open_at(engine: Engine, us: int) -> None:
    engine.browser.goto(f"{engine.url}#at={iso(us)}&recorders={engine.recorder}")
    engine.browser.until("document.querySelector('#screens[aria-busy=false] figure.screen') !== null")


def test_each_moment_shows_its_frame(engine: Engine) -> None:
    for after_s in (0.25, 9.98, 12.5, 19.999, 39.5, 100.003):
        us = BASE_US + round(after_s * US)
        open_at(engine, us)
        until_shown(engine, engine.footage.shown_at(us))


REFUSE_PICTURES = """() => {
  const { fetch } = window;
  const isPicture = (url) => String(url.url ?? url).includes("frame.jpg");
  const refused = () => Promise.resolve(new Response("{}", { status: 503 }));
  window.refusesPictures = true;
  window.fetch = (url, ...others) => (isPicture(url) && window.refusesPictures ? refused() : fetch(url, ...others));
}"""


def test_a_picture_that_is_refused_takes_nothing_away_from_the_video(engine: Engine) -> None:
    """WebKit may show another frame than it says: the page puts the picture of the server over it."""
    open_at(engine, BASE_US + 5 * US)
    engine.browser.evaluate(f"({REFUSE_PICTURES})()")
    us = BASE_US + round(17.5 * US)
    engine.browser.evaluate(f"void (location.hash = 'at={iso(us)}&recorders={engine.recorder}')")
    frames_us = US // 5  # the video may be off by a frame or two
    until_painted(engine, range(us - frames_us, us + frames_us))
    if isinstance(engine.browser, WebKit):
        engine.browser.until("document.querySelector('.message').innerText.includes('Trying again …')")
        until_painted(engine, range(us - frames_us, us + frames_us))
    engine.browser.evaluate("void (window.refusesPictures = false)")
    due_us = engine.footage.shown_at(us)
    until_shown(engine, due_us)
    engine.browser.until("document.querySelector('.message').hidden")


@pytest.mark.parametrize("id", list(AMONG_REORDERED_S))
@pytest.mark.parametrize("name", ["Firefox", "WebKit"])
def test_each_moment_of_reordered_video_shows_its_frame(
    request: pytest.FixtureRequest, reordered: tuple[WebServer, dict[str, Footage]], name: str, id: str
) -> None:
    server, footage = reordered
    engine = Engine(request.getfixturevalue(name.lower()), server.url, id, footage[id])
    for after_s in AMONG_REORDERED_S[id]:
        us = BASE_US + round(after_s * US)
        open_at(engine, us)
        until_shown(engine, engine.footage.shown_at(us))


def test_frames_are_stepped_both_ways(engine: Engine) -> None:
    us = engine.footage.shown_at(BASE_US + 19 * US)
    open_at(engine, us)
    for key, due_us in ((".", engine.footage.after(us)), (",", us), (",", engine.footage.shown_at(us - 1))):
        engine.browser.press(key)
        until_painted(engine, range(due_us, due_us + 1))
        engine.browser.until("document.querySelector('#screens[aria-busy=false]') !== null")


def test_what_is_played_is_stamped_as_it_is_painted(engine: Engine) -> None:
    open_at(engine, BASE_US + 5 * US)
    since_us = BASE_US + 5 * US
    for _ in range(4):
        engine.browser.press("k")
        since_us = until_painted(engine, range(since_us + US, BASE_US + 130 * US))
        engine.browser.press("k")
        engine.browser.until("document.querySelector('video').paused")
        deadline = time.monotonic() + WITHIN_S
        while not (at_rest := shown(engine)).is_true:  # a frame may still be on its way to the screen
            assert time.monotonic() < deadline, at_rest
            time.sleep(0.1)


def test_what_is_paused_and_played_at_once_goes_on(engine: Engine) -> None:
    open_at(engine, BASE_US + 5 * US)
    engine.browser.press("k")
    since_us = until_painted(engine, range(BASE_US + 6 * US, BASE_US + 40 * US))
    for _ in range(4):
        engine.browser.press("k")
        engine.browser.press("k")
        since_us = until_painted(engine, range(since_us + US, BASE_US + 130 * US))


def test_a_gap_is_told_and_skipped(engine: Engine) -> None:
    open_at(engine, sum(GAP_US) // 2)
    engine.browser.until("document.querySelector('.message').innerText.includes('Nothing was recorded at 02:10:55')")
    assert painted(engine) is None
    open_at(engine, GAP_US[0] - 2 * US)
    engine.browser.press("k")
    until_painted(engine, range(GAP_US[1], GAP_US[1] + 20 * US))


@pytest.mark.parametrize("engine", ["Firefox", "WebKit"], indirect=True)
def test_live_is_shown_whenever_it_is_opened(engine: Engine, live_server: WebServer) -> None:
    for _ in range(4):
        began_us = time.time_ns() // 1000
        engine.browser.goto(live_server.url)
        engine.browser.until("document.querySelector('figure.screen') !== null")
        until_painted(engine, range(began_us, began_us + 600 * US))
        engine.browser.until("document.querySelector('.note').innerText.startsWith('live')")


def test_live_begins_in_firefox_wherever_the_camera_sends_its_keyframes(
    firefox: Firefox, seldom_keyed: WebServer, footage: dict[str, Footage]
) -> None:
    engine = Engine(firefox, seldom_keyed.url, "porch", footage[DOOR])
    for _ in range(5):
        began_us = time.time_ns() // 1000
        firefox.goto(seldom_keyed.url)
        firefox.until("document.querySelector('figure.screen') !== null")
        deadline = time.monotonic() + WITHIN_S
        while (shown_us := painted(engine)) is None or shown_us < began_us:
            said = firefox.evaluate("document.querySelector('figure.screen').innerText")
            assert "does not play" not in said and time.monotonic() < deadline, said
            time.sleep(0.1)


def test_live_begins_in_webkit_with_a_keyframe_that_is_long_ago(
    webkit: WebKit, footage: dict[str, Footage], tmp_path: Path
) -> None:
    with being_recorded(tmp_path, gop=100) as directory, run_web([RecorderPlace("porch", directory)]) as server:
        engine = Engine(webkit, server.url, "porch", footage[DOOR])
        time.sleep(20)
        for _ in range(4):
            began_us = time.time_ns() // 1000
            webkit.goto(server.url)
            webkit.until("document.querySelector('figure.screen') !== null")
            deadline = time.monotonic() + WITHIN_S
            shown_us, said = None, ""
            # On a busy machine the video may stand still for a while, and is begun again; single pictures are no video.
            while shown_us is None or shown_us < began_us or "stands still" in said or "Trying again" in said:
                assert time.monotonic() < deadline, said
                time.sleep(0.1)
                said = webkit.evaluate("document.querySelector('figure.screen').innerText")
                assert "does not play" not in said or "Trying again" in said, said
                shown_us = painted(engine)


def test_reordered_frames_last_until_the_next_one_live_in_webkit(webkit: WebKit, tmp_path: Path) -> None:
    with (
        being_recorded(tmp_path, gop=30, b_frames=2) as directory,
        run_web([RecorderPlace("porch", directory)]) as server,
    ):
        webkit.goto(server.url)
        webkit.until("document.querySelector('figure.screen') !== null")
        webkit.until("""(({ buffered }) => Array.from({ length: buffered.length }).some(
          (_, number) => buffered.end(number) - buffered.start(number) > 0.3))(document.querySelector('video'))""")


@pytest.mark.parametrize("engine", ["WebKit"], indirect=True)
def test_what_is_played_has_no_holes(engine: Engine) -> None:
    open_at(engine, BASE_US + 12 * US)
    engine.browser.press("k")
    until_painted(engine, range(BASE_US + 14 * US, BASE_US + 40 * US))
    held = engine.browser.evaluate("document.querySelector('video').buffered.length")
    assert held == 1


def test_frames_follow_each_other_where_a_segment_begins_with_an_open_gop(
    webkit: WebKit, reordered: tuple[WebServer, dict[str, Footage]]
) -> None:
    server, footage = reordered[0], reordered[1][ROAD]
    engine = Engine(webkit, server.url, ROAD, footage)
    border_us = BASE_US + 30 * US
    us = footage.shown_at(border_us - 4 * US // 10)
    open_at(engine, us)
    until_painted(engine, range(us, us + 1))
    position = "document.querySelector('video').currentTime"
    positions = [float(engine.browser.evaluate(position))]
    while us <= border_us:
        us = footage.after(us)
        engine.browser.press(".")
        until_painted(engine, range(us, us + 1))
        engine.browser.until("document.querySelector('#screens[aria-busy=false]') !== null")
        positions.append(float(engine.browser.evaluate(position)))
    steps = [after - before for before, after in itertools.pairwise(positions)]
    assert steps == pytest.approx([0.1] * len(steps), abs=0.01)


@pytest.mark.parametrize("name", ["Firefox", "WebKit"])
def test_what_has_sound_plays_on_from_one_file_to_the_next(
    request: pytest.FixtureRequest, reordered: tuple[WebServer, dict[str, Footage]], name: str
) -> None:
    engine = Engine(request.getfixturevalue(name.lower()), reordered[0].url, MARKET, reordered[1][MARKET])
    us = BASE_US + 28 * US
    open_at(engine, us)
    until_painted(engine, range(us, us + 1))
    engine.browser.press("k")
    until_painted(engine, range(BASE_US + 31 * US, BASE_US + 39 * US))


@pytest.mark.parametrize("name", ["Firefox", "WebKit"])
def test_moments_around_a_change_of_sound_and_codec_are_shown_and_played(
    request: pytest.FixtureRequest, reordered: tuple[WebServer, dict[str, Footage]], name: str
) -> None:
    engine = Engine(request.getfixturevalue(name.lower()), reordered[0].url, SQUARE, reordered[1][SQUARE])
    for after_s in (39.83, 60.03, 99.83, 120.03):
        us = BASE_US + round(after_s * US)
        open_at(engine, us)
        due_us = engine.footage.shown_at(us)
        until_painted(engine, range(due_us, due_us + 1))
    for begin_s in (37, 97):
        open_at(engine, BASE_US + begin_s * US)
        until_painted(engine, range(BASE_US + begin_s * US, BASE_US + (begin_s + 1) * US))
        engine.browser.press("k")
        until_painted(engine, range(BASE_US + (begin_s + 25) * US, BASE_US + (begin_s + 40) * US))
        engine.browser.press("k")
