"""The page and its files."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from videostore.web.answers import errors_as_answers
from videostore.web.page_files import PageRoutes


def client(directory: Path) -> TestClient[web.Request, web.Application]:
    app = web.Application(middlewares=[errors_as_answers])
    app.add_routes(PageRoutes(directory).routes())
    return TestClient(TestServer(app))


async def test_the_page_and_its_files_are_served(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "index.html").write_text("<p>é", encoding="utf-8")
    (tmp_path / "js" / "lane.mjs").write_text("1", encoding="utf-8")
    async with client(tmp_path) as page:
        index = await page.get("/")
        assert (index.status, index.content_type, await index.text()) == (200, "text/html", "<p>é")
        assert (await page.get("/static/js/lane.mjs")).content_type == "text/javascript"


@pytest.mark.parametrize("path", ["/static/../secret", "/static/%2e%2e/secret", "/static//etc/passwd", "/static/x"])
async def test_nothing_else_is(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("p", encoding="utf-8")
    async with client(tmp_path / "page") as page:
        assert (await page.get(path)).status == 404


async def test_without_a_page_the_answer_says_so(tmp_path: Path) -> None:
    async with client(tmp_path) as page:
        answer = await page.get("/")
        assert (answer.status, (await answer.json())["error"]) == (404, "page-missing")
