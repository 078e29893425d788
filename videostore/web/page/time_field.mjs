// The field for a time, and what is said about what was typed there.

import { find, say } from "./element.mjs";
import { TypedTimeError, parseTime } from "./typed_time.mjs";
import { SECOND_US } from "./units.mjs";

export class TimeField {
  /** `show` gets the moment that was typed, if there can be something. */
  constructor(page, show) {
    Object.assign(this, { page, show });
    this.field = find("time");
    find("typed").onsubmit = (event) => {
      event.preventDefault();
      this.take(this.field.value);
    };
    this.field.addEventListener("keydown", ({ key }) => {
      if (key === "Escape") this.field.blur();
    });
    this.field.onblur = () => this.tellError("");
  }

  focus() {
    this.field.focus();
    this.field.select();
  }

  render(us) {
    if (document.activeElement !== this.field) this.field.value = this.page.zone().time(us);
  }

  tellError(text) {
    find("time-error").hidden = !text;
    say(find("time-error"), text);
    this.field.setAttribute("aria-invalid", String(Boolean(text)));
  }

  take(text) {
    const { page } = this;
    const zone = page.zone();
    let moments;
    try {
      moments = parseTime(text, zone, page.now(), page.playhead.us);
    } catch (error) {
      if (!(error instanceof TypedTimeError)) throw error;
      this.tellError(error.message);
      return;
    }
    const [us] = moments;
    if (us > page.end() + SECOND_US) {
      this.tellError(`${zone.full(us)} is in the future.`);
      return;
    }
    this.tellError("");
    this.field.blur();
    if (moments.length > 1) {
      const labels = moments.map((one) => zone.label(one)).join(" and ");
      page.word(`The clock showed this twice, in ${labels}. This is the first; type the zone for the other.`);
    }
    this.show(us);
  }
}
