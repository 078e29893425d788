// The address of the page holds what is shown, so that it can be kept, sent and opened by another person.

import { readDate } from "./playlist.mjs";

const PAUSE_MS = 400;
const isoText = (us) => `${new Date(Math.floor(us / 1000)).toISOString().slice(0, -1)}${String(us % 1000).padStart(3, "0")}Z`;

/** What an address asks for: `{at, live, from, to, in, out, recorders, utc}`. */
export function readAddress(hash) {
  const words = new URLSearchParams(hash.replace(/^#/, ""));
  const time = (name) => {
    const us = words.has(name) ? readDate(words.get(name)) : NaN;
    return Number.isFinite(us) ? us : null;
  };
  return {
    at: time("at"),
    from: time("from"),
    to: time("to"),
    in: time("in"),
    out: time("out"),
    live: words.has("live"),
    recorders: words.has("recorders") ? words.get("recorders").split(",") : null,
    utc: words.get("zone") === "utc",
  };
}

export function writeAddress({ at, live, from, to, marks, recorders, utc }) {
  const words = [];
  if (live) words.push("live=1");
  else if (at !== null) words.push(`at=${isoText(at)}`);
  words.push(`from=${isoText(from)}`, `to=${isoText(to)}`);
  if (marks.in !== null) words.push(`in=${isoText(marks.in)}`);
  if (marks.out !== null) words.push(`out=${isoText(marks.out)}`);
  if (recorders) words.push(`recorders=${recorders.map(encodeURIComponent).join(",")}`);
  if (utc) words.push("zone=utc");
  return `#${words.join("&")}`;
}

/** Writes the address when what is shown has stayed for a moment: browsers limit how often it changes. */
export class Address {
  constructor(text) {
    this.text = text;
    this.timer = null;
  }

  changed() {
    this.timer ??= setTimeout(() => this.write(), PAUSE_MS);
  }

  write() {
    clearTimeout(this.timer);
    this.timer = null;
    const text = this.text();
    if (text !== location.hash) history.replaceState(null, "", text);
  }
}
