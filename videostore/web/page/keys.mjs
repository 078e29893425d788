// The keys of the page: what they do, and the table that help shows.

import { element } from "./element.mjs";

/** `[keys, words, action]`; the action's name is that of a method of the page. */
const KEYS = [
  [[" ", "k"], "play or pause", "toggle"],
  [["j"], "10 s back; with Shift 1 min", "back"],
  [["l"], "10 s forward; with Shift 1 min; live when at the end", "forward"],
  [["ArrowLeft"], "1 s back; with Shift 10 s", "left"],
  [["ArrowRight"], "1 s forward; with Shift 10 s", "right"],
  [[","], "one frame back", "frameBack"],
  [["."], "one frame forward", "frameForward"],
  [["<"], "slower", "slower"],
  [[">"], "faster", "faster"],
  [["t"], "type a time", "typeTime"],
  [["c"], "calendar", "calendar"],
  [["PageUp"], "one day back", "dayBack"],
  [["PageDown"], "one day forward", "dayForward"],
  [["["], "event before", "eventBack"],
  [["]"], "event after", "eventForward"],
  [["e"], "list of events", "events"],
  [["End"], "live, or the newest recording", "live"],
  [["Backspace"], "back to where you were before the last jump", "jumpBack"],
  [["i"], "the clip begins with the shown frame", "markIn"],
  [["o"], "the clip ends with the shown frame", "markOut"],
  [["d"], "download the clip", "download"],
  [["u"], "save the clip for upload", "save"],
  [["b"], "mark this moment, or the clip, with a label", "note"],
  [["s"], "save the picture", "picture"],
  [["y"], "link to this moment", "link"],
  [["+", "="], "zoom in", "zoomIn"],
  [["-"], "zoom out", "zoomOut"],
  [["0"], "show the day", "zoomDay"],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "show one recorder large", "one"],
  [["a"], "show all recorders side by side", "all"],
  [["m"], "sound on or off", "sound"],
  [["z"], "recorder's time or UTC", "zone"],
  [["h"], "health", "health"],
  [["?"], "this help", "help"],
];

const NAMES = { " ": "Space", ArrowLeft: "←", ArrowRight: "→", PageUp: "Page ↑", PageDown: "Page ↓" };

/** The rows of the table of keys. */
export function keyRows() {
  return KEYS.map(([keys, words]) => {
    const names = keyNames(keys).flatMap((name) => [element("kbd", {}, name), " "]);
    return element("tr", {}, element("th", { scope: "row" }, ...names), element("td", {}, words));
  });
}

function keyNames(keys) {
  const shown = keys.length > 4 ? [keys[0], "…", keys[keys.length - 1]] : keys;
  return shown.map((key) => NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}

const isField = (target) => target.matches?.("input:not([type=radio]), textarea, select");

/** Call `actions[name](event)` for each key. Fields and dialogs keep theirs, and buttons their space. */
export function listen(actions) {
  const table = new Map(KEYS.flatMap(([keys, , action]) => keys.map((key) => [key, action])));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (isField(event.target)) return;
    if (event.key === " " && event.target.matches?.("button, summary, [role=radio]")) return;
    const action = table.get(event.key) ?? table.get(event.key.toLowerCase());
    if (!action) return;
    event.preventDefault();
    actions[action](event);
  });
}
