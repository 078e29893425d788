// Which recorders are shown: some side by side, or one large.

import { element, find } from "./element.mjs";
import { Screen } from "./screen.mjs";

const MOST = 9;

export class RecorderList {
  constructor(page, asked) {
    this.page = page;
    this.buttons = new Map();
    const known = page.recorders.map(({ id }) => id);
    const wanted = (asked ?? known).filter((id) => known.includes(id)).slice(0, MOST);
    this.shown = wanted.length > 0 ? wanted : known.slice(0, MOST);
    this.fill();
    this.apply();
  }

  /** Those that were chosen, for the address; null for all. */
  get chosen() {
    return this.shown.length === this.page.recorders.length ? null : this.shown;
  }

  fill() {
    this.known = this.page.recorders.map(({ id, name }) => `${id} ${name}`).join("\n");
    this.buttons.clear();
    for (const { id, name } of this.page.recorders) {
      const button = element("button", { type: "button", "data-recorder": id, onclick: () => this.toggle(id) }, name);
      this.buttons.set(id, button);
    }
    find("recorders").replaceChildren(...this.buttons.values());
    if (this.page.recorders.length === 0) find("recorders").append("There are no recorders here.");
  }

  /** Recorders came or went. */
  update() {
    if (this.page.recorders.map(({ id, name }) => `${id} ${name}`).join("\n") !== this.known) {
      const before = this.known.split("\n").map((line) => line.split(" ")[0]);
      const ids = this.page.recorders.map(({ id }) => id);
      const all = this.shown.length === before.filter(Boolean).length;
      const gone = this.page.playhead.screens.map(({ recorder }) => recorder).filter(({ id }) => !ids.includes(id));
      if (gone.length > 0) this.page.word(`${gone.map(({ name }) => name).join(", ")}: no longer among the recorders here.`);
      this.shown = all ? ids.slice(0, MOST) : this.shown.filter((id) => ids.includes(id));
      if (this.shown.length === 0) this.shown = ids.slice(0, MOST);
      this.fill();
      this.apply();
    }
    for (const screen of this.page.playhead.screens) {
      const recorder = this.page.recorders.find(({ id }) => id === screen.recorder.id);
      const wasRecording = screen.isRecording;
      Object.assign(screen.recorder, recorder);
      if (screen.isRecording !== wasRecording) screen.tell();
    }
  }

  toggle(id) {
    const shown = this.shown.includes(id) ? this.shown.filter((one) => one !== id) : [...this.shown, id];
    this.show(shown.length > 0 ? shown : [id]);
  }

  /** Show these, in the order of the list. */
  show(ids) {
    this.shown = this.page.recorders.map(({ id }) => id).filter((id) => ids.includes(id)).slice(0, MOST);
    this.apply();
  }

  all() {
    this.show(this.page.recorders.map(({ id }) => id));
  }

  apply() {
    const { page } = this;
    const { playhead } = page;
    for (const screen of [...playhead.screens]) {
      if (!this.shown.includes(screen.recorder.id)) playhead.remove(screen);
    }
    for (const id of this.shown) {
      if (!playhead.screens.some((screen) => screen.recorder.id === id)) playhead.add(this.make(id));
    }
    const place = ({ recorder }) => this.shown.indexOf(recorder.id);
    playhead.screens.sort((one, other) => place(one) - place(other));
    find("screens").replaceChildren(...playhead.screens.map((screen) => screen.figure));
    find("screens").dataset.count = this.shown.length > 4 ? "many" : String(this.shown.length);
    this.render();
    page.changed();
  }

  make(id) {
    const { page } = this;
    const recorder = page.recorders.find((one) => one.id === id);
    return new Screen({ ...recorder }, page.timelineOf(id), {
      api: page.api,
      Hls: page.Hls,
      hlsMissing: page.hlsMissing,
      pictures: page.pictures,
      now: page.now,
      zone: page.zone,
      on: {
        go: (us) => page.playhead.go(us),
        focus: (screen) => page.commands?.focus(screen),
        large: () => (this.shown.length > 1 ? this.show([id]) : this.all()),
        latest: (screen) => page.commands.latest([screen]),
        renew: (screen) => page.commands.renew(screen),
        download: () => page.commands.downloadAround(),
      },
    });
  }

  render() {
    for (const [id, button] of this.buttons) button.setAttribute("aria-pressed", String(this.shown.includes(id)));
    const { screens, focus } = this.page.playhead;
    for (const screen of screens) {
      screen.figure.dataset.focused = String(screens.length > 1 && screen === focus);
      screen.large.hidden = this.page.recorders.length < 2;
      const words = screens.length > 1 ? "Large" : "All";
      if (screen.large.textContent !== words) screen.large.textContent = words;
    }
  }
}
