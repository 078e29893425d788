"""Marks, downloads, pictures and links of the page: each frame of what is downloaded is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from PIL import Image

from scripts.fakes.painted_camera import read_clip, read_paint
from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, GAP_US, Footage
from tests.support.recording import US
from tests.support.web_server import WebServer

DOOR = "front-door"


def frames_of(path: Path) -> list[int]:
    """The capture times of the frames that a clip shows."""
    return [frame.captured_us if frame else 0 for _, frame in read_clip(path)]


def test_a_clip_holds_the_frames_between_its_marks(
    page: PageDriver, footage: dict[str, Footage], tmp_path: Path
) -> None:
    door = footage[DOOR]
    first, last = door.shown_at(BASE_US + 12_300_000), door.shown_at(BASE_US + 17_700_000)
    page.open_at(first, recorders=DOOR).press("i")
    page.type_time("02:10:17.823").press("o")
    page.until(lambda: "s ≈" in page.text("#clip-text"))
    path = page.downloaded(lambda: page.page.keyboard.press("d"), tmp_path)
    assert frames_of(path) == [us for us in door.times_us if first <= us <= last]
    page.until(lambda: f"{path.name}, " in page.text("#export-text") and "downloads" in page.text("#export-text"))


def test_a_clip_over_a_gap_says_what_it_lacks(page: PageDriver, footage: dict[str, Footage], tmp_path: Path) -> None:
    marks = GAP_US[0] - 3 * US, GAP_US[1] + 3 * US
    page.open_at(marks[0], recorders=DOOR, in_=iso(marks[0]), out=iso(marks[1]))
    page.until(lambda: re.search(r"without (29|30|31) s that was not recorded", page.text("#clip-text")))
    path = page.downloaded(lambda: page.page.locator("#download").click(), tmp_path)
    assert frames_of(path) == [us for us in footage[DOOR].times_us if marks[0] <= us < marks[1]]


def test_marks_on_the_wrong_side_begin_a_new_clip(page: PageDriver) -> None:
    page.open_at(BASE_US + 20 * US, recorders=DOOR).press("o", "ArrowRight", "i")
    assert page.text("#clip-text").startswith("in 02:10:21")
    assert page.page.locator("#download").is_disabled()
    page.page.locator("#clear").click()
    assert page.text("#clip-text") == ""


def test_a_mark_is_dragged(page: PageDriver) -> None:
    view = BASE_US - 35 * US, BASE_US + 165 * US
    marks = BASE_US + 10 * US, BASE_US + 20 * US
    page.open(
        at=iso(marks[0]), from_=iso(view[0]), to=iso(view[1]), in_=iso(marks[0]), out=iso(marks[1]), recorders=DOOR
    )
    page.page.mouse.move(page.lane_x(marks[1], *view), page.lane_y())
    page.page.mouse.down()
    page.page.mouse.move(page.lane_x(marks[1] + 10 * US, *view), page.lane_y())
    page.page.mouse.up()
    page.settle()
    page.until(lambda: "out 02:10:30" in page.text("#clip-text") or "out 02:10:29" in page.text("#clip-text"))


def test_the_picture_of_the_moment_is_the_shown_frame(page: PageDriver, tmp_path: Path) -> None:
    page.open_at(BASE_US + 23_456_000, recorders=DOOR)
    shown = page.painted(DOOR)
    path = page.downloaded(lambda: page.page.keyboard.press("s"), tmp_path)
    frame = read_paint(numpy.asarray(Image.open(path).convert("L")))
    assert frame and frame.captured_us == shown
    assert path.suffix == ".jpg"


def test_a_link_opens_the_same_picture_for_another_person(
    page: PageDriver, open_page: Callable[..., PageDriver], server: WebServer
) -> None:
    page.open_at(BASE_US + 3 * US, recorders=DOOR).type_time("02:10:31.5").press("i")
    page.page.keyboard.press("y")
    link = page.page.locator("#link-text").input_value()
    other = open_page(server)
    other.page.goto(link)
    other.page.wait_for_selector("figure.screen")
    other.settle()
    assert other.painted(DOOR) == page.painted(DOOR)
    assert other.text("#clip-text").split(" · ")[0] == page.text("#clip-text").split(" · ")[0]


def test_a_clip_is_saved_where_there_is_an_upload_path(
    page: PageDriver, footage: dict[str, Footage], upload: Path
) -> None:
    marks = BASE_US + 10 * US, BASE_US + 13 * US
    words = {"in_": iso(marks[0]), "out": iso(marks[1])}
    page.open_at(marks[0], 300, recorders="yard", **words)
    assert not page.page.locator("#save").is_visible()
    page.press("1")
    page.page.keyboard.press("u")
    page.page.locator("#metadata").fill("from the page")
    page.page.locator("#tags").fill("test, door")
    page.page.locator("#save-form button[type=submit]").click()
    page.until(lambda: "is in the upload path" in page.text("#export-text"))
    [path] = upload.rglob("*.mp4")
    assert set(path.relative_to(upload).parent.parts) == {"tag=door", "tag=test"}
    assert re.search("from.the.page", path.name)
    assert frames_of(path) == [us for us in footage[DOOR].times_us if marks[0] <= us < marks[1]]


def test_a_save_that_is_refused_says_why(page: PageDriver) -> None:
    marks = BASE_US + 10 * US, BASE_US + 13 * US
    page.open_at(marks[0], recorders=DOOR, in_=iso(marks[0]), out=iso(marks[1]))
    page.page.keyboard.press("u")
    page.page.locator("#tags").fill("../up")
    page.page.locator("#save-form button[type=submit]").click()
    page.until(lambda: page.text("#save-error") != "")
    assert "tag" in page.text("#save-error")


_DOWNLOAD = """async ([way, size, expected]) => {
  const { download } = await import("./static/download.mjs");
  const content = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(600));
      if (way === "broken") setTimeout(() => controller.error(new TypeError("network error")), 100);
      else controller.close();
    },
  });
  const handed = [];
  const take = (event) => {
    handed.push(event.target.getAttribute("href"));
    event.preventDefault();
  };
  document.addEventListener("click", take);
  const response = new Response(content, { headers: { "Content-Length": String(size) } });
  const asked = [];
  const api = {
    get: async (url) => asked.push([url, handed.length]),
    response: async () => response,
    unlocked: (_, ask) => ask(),
  };
  const options = { name: "clip.mp4", expected, estimateUrl: "estimate", tell() {} };
  const told = await download(api, "clip", options).catch((error) => error.message);
  document.removeEventListener("click", take);
  return { told, handed: handed.length, asked };
}"""
"""Returns what is told of a download, how many files the browser was given, and what was asked before that."""


@pytest.mark.parametrize("way", ["broken", "closed"])
def test_a_download_that_is_cut_off_is_told_and_gives_no_file(page: PageDriver, way: str) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    found = page.page.evaluate(_DOWNLOAD, [way, 50_000, 50_000])
    assert found["handed"] == 0
    assert found["told"].startswith("The connection to the server broke after ")
    assert page.page.evaluate(_DOWNLOAD, ["closed", 600, 600])["handed"] == 1


def test_a_session_is_opened_before_a_download_is_left_to_the_browser(page: PageDriver) -> None:
    page.open_at(BASE_US + 5 * US, recorders=DOOR)
    found = page.page.evaluate(_DOWNLOAD, ["closed", 600, 2_000_000_000])
    assert (found["asked"], found["handed"]) == ([["estimate", 0]], 1)
