"""Chromium, the recordings and the server, once for all tests of the page; a page of its own for each test."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driver import PageDriver
from tests.browser.footage import ZONE, Footage, being_recorded, make_all
from tests.support.web_server import WebServer, run_web
from videostore.web.recorders import RecorderPlace

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium of the system, without a window."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        root = ["--no-sandbox"] if os.geteuid() == 0 else []
        flags = ["--disable-gpu", "--disable-dev-shm-usage", "--autoplay-policy=no-user-gesture-required"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*root, *flags])
        yield browser
        browser.close()


@pytest.fixture(scope="session", autouse=True)
def recorder_zone() -> Iterator[None]:
    """The recorder's zone, which is not the browser's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", ZONE)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Footage]:
    """The recordings, by the id of their recorder."""
    return make_all(tmp_path_factory.mktemp("footage"))


@pytest.fixture(scope="session")
def upload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The upload path of the front door."""
    return tmp_path_factory.mktemp("upload")


@pytest.fixture(scope="session")
def server(footage: dict[str, Footage], upload: Path) -> Iterator[WebServer]:
    """A server over the recordings."""
    places = [
        RecorderPlace(one.directory.name, one.directory, upload if id == "front-door" else None)
        for id, one in footage.items()
    ]
    with run_web(places) as server:
        yield server


@pytest.fixture(scope="session")
def live_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A server over a directory that is recorded to."""
    with (
        being_recorded(tmp_path_factory.mktemp("live")) as directory,
        run_web([RecorderPlace("porch", directory)]) as server,
    ):
        yield server


@pytest.fixture(scope="session")
def seldom_keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """A server over a directory to which a stream with few keyframes is recorded."""
    with (
        being_recorded(tmp_path_factory.mktemp("seldom"), gop=40) as directory,
        run_web([RecorderPlace("porch", directory)]) as server,
    ):
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., PageDriver]]:
    """Makes pages over a server; each setting is one of a browser's context. No page may have had an error."""
    made: list[PageDriver] = []
    contexts = []

    def make(server: WebServer | str, **settings: Any) -> PageDriver:
        size = {"width": 1280, "height": 860}
        context = browser.new_context(**{"viewport": size, "timezone_id": "America/New_York", **settings})
        contexts.append(context)
        url = server if isinstance(server, str) else server.url
        made.append(PageDriver(context.new_page(), url))
        return made[-1]

    yield make
    for page in made:
        page.close()
    for context in contexts:
        context.close()
    assert [problem for page in made for problem in page.problems] == []


@pytest.fixture
def page(open_page: Callable[..., PageDriver], server: WebServer) -> PageDriver:
    """A page over the recordings."""
    return open_page(server)
