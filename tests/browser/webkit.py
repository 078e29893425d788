"""WebKit, the engine of Safari, as GTK's MiniBrowser on a screen of its own, driven by WebDriver over HTTP."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.ports import own_port

DRIVER = shutil.which("WebKitWebDriver")
SCREEN = shutil.which("Xvfb")
_BROWSERS = "/usr/lib/*/webkit2gtk-4.*/MiniBrowser"
_WITHIN_S = 120.0
_CRASHED = ("page crash or hang", '"error":"timeout"')
"""Seen in one of five runs, with pages that it showed in all others: it does not leave them."""
_SCRIPT = """const done = arguments[arguments.length - 1];
const work = async () => JSON.stringify((await ({})) ?? null);
work().then((text) => done([text]), (error) => done([null, String(error)]));
"""


def browser_path() -> Path | None:
    """The browser of WebKitGTK; None where it, its driver or a screen for it is not installed."""
    if DRIVER is None or SCREEN is None:
        return None
    return next(iter(sorted(Path("/").glob(_BROWSERS[1:]))), None)


class WebKit:
    """One window of WebKit. `run_webkit` makes it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = ""
        self._browser = Path()
        self._crashed = False

    def begin(self, browser: Path) -> None:
        """Open a session and its window."""
        self._browser = browser
        options = {"binary": str(browser), "args": ["--automation"]}
        asked = {"capabilities": {"alwaysMatch": {"webkitgtk:browserOptions": options}}}
        self._session = f"/session/{self._ask('POST', '/session', asked)['sessionId']}"
        limit_ms = round(_WITHIN_S * 1000)
        self._ask("POST", f"{self._session}/timeouts", {"script": limit_ms, "pageLoad": limit_ms})

    def end(self) -> None:
        """Close the window."""
        self._ask("DELETE", self._session)

    def goto(self, url: str) -> None:
        """Load an address, also if it differs from the present one by its fragment alone."""
        try:
            self._ask("POST", f"{self._session}/url", {"url": "about:blank"})
        except AssertionError as error:
            if self._crashed or not any(told in str(error) for told in _CRASHED):
                raise
            print(f"WebKit has crashed or hung before it was to load {url}; it is begun again, once.")
            self._crashed = True
            self.begin(self._browser)
        self._ask("POST", f"{self._session}/url", {"url": url})

    def press(self, key: str) -> None:
        """Press a key."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        keys = {"type": "key", "id": "keys", "actions": actions}
        self._ask("POST", f"{self._session}/actions", {"actions": [keys]})

    def evaluate(self, expression: str) -> Any:
        """What an expression is worth, which JSON can express. A promise is awaited."""
        script = {"script": _SCRIPT.replace("{}", expression, 1), "args": []}
        text, *problem = self._ask("POST", f"{self._session}/execute/async", script)
        if problem:
            raise AssertionError(problem[0])
        return json.loads(text)

    def until(self, expression: str) -> Any:
        """Evaluate until that is true."""
        deadline = time.monotonic() + _WITHIN_S
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < deadline, (
                f"{expression}\nThe page says:\n{self.evaluate('document.body.innerText')}"
            )
            time.sleep(0.1)
        return found

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_WITHIN_S) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode(errors='replace')}") from error


@contextlib.contextmanager
def run_webkit(browser: Path, directory: Path) -> Iterator[WebKit]:
    """WebKit with a home of its own, in which it keeps what it likes."""
    with _screen() as display:
        port = own_port()
        hidden = {"WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"DISPLAY": display, "GDK_BACKEND": "x11", "HOME": str(directory), "NO_AT_BRIDGE": "1"}
        environment |= {"XDG_CACHE_HOME": str(directory), "XDG_DATA_HOME": str(directory)}
        command = [DRIVER or "", f"--port={port}", "--host=127.0.0.1"]
        log = (directory / "log").open("wb")
        with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
            try:
                webkit = WebKit(f"http://127.0.0.1:{port}")
                _wait_for(port)
                webkit.begin(browser)
                try:
                    yield webkit
                finally:
                    webkit.end()
            finally:
                process.terminate()
                process.wait(_WITHIN_S)


@contextlib.contextmanager
def _screen() -> Iterator[str]:
    """A screen without a monitor; it chooses its number itself."""
    reading, writing = os.pipe()
    command = [SCREEN or "", "-displayfd", str(writing), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL) as process:
        os.close(writing)
        try:
            with os.fdopen(reading) as told:
                yield f":{told.readline().strip()}"
        finally:
            process.terminate()
            process.wait(_WITHIN_S)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=_WITHIN_S).close()
        except OSError:
            assert time.monotonic() < deadline, "the driver does not answer"
            time.sleep(0.05)
        else:
            return
