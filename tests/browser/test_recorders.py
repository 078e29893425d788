"""Several recorders on one playhead."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.browser.driver import PageDriver
from tests.browser.footage import BASE_US, GAP_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

DOOR, YARD = "front-door", "yard"
BOTH = f"{DOOR},{YARD}"
VIEW = (BASE_US - 145 * US, BASE_US + 155 * US)
OpenPage = Callable[..., PageDriver]


def test_both_show_the_same_moment(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.open_at(BASE_US + 11 * US, recorders=BOTH)
    us = BASE_US - 123_457 + 22 * US
    page.type_time("02:10:22")
    for id in (DOOR, YARD):
        assert page.painted(id) == footage[id].shown_at(us)
        assert page.stamp_us(id) == footage[id].shown_at(us) // 1000 * 1000


def test_both_play_together(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=BOTH)
    page.press("k")
    page.until_painted(DOOR, lambda us: us > BASE_US + 12 * US)
    page.press("k")
    door, yard = page.painted(DOOR), page.painted(YARD)
    assert door and yard
    # Half a second: on a busy machine each player drops frames of its own.
    assert abs(door - yard) < 1.5 * US


def test_a_gap_of_one_is_shown_by_it_while_the_other_plays(page: PageDriver) -> None:
    page.open_at(GAP_US[0] - 2 * US, recorders=BOTH)
    page.press("k")
    page.until_painted(YARD, lambda us: us > GAP_US[0] + 3 * US)
    assert page.painted(DOOR) is None
    assert "Nothing was recorded" in page.message(DOOR)
    page.page.locator("#speed").select_option("8")
    shown = page.until_painted(DOOR, lambda us: us >= GAP_US[1])
    page.press("k")
    yard = page.painted(YARD)
    assert yard and abs(yard - shown) < 20 * US


def test_one_is_shown_large_and_all_again(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=BOTH)
    page.press("3")
    assert page.page.locator("figure.screen").count() == 1
    assert page.painted(YARD)
    page.press("a")
    page.until(lambda: page.page.locator("figure.screen").count() == 3)
    page.page.locator("#recorders button[data-recorder=gate]").click()
    page.until(lambda: page.page.locator("figure.screen").count() == 2)
    page.until(lambda: page.painted(DOOR))


def test_six_have_room_and_those_that_do_not_record_are_told(
    open_page: OpenPage, footage: dict[str, Footage], tmp_path: Path
) -> None:
    places = [RecorderPlace(f"camera {number}", footage[YARD].directory) for number in (10, 2, 3, 4, 5)]
    places.append(RecorderPlace("camera 1", tmp_path))
    with run_web(places) as server:
        page = open_page(server, viewport={"width": 1280, "height": 800}).open_at(BASE_US + 5 * US)
        assert page.page.locator("#recorders button").all_inner_texts()[-1] == "camera 10"
        for figure in page.page.locator("figure.screen").all():
            picture, stamp = figure.bounding_box(), figure.locator(".stamp").bounding_box()
            assert picture and stamp
            assert picture["height"] > 180 and stamp["height"] < picture["height"] / 4
        page.page.mouse.click(page.lane_x(BASE_US + 20 * US, *VIEW), page.lane_y(5, of=6))
        page.until(lambda: page.screen("camera-10").get_attribute("data-focused") == "true")

        def told(selector: str) -> str:
            # What a module said is believed for 15 s.
            for number, one in enumerate(server.recorders):
                one.tell({"frames_per_second": 10.0, "recording": number > 0, "reason": "" if number else "it is off"})
            return page.text(selector)

        page.until(lambda: "5 of 6 recording, not camera 1: it is off" in told("#summary"))
        page.press("End")
        page.until(lambda: "Nothing is being recorded at present: it is off." in told("#screens"))


def test_what_does_not_record_is_not_shown_as_live_beside_what_does(
    open_page: OpenPage, live_server: WebServer, footage: dict[str, Footage]
) -> None:
    directory = next(iter(live_server.recorders)).place.directory
    places = [RecorderPlace("porch", directory), RecorderPlace("attic", footage[YARD].directory)]
    with run_web(places) as server:
        page = open_page(server).open()
        page.until_painted("porch", lambda us: us > BASE_US + 3600 * US)
        page.until(lambda: page.message("attic").startswith("Nothing is being recorded at present."))
        assert page.painted("attic") is None
        page.until(lambda: page.screen("porch").get_attribute("data-focused") == "true")
        page.press("j")
        assert page.until_painted("porch", lambda us: us > BASE_US + 3600 * US)
        page.press("End")
        page.screen("attic").get_by_role("button", name="Newest").click()
        page.settle()
        assert page.until_painted("attic", lambda us: us > footage[YARD].times_us[-1] - 2 * US)
        for _ in range(2):  # the page looks again at what is recorded, and stays
            with page.page.expect_response("**/api/recorders"):
                pass
        assert page.text("#live") == "Live"
        assert page.page.locator("#live").get_attribute("aria-pressed") == "false"
        assert page.painted("attic") is not None


def test_the_keys_are_for_what_begins_to_be_shown_live(
    open_page: OpenPage, live_server: WebServer, footage: dict[str, Footage]
) -> None:
    directory = next(iter(live_server.recorders)).place.directory
    places = [RecorderPlace("porch", directory), RecorderPlace("attic", footage[YARD].directory)]
    empty = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n"
    with run_web(places) as server:
        page = open_page(server)
        page.route(
            "**/index.m3u8*", lambda route: route.fulfill(body=empty, content_type="application/vnd.apple.mpegurl")
        )
        page.page.goto(f"{page.url}#live=1")
        page.until(lambda: page.message("porch").startswith("Nothing is being recorded at present."))
        assert page.screen("attic").get_attribute("data-focused") == "true"
        page.unroute("**/index.m3u8*")
        page.until(lambda: page.screen("porch").get_attribute("data-focused") == "true")
        assert page.until_painted("porch", lambda us: us > BASE_US + 3600 * US)


def test_the_clicked_picture_is_that_of_the_keys(page: PageDriver, footage: dict[str, Footage]) -> None:
    us = BASE_US + 9 * US
    page.open_at(us, recorders=BOTH)
    page.screen(YARD).click(position={"x": 100, "y": 150})
    page.press(".")
    assert page.painted(YARD) == footage[YARD].after(footage[YARD].shown_at(us))


def widths(page: PageDriver, selector: str) -> tuple[int, int]:
    """How wide what an element holds is, and how wide it is itself."""
    found = page.page.locator(selector).evaluate("(one) => [one.scrollWidth, one.clientWidth]")
    return found[0], found[1]


def test_long_names_and_labels_stay_within_the_page(
    open_page: OpenPage, footage: dict[str, Footage], tmp_path: Path
) -> None:
    name, label = "n" * 180, "l" * 200
    directory = tmp_path / "long"
    shutil.copytree(footage[YARD].directory, directory)
    with run_web([RecorderPlace(name, directory)]) as server:
        (known,) = server.get("api/recorders").json["recorders"]
        body = json.dumps({"at_us": BASE_US + 5 * US, "before_s": 0, "after_s": 0, "label": label}).encode()
        path = f"api/recorders/{known['id']}/events"
        assert server.get(path, {"Content-Type": "application/json"}, "POST", body).status == 201
        page = open_page(server).open_at(BASE_US + 5 * US)
        content, width = widths(page, "html")
        assert content <= width
        page.press("e")
        page.page.locator("#events-list button").first.wait_for()
        content, width = widths(page, "#events")
        assert content <= width


def test_a_page_without_recorders_says_so_whatever_is_pressed(open_page: OpenPage) -> None:
    with run_web([]) as server:
        page = open_page(server)
        page.page.goto(server.url)
        page.until(lambda: "There are no recorders here." in page.text("#recorders"))
        for key in "kjlcetibsdhu0,.[]":
            page.page.keyboard.press(key)
            page.page.wait_for_timeout(50)
            if key in "ce":
                page.until_said("There are no recorders here.")
            page.page.keyboard.press("Escape")


def test_a_recorder_that_is_there_no_more_is_told(open_page: OpenPage, footage: dict[str, Footage]) -> None:
    with run_web([RecorderPlace(id, footage[id].directory) for id in (DOOR, YARD)]) as server:
        page = open_page(server).open_at(BASE_US + 5 * US)
        page.press("k")
        for name in (DOOR, YARD):
            [gone] = [one for one in server.recorders if one.name == name]
            server.run(server.recorders.remove(gone))
            page.until_said(f"{name}: no longer among the recorders here.")
        page.until(lambda: page.page.locator("figure.screen").count() == 0)
        assert page.text("#play") == "Play"
        for key in ("i", "o", ".", "k", "j", "l", "e"):  # without an error of the page
            page.page.keyboard.press(key)
