// Begins the page. Says in words where a part of it does not come, which otherwise would leave its buttons dead, and loads
// it again.

const AGAIN_MS = 5000;
const LIMIT_MS = 30000;
const MOST_RELOADS = 2;
const RELOADS = "videostore-reloads"; // since the page has begun, in this tab
const HLS = "/vendor/hls.mjs";
const STYLES = "link[rel=stylesheet]";
const PARTS = `link[rel=modulepreload], ${STYLES}, script[src]`;

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

/** Whether all of these can be had. Without hls.js the page begins, too.
 *
 * Past what the browser keeps: WebKit keeps that a part was refused, and a reload does not ask for it again.
 */
async function areThere(urls) {
  const answers = urls.map(async (url) => {
    const answer = await fetch(url, { cache: "reload", signal: AbortSignal.timeout(LIMIT_MS) });
    await answer.arrayBuffer();
    return answer.ok || (answer.status === 404 && url.endsWith(HLS));
  });
  return (await Promise.all(answers).catch(() => [false])).every(Boolean);
}

/** Whether a style sheet has come, to its end. */
function hasCome({ href }) {
  const [, name] = /(\w+)\.css$/.exec(new URL(href).pathname);
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}-came`) !== "";
}

/** Ask once more for a style sheet. Returns its element by then. */
async function renewed(link) {
  if (!(await areThere([link.href]))) return link;
  const next = link.cloneNode();
  const isDone = new Promise((resolve) => Object.assign(next, { onload: resolve, onerror: resolve }));
  link.replaceWith(next);
  await Promise.race([isDone, pause(LIMIT_MS)]);
  return next;
}

/** Say it where a style sheet does not come, and ask for it until it does. */
async function keepStyled() {
  if (document.readyState !== "complete") await new Promise((resolve) => window.addEventListener("load", resolve));
  for (let link of document.querySelectorAll(STYLES)) {
    while (!hasCome(link)) {
      document.getElementById("unstyled").hidden = false;
      await pause(AGAIN_MS);
      link = await renewed(link);
    }
  }
  document.getElementById("unstyled").hidden = true;
}

keepStyled();
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
    while (!(await areThere([...document.querySelectorAll(PARTS)].map(({ href, src }) => href || src))));
    if (kept(countReload)) location.reload();
    else tell(`The page does not begin, though all of it is here: ${error.message}. Reload it to try again.`);
  }
}
