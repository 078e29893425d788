"""Requests of a page that are kept for a while, and come when a test lets them."""

from __future__ import annotations

from typing import Any

from tests.browser.driver import PageDriver

_TURNS = "async () => { for (let n = 0; n < 20; n += 1) await new Promise((done) => setTimeout(done, 10)); }"


class Hold:
    """Requests of one kind that are kept, all or so many, and go on when they are let go."""

    def __init__(self, page: PageDriver, pattern: str, most: int | None = None) -> None:
        self._page = page
        self._most = most
        self._held: list[Any] = []
        self._ended: list[Any] = []
        self._is_over = False
        # From the beginning: the page may give up a request while it is kept.
        page.page.on("requestfinished", self._note)
        page.page.on("requestfailed", self._note)
        page.route(pattern, self._answer)

    def _answer(self, route: Any) -> None:
        if self._is_over or len(self._held) == self._most:
            route.continue_()
        else:
            self._held.append(route)

    def _note(self, request: Any) -> None:
        self._ended.append(request)

    def until_asked(self) -> None:
        """Wait until there is such a request."""
        self._page.until(lambda: self._held)

    def let_go(self) -> None:
        """Let all of them go on, and those that follow, and wait until the page has what was kept or gave it up."""
        self._is_over = True
        for route in self._held:
            route.continue_()
        self._page.until(lambda: all(route.request in self._ended for route in self._held))
        self._page.page.remove_listener("requestfinished", self._note)
        self._page.page.remove_listener("requestfailed", self._note)
        # What is done with it waits for nothing but for turns of the page.
        self._page.page.evaluate(_TURNS)
