// A month with its recorded days. One click shows a day.

import { element, find, openDialog, say } from "./element.mjs";
import { DAY_US, lengthText } from "./units.mjs";
import { UTC } from "./zone.mjs";

const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
  "November", "December"];
const pad = (number) => String(number).padStart(2, "0");
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };

export class Calendar {
  /** `context` has api, zone(), recorder(), now(), choose(from_us, to_us). */
  constructor(context) {
    this.context = context;
    find("month-back").onclick = () => this.turn(-1);
    find("month-forward").onclick = () => this.turn(1);
    find("days").addEventListener("keydown", (event) => this.key(event));
    const head = WEEKDAYS.map((name) => element("th", { scope: "col" }, name));
    find("days").tHead.replaceChildren(element("tr", {}, ...head));
  }

  open(us) {
    const { year, month, day } = this.context.zone().fields(us);
    Object.assign(this, { year, month, day });
    this.shown = `${year}-${pad(month)}-${pad(day)}`;
    openDialog(find("calendar"));
    this.render();
  }

  turn(months) {
    const date = new Date(Date.UTC(this.year, this.month - 1 + months, 1));
    Object.assign(this, { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: 1 });
    this.render();
  }

  async render() {
    const { year, month } = this;
    const zone = this.context.zone();
    say(find("calendar-title"), `${MONTHS[month - 1]} ${year}`);
    this.fill({});
    say(find("calendar-text"), "Asking what is recorded …");
    const { api, recorder } = this.context;
    const utc = zone === UTC ? 1 : undefined;
    const range = { from_us: zone.midnight(year, month, 1), to_us: zone.midnight(year, month + 1, 1), utc };
    try {
      const { days } = await api.get(api.recorderUrl(recorder().id, "days", range));
      if (year !== this.year || month !== this.month) return;
      this.fill(days);
      const count = Object.values(days).filter((day) => day.seconds > 0).length;
      say(find("calendar-text"), `${recorder().name}: ${count || "no"} ${count === 1 ? "day" : "days"} with recordings.`);
    } catch (error) {
      say(find("calendar-text"), error.message);
    }
  }

  fill(days) {
    const zone = this.context.zone();
    const first = (new Date(Date.UTC(this.year, this.month - 1, 1)).getUTCDay() + 6) % 7;
    const count = new Date(Date.UTC(this.year, this.month, 0)).getUTCDate();
    const today = zone.date(this.context.now());
    const rows = [];
    for (let start = 1 - first; start <= count; start += 7) {
      const cells = Array.from({ length: 7 }, (_, number) => {
        const day = start + number;
        return element("td", {}, day < 1 || day > count ? null : this.cell(day, days, today));
      });
      rows.push(element("tr", {}, ...cells));
    }
    find("days").tBodies[0].replaceChildren(...rows);
    this.focus();
  }

  cell(day, days, today) {
    const date = `${this.year}-${pad(this.month)}-${pad(day)}`;
    const { seconds = 0, events = 0 } = days[date] ?? {};
    const words = seconds > 0 ? `recorded ${lengthText(seconds * 1e6)}` : "nothing recorded";
    const bar = element("i");
    bar.style.width = `${Math.min(100, (100 * seconds * 1e6) / DAY_US)}%`;
    return element(
      "button",
      {
        type: "button",
        tabIndex: day === this.day ? 0 : -1,
        "data-day": day,
        "data-recorded": seconds > 0 ? "some" : "none",
        "data-shown": String(date === this.shown),
        "aria-label": `${day}, ${date}${date === today ? ", today" : ""}: ${words}${events ? `, ${events} events` : ""}`,
        onclick: () => this.choose(day),
      },
      String(day),
      events ? element("span", { class: "events", "aria-hidden": "true" }, String(events)) : null,
      element("span", { class: "bar", "aria-hidden": "true" }, bar),
    );
  }

  focus() {
    find("days").querySelector(`[data-day="${this.day}"]`)?.focus();
  }

  key(event) {
    const step = STEPS[event.key];
    if (event.key === "PageUp" || event.key === "PageDown") this.turn(event.key === "PageUp" ? -1 : 1);
    else if (step) {
      const date = new Date(Date.UTC(this.year, this.month - 1, this.day + step));
      this.day = date.getUTCDate();
      if (date.getUTCMonth() + 1 !== this.month) {
        Object.assign(this, { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1 });
        this.render();
      } else {
        for (const button of find("days").querySelectorAll("button")) {
          button.tabIndex = Number(button.dataset.day) === this.day ? 0 : -1;
        }
        this.focus();
      }
    } else return;
    event.preventDefault();
  }

  choose(day) {
    const zone = this.context.zone();
    find("calendar").close();
    this.context.choose(zone.midnight(this.year, this.month, day), zone.midnight(this.year, this.month, day + 1));
  }
}
