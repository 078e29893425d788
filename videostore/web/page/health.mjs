// Health of the recorders: a line in the header, and a panel with everything.

import { element, find, openDialog } from "./element.mjs";
import { lengthText, SECOND_US, shareText, sizeText } from "./units.mjs";

const EVERY_MS = 10_000;
const OPEN_EVERY_MS = 3000;

export class Health {
  /** `context` has api, recorders(), recorder() (the focused one), zone(). */
  constructor(context) {
    this.context = context;
    this.known = new Map();
    this.dialog = find("health");
    this.timer = null;
    this.run();
  }

  open() {
    openDialog(this.dialog);
    this.render();
    this.run();
  }

  async run() {
    clearTimeout(this.timer);
    if (!document.hidden) {
      const wanted = this.dialog.open ? this.context.recorders() : [this.context.recorder()].filter(Boolean);
      await Promise.all(wanted.map((recorder) => this.ask(recorder)));
      this.render();
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.run(), this.dialog.open ? OPEN_EVERY_MS : EVERY_MS);
  }

  async ask({ id }) {
    try {
      this.known.set(id, await this.context.api.get(this.context.api.recorderUrl(id, "health")));
    } catch (error) {
      this.known.set(id, { error });
    }
  }

  render() {
    const recorder = this.context.recorder();
    const health = recorder && this.known.get(recorder.id);
    const summary = find("summary");
    summary.replaceChildren();
    if (health?.error) summary.append(element("span", { class: "bad" }, health.error.message));
    else if (health) {
      const all = this.context.recorders();
      const [good, text] = all.length > 1 ? allText(all) : stateText(health);
      summary.append(element("span", { class: good ? "good" : "bad" }, text), rest(health));
    }
    if (this.dialog.open) find("health-content").replaceChildren(...this.context.recorders().map((one) => this.panel(one)));
  }

  panel({ id, name }) {
    const health = this.known.get(id);
    const content = element("section", {}, element("h3", {}, name));
    if (!health) content.append("Asking …");
    else if (health.error) content.append(element("p", { class: "bad" }, health.error.message));
    else {
      const list = element("dl");
      for (const [term, text] of rows(health, this.context.zone())) {
        if (text) list.append(element("dt", {}, term), element("dd", {}, text));
      }
      content.append(list, troubles(health));
    }
    return content;
  }
}

function stateText(health) {
  if (!health.recording) return [false, `○ not recording${health.reason ? `: ${health.reason}` : ""}`];
  return [true, `● recording${health.fps ? ` ${Number(health.fps.toFixed(1))} fps` : ""}`];
}

/** How many of several record, and which one does not. */
function allText(recorders) {
  const idle = recorders.filter(({ recording }) => !recording);
  const text = `${recorders.length - idle.length} of ${recorders.length} recording`;
  if (idle.length === 0) return [true, `● ${text}`];
  const named = idle.length === 1 && `, not ${idle[0].name}${idle[0].reason ? `: ${idle[0].reason}` : ""}`;
  return [false, `○ ${text}${named || ""}`];
}

function rest(health) {
  const parts = [""];
  if (health.days_fit) parts.push(`${daysText(health.days_fit)} fit`);
  if (health.used_bytes && health.limit_bytes) {
    parts.push(`${shareText(health.used_bytes, health.limit_bytes)} of ${sizeText(health.limit_bytes)}`);
  }
  return parts.join(" · ");
}

const daysText = (days) => lengthText(days * 86400 * SECOND_US);
const isKnown = (value) => value !== undefined && value !== null;

/** Terms and what is known of them; a row without text is left out. */
function rows(health, zone) {
  const count = (value) => (isKnown(value) ? String(value) : "");
  const age = health.newest_age_s;
  const size = (bytes) => (isKnown(bytes) ? sizeText(bytes) : "");
  const limit = health.limit_bytes ? ` of ${sizeText(health.limit_bytes)}` : "";
  return [
    ["State", stateText(health)[1]],
    ["Newest picture", isKnown(age) ? `${lengthText(age * SECOND_US)} ago` : "none"],
    ["Oldest picture", health.first_us ? zone.full(health.first_us) : ""],
    ["Picture", [health.width && `${health.width} × ${health.height}`, health.codec].filter(Boolean).join(", ")],
    ["Sound", isKnown(health.sound) ? (health.sound ? "yes" : "no") : ""],
    ["Stored", `${size(health.used_bytes)}${limit}`],
    ["The disk has room for", health.room_bytes < health.limit_bytes ? size(health.room_bytes) : ""],
    ["Free on the disk", size(health.free_bytes)],
    ["A day of video takes", size(health.bytes_per_day)],
    ["Fits at the present rate", health.days_unknown ?? daysText(health.days_fit)],
    ["Dropped frames", count(health.dropped)],
    ["Faulty images", count(health.faulty)],
    ["Damaged frames", count(health.damaged)],
    ["Restarts of ffmpeg", count(health.restarts)],
    ["Saves waiting", count(health.pending_saves)],
    ["Saves failed", count(health.failed_saves)],
    ["Damaged files", count(health.damaged_files)],
  ];
}

/** The last troubles, those of the module too. */
function troubles(health) {
  if (health.troubles.length === 0) return element("p", {}, "No troubles are known.");
  return element("div", {}, element("h4", {}, "Last troubles"),
    element("ul", {}, ...[...new Set(health.troubles)].map((text) => element("li", {}, text))));
}
