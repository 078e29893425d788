// Begins the page. Says in words where a part of it does not come, which otherwise would leave its buttons dead, and loads
// it again.

const AGAIN_MS = 5000;
const LIMIT_MS = 30000;
const MOST_RELOADS = 2;
const RELOADS = "videostore-reloads"; // since the page has begun, in this tab
const PARTS = "link[rel=modulepreload], link[rel=stylesheet], script[src]";

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** What keeps the page from beginning, in words. */
function textOf(error) {
  if (error instanceof SyntaxError) {
    return `This page does not fit this browser: ${error.message}. Reload it; if that changes nothing, the browser is too old.`;
  }
  return `A part of the page did not come. It is asked for again every ${AGAIN_MS / 1000} s until it does.`;
}

/** Whether each part of the page can be had, or is not there to be had.
 *
 * Past what the browser keeps: WebKit keeps that a part was refused, and a reload does not ask for it again.
 */
async function areThere() {
  const answers = [...document.querySelectorAll(PARTS)].map(async ({ href, src }) => {
    const answer = await fetch(href || src, { cache: "reload", signal: AbortSignal.timeout(LIMIT_MS) });
    await answer.arrayBuffer();
    return answer.ok || answer.status === 404;
  });
  return (await Promise.all(answers).catch(() => [false])).every(Boolean);
}

const loading = document.getElementById("loading");
try {
  const { started } = await import("./app.mjs");
  loading.hidden = true;
  await started;
  sessionStorage.removeItem(RELOADS);
} catch (error) {
  console.error(error);
  const tell = (text) => Object.assign(loading, { role: "alert", className: "failed", textContent: text, hidden: false });
  tell(textOf(error));
  if (!(error instanceof SyntaxError)) {
    do await pause(AGAIN_MS);
    while (!(await areThere()));
    const reloads = Number(sessionStorage.getItem(RELOADS));
    sessionStorage.setItem(RELOADS, String(reloads + 1));
    if (reloads < MOST_RELOADS) location.reload();
    else tell(`The page does not begin, though all of it is here: ${error.message}. Reload it to try again.`);
  }
}
