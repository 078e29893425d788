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
      const [good, text] = stateText(health);
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
  const rate = health.status?.frames_per_second ?? health.frames_per_second;
  return [true, `● recording${rate ? ` ${Number(rate.toFixed(1))} fps` : ""}`];
}

function rest(health) {
  const parts = [""];
  if (health.days_that_fit) parts.push(`${daysText(health.days_that_fit)} fit`);
  if (health.used_bytes && health.limit_bytes) {
    parts.push(`${shareText(health.used_bytes, health.limit_bytes)} of ${sizeText(health.limit_bytes)}`);
  }
  return parts.join(" · ");
}

const daysText = (days) => lengthText(days * 86400 * SECOND_US);
const isKnown = (value) => value !== undefined && value !== null;

/** Terms and what is known of them; a row without text is left out. */
function rows(health, zone) {
  const status = health.status ?? {};
  const count = (value) => (isKnown(value) ? String(value) : "");
  const age = health.newest_age_seconds;
  const size = (bytes) => (isKnown(bytes) ? sizeText(bytes) : "");
  const limit = health.limit_bytes ? ` of ${sizeText(health.limit_bytes)}` : "";
  return [
    ["State", stateText(health)[1]],
    ["Newest picture", isKnown(age) ? `${lengthText(age * SECOND_US)} ago` : "none"],
    ["Oldest picture", health.first_us ? zone.full(health.first_us) : ""],
    ["Picture", [health.width && `${health.width} × ${health.height}`, health.codec].filter(Boolean).join(", ")],
    ["Sound", isKnown(health.sound) ? (health.sound ? "yes" : "no") : ""],
    ["Stored", `${size(health.used_bytes)}${limit}`],
    ["Free on the disk", size(health.device_free_bytes)],
    ["A day takes", size(health.bytes_per_day)],
    ["Fits at the present rate", health.days_that_fit ? daysText(health.days_that_fit) : ""],
    ["Dropped frames", count(status.dropped_frames)],
    ["Faulty images", count(status.faulty_frames)],
    ["Restarts of ffmpeg", count(status.ffmpeg_restarts)],
    ["Saves waiting", count(status.pending_saves)],
    ["Saves failed", count(status.failed_saves)],
    ["Damaged files", count(health.damaged_files)],
  ];
}

/** The last troubles, those of the module too. */
function troubles(health) {
  const status = health.status ?? {};
  const known = [
    health.reason, health.storage_trouble, status.storage_limit, status.index_trouble, status.upload_trouble,
    status.last_fault && `The last image that was refused: ${status.last_fault}`,
    status.last_damage && `The last damage: ${status.last_damage}`,
  ].filter(Boolean);
  if (known.length === 0) return element("p", {}, "No troubles are known.");
  return element("div", {}, element("h4", {}, "Last troubles"),
    element("ul", {}, ...[...new Set(known)].map((text) => element("li", {}, String(text)))));
}
