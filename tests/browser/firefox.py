"""Firefox without a window, driven by WebDriver BiDi, which it speaks itself: no driver has to be installed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("firefox-esr") or shutil.which("firefox")
_WITHIN_S = 120.0
_LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)\n")
_PREFERENCES = {
    "media.autoplay.default": 0,
    "media.autoplay.blocking_policy": 0,
    "media.hardware-video-decoding.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.aboutwelcome.enabled": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "app.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "http://127.0.0.1:9",
    "remote.prefs.recommended": True,
}


class Firefox:
    """One tab of Firefox. `run_firefox` makes it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop = loop
        self._socket = socket
        self._numbers = itertools.count(1)
        self._tab = ""

    def begin(self) -> None:
        """Open a session and its tab."""
        self._ask("session.new", capabilities={})
        self._tab = self._ask("browsingContext.getTree", maxDepth=0)["contexts"][0]["context"]

    def goto(self, url: str) -> None:
        """Load an address, also if it differs from the present one by its fragment alone."""
        self._ask("browsingContext.navigate", context=self._tab, url="about:blank", wait="complete")
        self._ask("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def press(self, key: str) -> None:
        """Press a key."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keys = {"type": "key", "id": "keys", "actions": actions}
        self._ask("input.performActions", context=self._tab, actions=[keys])

    def evaluate(self, expression: str) -> Any:
        """What an expression is worth, which JSON can express. A promise is awaited."""
        text = f"(async () => JSON.stringify((await ({expression})) ?? null))()"
        found = self._ask("script.evaluate", expression=text, target={"context": self._tab}, awaitPromise=True)
        if found["type"] != "success":
            raise AssertionError(found["exceptionDetails"]["text"])
        return json.loads(found["result"]["value"])

    def until(self, expression: str) -> Any:
        """Evaluate until that is true."""
        deadline = time.monotonic() + _WITHIN_S
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < deadline, (
                f"{expression}\nThe page says:\n{self.evaluate('document.body.innerText')}"
            )
            time.sleep(0.1)
        return found

    def _ask(self, method: str, **params: Any) -> dict[str, Any]:
        return asyncio.run_coroutine_threadsafe(self._send(method, params), self._loop).result(_WITHIN_S)

    async def _send(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            answer = json.loads(message.data)
            if answer.get("id") == number:
                if answer["type"] != "success":
                    raise AssertionError(f"{method}: {answer.get('message')}")
                result: dict[str, Any] = answer["result"]
                return result
        raise AssertionError("Firefox has ended")


@contextlib.contextmanager
def run_firefox(directory: Path) -> Iterator[Firefox]:
    """Firefox with a profile of its own."""
    profile = directory / "profile"
    profile.mkdir()
    lines = [f'user_pref("{name}", {json.dumps(value)});\n' for name, value in _PREFERENCES.items()]
    (profile / "user.js").write_text("".join(lines), encoding="utf-8")
    command = [PROGRAM or "", "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    told = directory / "told"
    with told.open("wb") as log, subprocess.Popen([*command, "about:blank"], stdout=log, stderr=log) as process:
        try:
            url = _until_listening(told, process)
            firefox, session = asyncio.run_coroutine_threadsafe(_connect(loop, url), loop).result(_WITHIN_S)
            firefox.begin()
            yield firefox
            asyncio.run_coroutine_threadsafe(session.close(), loop).result(_WITHIN_S)
        finally:
            process.terminate()
            process.wait(_WITHIN_S)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(_WITHIN_S)


def _until_listening(told: Path, process: subprocess.Popen[bytes]) -> str:
    """Where it listens, which it tells when it has begun."""
    deadline = time.monotonic() + _WITHIN_S
    while not (found := _LISTENING.search(told.read_text(encoding="utf-8", errors="replace"))):
        assert process.poll() is None and time.monotonic() < deadline, "Firefox does not listen"
        time.sleep(0.05)
    return found[1]


async def _connect(loop: asyncio.AbstractEventLoop, url: str) -> tuple[Firefox, aiohttp.ClientSession]:
    session = aiohttp.ClientSession()
    return Firefox(loop, await session.ws_connect(f"{url}/session", max_msg_size=0)), session
