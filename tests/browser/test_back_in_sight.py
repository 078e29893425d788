"""A page that comes back from behind another tab: frames went on, and none was announced."""

from __future__ import annotations

from collections.abc import Callable

from tests.browser.driver import GRAB, PageDriver, read_shown
from tests.support.recording import US
from tests.support.web_server import WebServer

KEEP_ANNOUNCEMENTS = """
const announce = HTMLVideoElement.prototype.requestVideoFrameCallback;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
  const wait = (...what) => (window.isAway ? setTimeout(wait, 10, ...what) : call(...what));
  return announce.call(this, wait);
};"""
"""As a browser does that paints nothing of a page."""
LEAVE = """() => {
  window.isAway = true;
  Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
COME_BACK = f"""async () => {{
  delete document.hidden;
  document.dispatchEvent(new Event("visibilitychange"));
  const figure = document.querySelector("figure.screen");
  const seen = [];
  for (let at = performance.now(); performance.now() - at < 1000; ) {{
    seen.push(await ({GRAB})(figure));
    await new Promise(requestAnimationFrame);
  }}
  return seen;
}}"""
"""What is shown and written in the first second, in which nothing is announced."""


def test_the_time_that_is_read_first_is_that_of_the_frame_that_is_shown(
    open_page: Callable[..., PageDriver], live_server: WebServer
) -> None:
    page = open_page(live_server)
    page.page.add_init_script(KEEP_ANNOUNCEMENTS)
    page.open()
    page.until_painted("porch", lambda us: us > 0)
    page.until(lambda: page.text(".note").startswith("live"))
    page.page.evaluate(LEAVE)
    page.until_painted("porch", lambda us: us > page.stamp_us("porch") + 4 * US)
    seen = [read_shown(one) for one in page.page.evaluate(COME_BACK)]
    told = [one for one in seen if one.stamp]
    assert told, "the time is told again"
    # A frame may come while this one is read.
    assert [one for one in told if abs((one.painted_us or 0) - one.stamp_us) > US] == []
