"""What a browser is told with every answer."""

from __future__ import annotations

from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from videostore.web.headers import CONTENT_SECURITY_POLICY, FIXED, add_headers


def directives() -> dict[str, list[str]]:
    return {name: sources for name, *sources in (one.split(" ") for one in CONTENT_SECURITY_POLICY.split("; "))}


def test_no_script_runs_but_files_of_this_server_and_nothing_comes_from_elsewhere() -> None:
    policy = directives()
    assert (
        policy["default-src"] == ["'none'"] and policy["script-src"] == ["'self'"] and policy["style-src"] == ["'self'"]
    )
    assert policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
    assert {source for sources in policy.values() for source in sources} <= {"'none'", "'self'", "blob:", "data:"}


async def test_they_take_the_place_of_others_but_an_answer_may_say_how_long_it_is_kept() -> None:
    request = make_mocked_request("GET", "/")
    response = web.Response(
        headers={"Server": "x", "Cache-Control": "private, max-age=60", "X-Frame-Options": "ALLOWALL"}
    )
    await add_headers(request, response)
    assert {name: response.headers[name] for name in FIXED} == FIXED
    assert response.headers["Cache-Control"] == "private, max-age=60"
    plain = web.Response()
    await add_headers(request, plain)
    assert plain.headers["Cache-Control"] == "no-store"
