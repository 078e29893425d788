"""The timeline of the page: click, scrub, zoom, calendar, marks of gaps, and all of it in words."""

from __future__ import annotations

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, GAP_US, LENGTH_S, Footage
from tests.support.recording import US

DOOR = "front-door"
SPAN_S = 200
MIDDLE_US = BASE_US + 65 * US
VIEW = (MIDDLE_US - SPAN_S * US // 2, MIDDLE_US + SPAN_S * US // 2)


def open_lanes(page: PageDriver, recorders: str = DOOR) -> PageDriver:
    """The page with the whole recording on its lanes, at the beginning of it."""
    return page.open(at=iso(BASE_US + US), from_=iso(VIEW[0]), to=iso(VIEW[1]), recorders=recorders)


def words(page: PageDriver) -> str:
    """The timeline in words."""
    return page.page.locator("#lanes-text").text_content() or ""


def pixel_us(page: PageDriver) -> float:
    """What a pixel of the lanes covers."""
    box = page.page.locator("#lanes").bounding_box()
    assert box
    return (VIEW[1] - VIEW[0]) / box["width"]


def test_a_click_plays_from_there(page: PageDriver, footage: dict[str, Footage]) -> None:
    open_lanes(page)
    us = BASE_US + 25 * US
    page.page.mouse.click(page.lane_x(us, *VIEW), page.lane_y())
    shown = page.until_painted(DOOR, lambda painted: painted > us - 2 * US)
    assert shown in footage[DOOR].times_us
    assert page.text("#play") == "Pause"


def test_scrubbing_shows_pictures_and_the_time_and_seeks_once(page: PageDriver, footage: dict[str, Footage]) -> None:
    open_lanes(page)
    mouse = page.page.mouse
    mouse.move(page.lane_x(BASE_US + 10 * US, *VIEW), page.lane_y())
    mouse.down()
    video = page.screen(DOOR).locator("video")
    video.evaluate("(one) => { one.seeks = 0; one.addEventListener('seeking', () => { one.seeks += 1; }); }")
    for second in (15, 20, 30):
        mouse.move(page.lane_x(BASE_US + second * US, *VIEW), page.lane_y())
        shown = page.until_shown(DOOR, lambda us, due=BASE_US + second * US: abs(us - due) < 2 * US)  # type: ignore[misc]
        assert shown in footage[DOOR].times_us
        assert f"02:10:{second:02d}" in page.text("#hover-text")
    assert video.evaluate("(one) => one.seeks") == 0
    us = BASE_US + 33 * US
    mouse.move(page.lane_x(us, *VIEW), page.lane_y())
    mouse.up()
    page.settle()
    page.until_shown(DOOR, lambda painted: abs(painted - us) < 2 * pixel_us(page) + 200_000)
    assert video.evaluate("(one) => one.seeks") > 0


def test_the_pointer_shows_a_small_picture(page: PageDriver) -> None:
    open_lanes(page)
    us = BASE_US + 90 * US
    page.page.mouse.move(page.lane_x(us, *VIEW), page.lane_y())
    captured = page.until(lambda: page.page.locator("#hover-picture").get_attribute("data-captured"))
    assert abs(int(captured) - us) < 2 * US
    assert "02:11:30" in page.text("#hover-text")


def test_the_pointer_on_a_gap_tells_it(page: PageDriver) -> None:
    open_lanes(page)
    page.page.mouse.move(page.lane_x(sum(GAP_US) // 2, *VIEW), page.lane_y())
    page.until(lambda: "not recorded for 30 s" in page.text("#hover-text"))
    page.page.locator("#hover-picture").wait_for(state="hidden")


def test_a_gap_is_hatched_also_where_nothing_is_noted_of_it(page: PageDriver) -> None:
    open_lanes(page)

    def colours(us: int) -> int:
        x = page.lane_x(us, *VIEW) - page.lane_x(VIEW[0], *VIEW)
        read = """(canvas, [x, y]) => {
          const data = canvas.getContext("2d").getImageData(x, y, 20, 20).data;
          return new Set(Array.from({ length: 400 }, (_, at) => data.slice(at * 4, at * 4 + 3).join())).size;
        }"""
        return int(page.page.locator("#lanes").evaluate(read, [round(x), 32]))

    page.until(lambda: colours(BASE_US + 20 * US) == 1)
    page.until(lambda: colours(BASE_US + 50 * US) > 1)
    assert colours(BASE_US - 20 * US) == 1  # before what is recorded is no gap


def test_the_wheel_zooms_around_the_pointer(page: PageDriver) -> None:
    open_lanes(page)
    us = BASE_US + 90 * US
    page.page.mouse.move(page.lane_x(us, *VIEW), page.lane_y())
    before = page.text("#span-text")
    for _ in range(8):
        page.page.mouse.wheel(0, -300)
    page.until(lambda: page.text("#span-text") != before)
    assert "02:11:30" in page.text("#hover-text")
    for _ in range(40):
        page.page.mouse.wheel(0, 600)
    page.until(lambda: page.text("#span-text").startswith("31 days"))


def test_keys_zoom_to_the_day_and_back(page: PageDriver) -> None:
    open_lanes(page)
    page.press("0")
    # The day on which the clocks are set back.
    page.until(lambda: page.text("#span-text").startswith("1 day 1 h from 2025-10-26 00:00:00 CEST"))
    for _ in range(20):
        page.press("+")
    page.until(lambda: page.text("#span-text").startswith("1 s "))


def test_the_strip_pans(page: PageDriver) -> None:
    open_lanes(page)
    before = page.text("#span-text")
    strip = page.page.locator("#overview")
    box = strip.bounding_box()
    assert box
    page.page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 8)
    page.until(lambda: page.text("#span-text") != before)
    assert page.text("#span-text").startswith("3 min 20 s from 2025-10-26 1")


def test_the_timeline_is_there_in_words(page: PageDriver) -> None:
    open_lanes(page)
    page.until(lambda: "recorded 2025-10-26 02:10:00 CEST to 02:10:40, 40 s" in words(page))
    lanes = page.page.locator("#lanes")
    page.until(lambda: (lanes.get_attribute("aria-valuetext") or "").startswith("2025-10-26 02:10:01"))


def test_the_hour_that_comes_twice_is_drawn_twice(page: PageDriver) -> None:
    open_lanes(page)
    labels = page.page.evaluate(
        """async ([from, to]) => {
          const { ticks } = await import("./static/ticks.mjs");
          const { Zone } = await import("./static/zone.mjs");
          return ticks(from, to, 900, new Zone("Europe/Berlin", 60)).map(({ label }) => label);
        }""",
        [BASE_US - 131 * 60 * US, BASE_US + 230 * 60 * US],
    )
    assert labels == ["2025-10-26", "01:00", "02:00", "02:00 CET", "03:00", "04:00", "05:00"]


def test_the_hour_that_is_left_out_is_not_drawn(page: PageDriver) -> None:
    open_lanes(page)
    labels = page.page.evaluate(
        """async () => {
          const { ticks } = await import("./static/ticks.mjs");
          const { Zone } = await import("./static/zone.mjs");
          const at = (hour) => Date.UTC(2025, 2, 30, hour, -10) * 1000;
          return ticks(at(0), at(4), 900, new Zone("Europe/Berlin", 60)).map(({ label }) => label);
        }"""
    )
    assert [label for label in labels if ":00" in label] == ["01:00", "03:00 CEST", "04:00", "05:00"]


def test_the_calendar_shows_the_days_and_opens_one(page: PageDriver, footage: dict[str, Footage]) -> None:
    page.open_at(BASE_US + (LENGTH_S - 1) * US, recorders=DOOR)
    page.press("c")
    page.until(lambda: "1 day with recordings" in page.text("#calendar-text"))
    assert page.text("#calendar-title") == "October 2025"
    day = page.page.locator("#days button[data-day='26']")
    assert day.get_attribute("data-recorded") == "some"
    assert page.page.locator("#days button[data-day='25']").get_attribute("data-recorded") == "none"
    assert "recorded 2 min" in (day.get_attribute("aria-label") or "")
    page.page.keyboard.press("ArrowUp")
    page.page.keyboard.press("ArrowDown")
    page.page.keyboard.press("Enter")
    page.page.locator("#calendar").wait_for(state="hidden")
    assert page.until_painted(DOOR, lambda us: us < BASE_US + 5 * US) == footage[DOOR].times_us[0]
    assert page.text("#span-text").startswith("1 day 1 h from 2025-10-26 00:00:00 CEST")
