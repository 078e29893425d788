"""A server that does not answer, or late: the page says so, asks again, and goes on when it answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, Footage
from tests.support.recording import US

DOOR = "front-door"


LIMIT_MS = 6000
"""Within that, a picture comes on a busy machine too."""


_ASK = """async ([ids, us, limit]) => {
  const { Api } = await import("./static/api.mjs");
  const { Pictures } = await import("./static/pictures.mjs");
  const said = [];
  const pictures = new Pictures(new Api(() => {}, (text) => said.push(text), limit));
  const asked = ids.map((id, number) => pictures.get(number, id, us, { width: 64 }));
  const found = await Promise.all(asked);
  return { said, found: found.map(({ error, captured_us }) => error?.message ?? captured_us) };
}"""


def test_pictures_that_never_come_keep_no_others(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    hung: list[Any] = []
    page.route("**/recorders/yard/frame.jpg*", lambda route: hung.append(route))
    answer = page.page.evaluate(_ASK, [["yard", "yard", DOOR], BASE_US + 7 * US, LIMIT_MS])
    late = f"The server did not answer within {LIMIT_MS // 1000} s. Is it busy, or the network slow?"
    assert answer["found"][:2] == [late, late]
    assert abs(answer["found"][2] - BASE_US - 7 * US) < 2 * US
    assert set(answer["said"]) == {f"The server has not answered for {LIMIT_MS // 1000} s. Asking again …"}
    assert len(hung) == 4  # each was asked for twice


def test_a_picture_that_comes_at_the_second_time_is_shown(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    hung: list[Any] = []
    page.route("**/recorders/yard/frame.jpg*", lambda route: route.continue_() if hung else hung.append(route))
    answer = page.page.evaluate(_ASK, [["yard"], BASE_US + 7 * US, LIMIT_MS])
    assert abs(answer["found"][0] - BASE_US - 7 * US) < 2 * US
    assert len(answer["said"]) == 1


def test_video_goes_on_by_itself_when_the_server_answers_again(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 17 * US
    page.route("**/hls/**", lambda route: route.abort())
    page.open_at(us, recorders=DOOR)
    page.until(lambda: "the server does not answer. Trying again …" in page.message(DOOR))
    page.unroute("**/hls/**")
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)
    assert not page.is_told(DOOR)


@pytest.mark.parametrize("playing", [False, True], ids=["at rest", "while it plays"])
def test_the_moment_that_was_asked_for_is_shown_when_the_server_answers_again(
    page: PageDriver, footage: dict[str, Footage], playing: bool
) -> None:
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    page.until_painted(DOOR, lambda painted: painted == footage[DOOR].shown_at(us))
    if playing:
        page.press("k")
    page.route("**/hls/**", lambda route: route.abort())
    later_us = BASE_US + 3600 * US + 10 * US  # not in what is loaded
    page.page.evaluate(f"location.hash = 'at={iso(later_us)}'")
    page.until(lambda: "the server does not answer. Trying again …" in page.message(DOOR))
    page.unroute("**/hls/**")
    page.until(lambda: not page.is_told(DOOR))  # first: the picture before stays while there is a message
    shown_us = page.until_painted(DOOR, lambda painted: painted > 0)
    assert 0 <= shown_us - footage[DOOR].shown_at(later_us) < (10 * US if playing else 1)


@pytest.mark.parametrize("way", ["refused", "no answer"])
def test_a_picture_instead_of_video_that_failed_is_asked_for_again(
    page: PageDriver, footage: dict[str, Footage], way: str
) -> None:
    def fail(route: Any) -> None:
        if way == "refused":
            route.fulfill(status=503, json={"error": "busy", "message": "Too many pictures are asked for."})
        else:
            route.abort()

    page.route("**/static/vendor/**", lambda route: route.fulfill(status=404))
    us = BASE_US + 17 * US
    page.route("**/frame.jpg*", fail)
    page.open_at(us, recorders=DOOR)
    said = "Too many pictures are asked for." if way == "refused" else "The server does not answer."
    page.until(lambda: said in page.message(DOOR) and "Trying again …" in page.message(DOOR))
    page.unroute("**/frame.jpg*")
    assert page.until_painted(DOOR, lambda painted: painted > 0) == footage[DOOR].shown_at(us)
    assert "lacks hls.js" in page.message(DOOR) and "Trying again" not in page.message(DOOR)


def test_a_small_picture_that_failed_is_asked_for_again(page: PageDriver) -> None:
    refused: list[str] = []

    def refuse(route: Any) -> None:
        refused.append(route.request.url)
        route.fulfill(status=503, json={"error": "busy", "message": "Too many pictures are asked for."})

    view = BASE_US, BASE_US + 100 * US
    page.open_at(sum(view) // 2, span_s=100, recorders="yard")
    page.route("**/frame.jpg*", refuse)
    page.page.mouse.move(page.lane_x(BASE_US + 30 * US, *view), page.lane_y())
    page.until(lambda: refused)
    page.unroute("**/frame.jpg*")
    captured = page.until(lambda: page.page.locator("#hover-picture").get_attribute("data-captured"))
    assert abs(int(captured) - BASE_US - 30 * US) < 2 * US


def test_a_stretch_to_which_frames_may_still_come_is_shown_also_if_it_lies_in_the_past(
    page: PageDriver, footage: dict[str, Footage]
) -> None:
    """As one before all that is recorded, when recording has just begun."""

    def lead(route: Any) -> None:
        address = f"{route.request.url}&parts_us={BASE_US}&wholes=0"
        playlist = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-STREAM-INF:BANDWIDTH=2000000\n{address}\n"
        if "wholes=" in route.request.url:
            route.continue_()
        else:
            route.fulfill(body=playlist, content_type="application/vnd.apple.mpegurl")

    page.route("**/index.m3u8*", lead)
    us = BASE_US + 17 * US
    page.open_at(us, recorders=DOOR)
    assert page.painted(DOOR) == footage[DOOR].shown_at(us)
    page.open_at(BASE_US - 3600 * US, recorders=DOOR)
    assert "Nothing was recorded at" in page.message(DOOR)
