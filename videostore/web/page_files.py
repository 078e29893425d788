"""Page files: serves the page, which is part of the package."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from videostore.base.errors import RequestError
from videostore.base.tasks import off_loop

PAGE = Path(__file__).with_name("page")
_INDEX = "index.html"
_TYPES = {".mjs": "text/javascript", ".js": "text/javascript", ".css": "text/css", ".html": "text/html"}


class PageRoutes:
    """Answers the requests for the page and its files. It knows them from the start: no address leads elsewhere."""

    def __init__(self, directory: Path = PAGE) -> None:
        self._files = {str(path.relative_to(directory)): path for path in _files(directory)}

    def routes(self) -> list[web.RouteDef]:
        """What it answers."""
        return [web.get("/", self.index), web.get("/static/{name:.+}", self.file)]

    async def index(self, request: web.Request) -> web.StreamResponse:
        """The page."""
        if _INDEX not in self._files:
            raise RequestError("page-missing")
        return await self._answer(_INDEX)

    async def file(self, request: web.Request) -> web.StreamResponse:
        """A file of the page."""
        name = request.match_info["name"]
        if name not in self._files:
            raise RequestError("no-such-page")
        return await self._answer(name)

    async def _answer(self, name: str) -> web.StreamResponse:
        path = self._files[name]
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        text = kind.startswith("text/")
        body = await off_loop(path.read_bytes)
        return web.Response(
            body=body,
            content_type=kind,
            charset="utf-8" if text else None,
            headers={"Cache-Control": "no-cache"},
        )


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file())
