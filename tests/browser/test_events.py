"""What is noted of a recording: events, why there is a gap, and what of it came damaged."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.browser.driver import PageDriver, iso
from tests.browser.footage import BASE_US, GAP_US, Footage
from tests.support.coding import coded_packets, record_coded
from tests.support.marked import marked
from tests.support.recording import LOGGER, US, capture_times, take_over
from tests.support.web_server import WebServer, run_web
from videostore.base.ranges import DAMAGE_REASONS
from videostore.storage.directory_lock import DirectoryLock
from videostore.storage.index import Index
from videostore.storage.notes import Event, Notes, RecordingGap
from videostore.storage.save_record import SaveJob, SaveOutcome, SaveStatus
from videostore.web.recorders import RecorderPlace

ID, DAMAGED = "noted", "damaged"
REASON = "the camera did not answer"
EVENTS = (
    Event(0, BASE_US + 12 * US, BASE_US + 10 * US, BASE_US + 14 * US, "door opened", keep=True),
    Event(0, BASE_US + 30 * US, BASE_US + 28 * US, BASE_US + 32 * US, "glass broke", file_name="noted_glass.mp4"),
)
VIEW = BASE_US - 35 * US, BASE_US + 165 * US


def run_apart(work: Callable[[], object]) -> None:
    """Do something with a loop of its own: that of the tests has the browser's."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()


def note(
    directory: Path,
    *,
    gap: RecordingGap | None = None,
    events: tuple[Event, ...] = (),
    gone: int = 0,
    outcomes: Mapping[str, SaveOutcome] = MappingProxyType({}),
) -> None:
    async def work() -> None:
        index = await Index.open(directory, LOGGER)
        for name, outcome in outcomes.items():
            job = SaveJob(name, ".", BASE_US, BASE_US + US, "", BASE_US, outcome.status, outcome.reason)
            await index.put_save(job)
        await index.close()
        notes = Notes(directory, LOGGER, read_only=False)
        await notes.load()
        if gap is not None:
            await notes.add_gap(gap)
        for one in events:
            await notes.add_event(one)
        if gone:
            await notes.remove_event(gone)
        await notes.close()

    run_apart(lambda: asyncio.run(work()))


@pytest.fixture(scope="module")
def noted(footage: dict[str, Footage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(shutil.copytree(footage["front-door"].directory, tmp_path_factory.mktemp("noted") / ID))
    outcomes = {"noted_glass.mp4": SaveOutcome(SaveStatus.DONE)}
    note(directory, gap=RecordingGap(*GAP_US, REASON), events=EVENTS, outcomes=outcomes)
    return directory


@pytest.fixture(scope="module")
def noted_server(noted: Path) -> Iterator[WebServer]:
    with run_web([RecorderPlace(ID, noted)]) as server:
        yield server


@pytest.fixture
def noted_page(open_page: Callable[..., PageDriver], noted_server: WebServer) -> PageDriver:
    page = open_page(noted_server)
    return page.open(at=iso(BASE_US + US), from_=iso(VIEW[0]), to=iso(VIEW[1]))


def words(page: PageDriver) -> str:
    return page.page.locator("#lanes-text").text_content() or ""


def test_events_are_on_the_timeline_and_one_key_apart(noted_page: PageDriver, noted: Path) -> None:
    page = noted_page
    page.until(lambda: "event 2025-10-26 02:10:12 CEST, door opened" in words(page))
    page.page.mouse.move(page.lane_x(EVENTS[1].at_us, *VIEW), page.lane_y())
    page.until(lambda: "glass broke" in page.text("#hover-text"))
    colours = page.page.evaluate(
        """([one, other]) => {
          const canvas = document.getElementById("lanes");
          const ratio = canvas.width / canvas.clientWidth;
          const box = canvas.getBoundingClientRect();
          const at = (x) => canvas.getContext("2d").getImageData((x - box.left) * ratio, 27 * ratio, 1, 1).data.join();
          return [at(one), at(other)];
        }""",
        [page.lane_x(one.at_us, *VIEW) for one in EVENTS],
    )
    assert len(set(colours)) == 2  # what is kept has another colour
    page.page.keyboard.press("]")
    page.until_said("door opened")
    page.settle()
    assert page.painted(ID) and abs(page.stamp_us(ID) - EVENTS[0].at_us) < US
    page.press("]")
    assert abs(page.stamp_us(ID) - EVENTS[1].at_us) < US
    page.press("[")
    assert abs(page.stamp_us(ID) - EVENTS[0].at_us) < US


def test_events_are_listed_and_shown_with_a_click_until_they_are_forgotten(noted_page: PageDriver, noted: Path) -> None:
    page = noted_page
    page.page.keyboard.press("e")
    rows = page.page.locator("#events-list li button:first-child")
    page.until(lambda: rows.count() == 2)
    assert "glass broke" in rows.nth(0).inner_text() and "saved as noted_glass.mp4" in rows.nth(0).inner_text()
    assert "door opened" in rows.nth(1).inner_text() and "kept" in rows.nth(1).inner_text()
    rows.nth(1).click()
    page.page.locator("#events").wait_for(state="hidden")
    page.settle()
    page.until_painted(ID, lambda us: abs(us - EVENTS[0].at_us) < US)
    other = Event(0, BASE_US + 20 * US, BASE_US + 19 * US, BASE_US + 21 * US, "by mistake")
    note(noted, events=(other,))
    page.page.keyboard.press("e")
    page.until(lambda: rows.count() == 3)
    page.page.keyboard.press("Escape")
    note(noted, gone=3)
    page.page.keyboard.press("e")
    page.until(lambda: rows.count() == 2)
    assert "by mistake" not in page.text("#events-list")


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (SaveOutcome(SaveStatus.FAILED, "The disk is full."), "not saved as noted_car.mp4: The disk is full"),
        (SaveOutcome(SaveStatus.CANCELLED), "not saved as noted_car.mp4: cancelled"),
        (SaveOutcome(SaveStatus.PENDING, "The disk hangs."), "still to be saved as noted_car.mp4: The disk hangs"),
        (None, "to be saved as noted_car.mp4; what became of that is not known"),
    ],
)
def test_what_became_of_the_clip_of_an_event_is_told(
    open_page: Callable[..., PageDriver],
    footage: dict[str, Footage],
    tmp_path: Path,
    outcome: SaveOutcome | None,
    words: str,
) -> None:
    directory = Path(shutil.copytree(footage["front-door"].directory, tmp_path / ID))
    event = Event(0, BASE_US + 12 * US, BASE_US + 10 * US, BASE_US + 14 * US, "a car", file_name="noted_car.mp4")
    note(directory, events=(event,), outcomes={"noted_car.mp4": outcome} if outcome else {})
    with run_web([RecorderPlace(ID, directory)]) as server:
        page = open_page(server)
        page.open(at=iso(BASE_US + US))
        page.page.keyboard.press("e")
        row = page.page.locator("#events-list li button:first-child small")
        page.until(lambda: row.count() == 1)
        assert row.inner_text() == words


def test_what_becomes_of_the_clip_of_an_event_is_told_while_the_list_is_shown(
    noted_page: PageDriver, noted: Path
) -> None:
    page = noted_page
    note(noted, outcomes={"noted_glass.mp4": SaveOutcome(SaveStatus.PENDING)})
    page.page.keyboard.press("e")
    row = page.page.locator("#events-list li button:first-child", has_text="glass broke")
    page.until(lambda: row.count() == 1 and "still to be saved as noted_glass.mp4" in row.inner_text())
    row.focus()
    note(noted, outcomes={"noted_glass.mp4": SaveOutcome(SaveStatus.FAILED, "The disk is full.")})
    page.until(lambda: "not saved as noted_glass.mp4: The disk is full" in row.inner_text())
    assert row.evaluate("(row) => row === document.activeElement")


def test_a_gap_is_told_with_its_reason(noted_page: PageDriver) -> None:
    page = noted_page
    page.until(lambda: f", {REASON}." in words(page))
    page.page.mouse.move(page.lane_x(sum(GAP_US) // 2, *VIEW), page.lane_y())
    page.until(lambda: f"not recorded for 30 s: {REASON}" in page.text("#hover-text"))
    page.type_time("02:10:50")
    page.until(lambda: f"Nothing was recorded at 02:10:50: {REASON}." in page.message(ID))
    assert page.painted(ID) is None
    page.type_time("02:10:38").press("k")
    page.until_said(f"Skipped 30 s without recording: {REASON}.")


@pytest.fixture(scope="module")
def damaged_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    directory = tmp_path_factory.mktemp("damage") / DAMAGED

    async def work() -> None:
        packets = marked(coded_packets(capture_times(20, BASE_US), "h264", gop=10), 60, 65)
        await record_coded(directory, packets, segment_seconds=10)
        await take_over(directory)

    run_apart(lambda: asyncio.run(work()))
    with run_web([RecorderPlace(DAMAGED, directory)]) as server:
        yield server


def test_damage_is_told(open_page: Callable[..., PageDriver], damaged_server: WebServer) -> None:
    page = open_page(damaged_server)
    [damage] = damaged_server.get(f"api/recorders/{DAMAGED}/timeline").json["damaged"]
    from_us, to_us = damage["from_us"], damage["to_us"]
    page.open_at((from_us + to_us) // 2, span_s=20)
    view = (from_us + to_us) // 2 - 10 * US, (from_us + to_us) // 2 + 10 * US
    page.until(lambda: f"damaged: {damage['reason']}" in page.screen(DAMAGED).locator(".note").inner_text())
    assert damage["reason"] in DAMAGE_REASONS.values() or damage["reason"] in DAMAGE_REASONS
    page.until(lambda: ": damaged 2025-10-26 " in words(page))
    page.page.mouse.move(page.lane_x((from_us + to_us) // 2, *view), page.lane_y())
    page.until(lambda: f"damaged: {damage['reason']}" in page.text("#hover-text"))
    page.page.keyboard.press("i")
    page.press("Shift+ArrowRight", "o")
    page.until(lambda: "with damaged pictures" in page.text("#clip-text"))
    page.type_time(iso(from_us - 2 * US))
    page.until(lambda: page.screen(DAMAGED).locator(".note").inner_text() == "")


def marked_events(directory: Path) -> list[tuple[str, int, int]]:
    async def read() -> list[tuple[str, int, int]]:
        notes = Notes(directory, LOGGER, read_only=True)
        await notes.load()
        return [(one.label, one.from_us, one.to_us) for one in notes.events]

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(read())).result()


def test_a_person_marks_a_moment_and_a_clip_and_removes_a_mark(
    open_page: Callable[..., PageDriver], footage: dict[str, Footage], tmp_path: Path
) -> None:
    yard = footage["yard"]
    directory = Path(shutil.copytree(yard.directory, tmp_path / "yard"))
    with run_web([RecorderPlace("yard", directory)]) as server:
        page = open_page(server)
        page.open_at(BASE_US + 20 * US)
        moment = yard.shown_at(BASE_US + 20 * US)
        page.page.keyboard.press("b")
        page.page.locator("#mark-dialog").wait_for()
        assert not page.page.locator("#mark-keep").is_visible()  # only a recorder keeps
        page.page.keyboard.type("a parcel")
        page.page.keyboard.press("Enter")
        page.page.locator("#mark-dialog").wait_for(state="hidden")
        assert marked_events(directory) == [("a parcel", moment - 15 * US, moment + 15 * US)]
        page.until(lambda: "a parcel" in words(page))
        page.page.keyboard.press("i")
        page.until(lambda: "in " in page.text("#clip-text"))
        page.press("Shift+ArrowRight", "o")
        page.until(lambda: "out " in page.text("#clip-text"))
        page.page.locator("#mark").click()
        page.page.locator("#mark-label").fill("a thief")
        page.page.locator("#mark-send").click()
        page.page.locator("#mark-dialog").wait_for(state="hidden")
        last = marked_events(directory)[-1]
        assert last[:2] == ("a thief", moment) and last[2] - 1 in yard.times_us
        page.page.keyboard.press("e")
        page.page.get_by_role("button", name="Remove the mark a parcel").click()
        page.page.get_by_role("button", name="Really remove the mark a parcel").click()
        page.until(lambda: page.page.locator("#events-list li").count() == 1)
        assert [label for label, *_ in marked_events(directory)] == ["a thief"]


def test_the_recorder_of_another_process_marks(open_page: Callable[..., PageDriver], live_server: WebServer) -> None:
    page = open_page(live_server)
    page.open()
    page.until_painted("porch", lambda us: us > 0)
    page.page.keyboard.press("b")
    page.page.locator("#mark-label").fill("a guest")
    page.page.locator("#mark-send").click()
    page.page.locator("#mark-dialog").wait_for(state="hidden")
    page.until(lambda: "a guest" in words(page))


def test_why_a_mark_is_refused_is_said(
    open_page: Callable[..., PageDriver], footage: dict[str, Footage], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(footage["yard"].directory, tmp_path / "yard"))
    recorder = DirectoryLock(directory)  # which does not answer
    try:
        with run_web([RecorderPlace("yard", directory)]) as server:
            page = open_page(server)
            page.open_at(BASE_US + 20 * US)
            page.page.keyboard.press("b")
            page.page.locator("#mark-label").fill("a guest")
            page.page.locator("#mark-send").click()
            page.until(lambda: "is being recorded to" in page.text("#mark-error"))
    finally:
        recorder.release()
    assert not marked_events(directory)
