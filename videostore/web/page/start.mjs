// Begins the page. Says in words where a part of it does not come, which otherwise would leave its buttons dead, and loads
// it again.

const AGAIN_MS = 5000;
const LIMIT_MS = 30000;
const MOST_RELOADS = 2;
const RELOADS = "videostore-reloads"; // since the page has begun, in this tab
const HLS = "/vendor/hls.mjs";
const PARTS = "link[rel=modulepreload], link[rel=stylesheet], script[src]";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What `act` answers of what this tab keeps; undefined where a browser keeps nothing. */
function kept(act) {
  try {
    return act(sessionStorage);
  } catch {
    return undefined;
  }
}

/** Count a reload. Returns whether there may be one more; where they cannot be counted, there may not. */
function countReload(storage) {
  const reloads = Number(storage.getItem(RELOADS));
  storage.setItem(RELOADS, String(reloads + 1));
  return reloads < MOST_RELOADS;
}

/** What keeps the page from beginning, in words. */
function textOf(error) {
  if (error instanceof SyntaxError) {
    return `This page does not fit this browser: ${error.message}. Reload it; if that changes nothing, the browser is too old.`;
  }
  return `A part of the page did not come. It is asked for again every ${AGAIN_MS / 1000} s until it does.`;
}

/** Whether each part of the page can be had. Without hls.js it begins, too.
 *
 * Past what the browser keeps: WebKit keeps that a part was refused, and a reload does not ask for it again.
 */
async function areThere() {
  const urls = [...document.querySelectorAll(PARTS)].map(({ href, src }) => href || src);
  const answers = urls.map(async (url) => {
    const answer = await fetch(url, { cache: "reload", signal: AbortSignal.timeout(LIMIT_MS) });
    await answer.arrayBuffer();
    return answer.ok || (answer.status === 404 && url.endsWith(HLS));
  });
  return (await Promise.all(answers).catch(() => [false])).every(Boolean);
}

const loading = document.getElementById("loading");
try {
  const { started } = await import("./app.mjs");
  loading.hidden = true;
  await started;
  kept((storage) => storage.removeItem(RELOADS));
} catch (error) {
  console.error(error);
  const tell = (text) => Object.assign(loading, { role: "alert", className: "failed", textContent: text, hidden: false });
  tell(textOf(error));
  if (!(error instanceof SyntaxError)) {
    do await pause(AGAIN_MS);
    while (!(await areThere()));
    if (kept(countReload)) location.reload();
    else tell(`The page does not begin, though all of it is here: ${error.message}. Reload it to try again.`);
  }
}
