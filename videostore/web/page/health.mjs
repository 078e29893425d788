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
      content.append(list, troubles(health.troubles ?? health.last_troubles ?? [], this.context.zone()));
    }
    return content;
  }
}

function stateText(health) {
  if (health.recording) return [true, `● recording${health.fps ? ` ${Number(health.fps.toFixed(1))} fps` : ""}`];
  return [false, `○ not recording${health.reason ? `: ${health.reason}` : ""}`];
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

function rows(health, zone) {
  const count = (number, words) => (number === undefined || number === null ? "" : `${number}${words ? ` ${words}` : ""}`);
  const saves = [count(health.pending_saves, "waiting"), count(health.failed_saves, "failed")].filter(Boolean);
  return [
    ["State", stateText(health)[1]],
    ["Newest picture", health.newest_age_s === undefined || health.newest_age_s === null ? "" : `${lengthText(health.newest_age_s * SECOND_US)} ago`],
    ["Oldest picture", health.first_us ? zone.full(health.first_us) : ""],
    ["Picture", [health.width && `${health.width} × ${health.height}`, health.codec].filter(Boolean).join(", ")],
    ["Sound", health.sound === undefined || health.sound === null ? "" : health.sound === true ? "yes" : health.sound || "no"],
    ["Stored", health.used_bytes ? `${sizeText(health.used_bytes)}${health.limit_bytes ? ` of ${sizeText(health.limit_bytes)}` : ""}` : ""],
    ["Free on the disk", health.free_bytes ? sizeText(health.free_bytes) : ""],
    ["Fits at the present rate", health.days_fit ? daysText(health.days_fit) : ""],
    ["Dropped frames", count(health.dropped)],
    ["Faulty images", count(health.faulty)],
    ["Restarts of ffmpeg", count(health.restarts)],
    ["Saves", saves.join(", ")],
  ];
}

function troubles(list, zone) {
  if (list.length === 0) return element("p", {}, "No troubles are known.");
  const items = list.slice(0, 20).map((one) => {
    if (typeof one === "string") return element("li", {}, one);
    const us = one.at_us ?? one.from_us;
    return element("li", {}, `${us ? `${zone.full(us)}: ` : ""}${one.message ?? one.reason ?? ""}`);
  });
  return element("div", {}, element("h4", {}, "Last troubles"), element("ul", {}, ...items));
}

