// A download with its progress in words.

import { element } from "./element.mjs";
import { sizeText } from "./units.mjs";

const LARGEST_IN_PAGE = 1_000_000_000; // what is larger is left to the browser, which writes it to the disk at once

/** Hand a file to the browser. */
export function hand(href, name) {
  const anchor = element("a", { href, download: name });
  document.body.append(anchor);
  anchor.click();
  anchor.remove();
}

export function handBlob(blob, name) {
  const url = URL.createObjectURL(blob);
  hand(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** The name that the server gives a file. */
function nameOf(response, fallback) {
  const stated = response.headers.get("Content-Disposition") ?? "";
  const found = /filename\*=UTF-8''([^;]+)/i.exec(stated);
  return found ? decodeURIComponent(found[1]) : /filename="?([^";]+)/i.exec(stated)?.[1] ?? fallback;
}

class CutOffError extends Error {
  constructor(done, whole) {
    const of = whole ? ` of ${sizeText(whole)}` : "";
    super(`The connection to the server broke after ${sizeText(done)}${of}. Download it again when the server answers.`);
  }
}

/** Download a file. `tell(text, done, whole)` is called while it goes on; `signal` ends it. Before one that is left to the
 * browser, which cannot ask for a password, `estimateUrl` is asked. Returns what came of it. Throws CutOffError too. */
export async function download(api, url, { name, expected, estimateUrl, tell, signal }) {
  if (expected > LARGEST_IN_PAGE) {
    await api.get(estimateUrl);
    hand(url, name);
    return "The browser downloads it and shows how far it is.";
  }
  tell("The clip is being cut …", 0, 0);
  const response = await api.unlocked(url, () => api.response(url, { signal }));
  const stated = Number(response.headers.get("Content-Length"));
  const whole = stated || expected || 0;
  const about = stated ? "" : "about ";
  const reader = response.body.getReader();
  const parts = [];
  let done = 0;
  for (;;) {
    const { value, done: over } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new CutOffError(done, stated);
    });
    if (over) break;
    parts.push(value);
    done += value.length;
    tell(`${sizeText(done)}${whole ? ` of ${about}${sizeText(whole)}` : ""}`, done, Math.max(whole, done));
  }
  // Not each browser finds that too little came. What was packed on its way states another size.
  if (done < stated && !response.headers.get("Content-Encoding")) throw new CutOffError(done, stated);
  const file = nameOf(response, name);
  handBlob(new Blob(parts, { type: response.headers.get("Content-Type") ?? "" }), file);
  return `${file}, ${sizeText(done)}, is in your downloads.`;
}
