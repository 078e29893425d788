// The events of a recorder as a list: one click shows the moment, another removes the mark.

import { element, find, openDialog, say } from "./element.mjs";

const MOST = 200;
const AGAIN_MS = 3000; // while a clip is still to be saved

export class Events {
  /** `context` has api, now(), recorder() (the focused one), zone(), go(us), onRemoved(id of the recorder). */
  constructor(context) {
    this.context = context;
  }

  async open() {
    openDialog(find("events"));
    this.recorder = this.context.recorder();
    say(find("events-title"), `Events of ${this.recorder.name}`);
    find("events-list").replaceChildren();
    say(find("events-text"), "Asking for the events …");
    await this.ask();
  }

  async ask() {
    try {
      this.fill(await this.get());
    } catch (error) {
      say(find("events-text"), error.message);
    }
    this.follow();
  }

  async get() {
    const { api } = this.context;
    return (await api.get(api.recorderUrl(this.recorder.id, "timeline", { most: 1 }))).events;
  }

  /** Tell what becomes of the clips that are still to be saved, as long as the list is shown. */
  follow() {
    clearTimeout(this.timer);
    if (!this.shown?.some(({ save_status: status }) => status === "pending")) return;
    const { shown } = this;
    const isShown = () => find("events").open && shown === this.shown;
    this.timer = setTimeout(async () => {
      const events = isShown() ? await this.get().catch(() => []) : [];
      if (!isShown()) return;
      const known = new Map(events.map((event) => [event.id, event]));
      this.shown = shown.map((event) => known.get(event.id) ?? event);
      for (const event of this.shown) say(this.notes.get(event.id), this.notesOf(event));
      this.follow();
    }, AGAIN_MS);
  }

  fill(events) {
    const latest = [...events].sort((one, other) => other.at_us - one.at_us);
    this.shown = latest.slice(0, MOST);
    this.notes = new Map(this.shown.map((event) => [event.id, element("small", {}, this.notesOf(event))]));
    const rows = this.shown.map((event) => element("li", {}, this.button(event), this.remover(event)));
    find("events-list").replaceChildren(...rows);
    const most = latest.length > MOST ? `The latest ${MOST} of ${latest.length} events.` : "";
    const none = "No events. “Mark” makes one; a vision service or a script does, with the command “mark”.";
    say(find("events-text"), latest.length === 0 ? none : most);
  }

  button({ id, at_us, label }) {
    const choose = () => {
      find("events").close();
      this.context.go(at_us);
    };
    return element("button", { type: "button", onclick: choose }, element("strong", {}, this.context.zone().full(at_us)), label,
      this.notes.get(id));
  }

  /** What is kept and saved of an event, in words. */
  notesOf(event) {
    return [event.keep && "kept", this.clip(event)].filter(Boolean).join(", ");
  }

  /** What became of the clip of an event, in words; empty if none is saved of it. */
  clip({ to_us, saved, save_status: status, save_reason: reason }) {
    if (!saved) {
      return "";
    }
    const why = reason && `: ${reason.replace(/\.$/, "")}`;
    const isToCome = to_us > this.context.now();
    return {
      done: `saved as ${saved}`,
      pending: isToCome ? `to be saved as ${saved} when its end is recorded` : `still to be saved as ${saved}${why}`,
      failed: `not saved as ${saved}${why}`,
      cancelled: `not saved as ${saved}${why || ": cancelled"}`,
    }[status] ?? `to be saved as ${saved}; what became of that is not known`;
  }

  /** Asks once more before it removes a mark: what was kept by it may be deleted then. */
  remover({ id, label, keep }) {
    let isSure = false;
    const remove = async ({ currentTarget: button }) => {
      if (!isSure) {
        isSure = true;
        say(button, keep ? "Remove, and keep no more?" : "Remove?");
        button.setAttribute("aria-label", `Really remove the mark ${label}`);
        return;
      }
      button.disabled = true;
      try {
        const { api } = this.context;
        await api.send(api.recorderUrl(this.recorder.id, `events/${id}`), {}, "DELETE");
        await this.ask();
        this.context.onRemoved(this.recorder.id);
        find("events").querySelector("[data-close]").focus();
      } catch (error) {
        button.disabled = false;
        say(find("events-text"), error.message);
      }
    };
    return element("button", { type: "button", class: "remove", "aria-label": `Remove the mark ${label}`, onclick: remove },
      "Remove");
  }
}
