// The events of a recorder as a list: one click shows the moment, another removes the mark.

import { element, find, openDialog, say } from "./element.mjs";

const MOST = 200;

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
    const { api } = this.context;
    try {
      const { events } = await api.get(api.recorderUrl(this.recorder.id, "timeline", { most: 1 }));
      this.fill(events);
    } catch (error) {
      say(find("events-text"), error.message);
    }
  }

  fill(events) {
    const latest = [...events].sort((one, other) => other.at_us - one.at_us);
    const rows = latest.slice(0, MOST).map((event) => element("li", {}, this.button(event), this.remover(event)));
    find("events-list").replaceChildren(...rows);
    const most = latest.length > MOST ? `The latest ${MOST} of ${latest.length} events.` : "";
    const none = "No events. “Mark” makes one; a vision service or a script does, with the command “mark”.";
    say(find("events-text"), latest.length === 0 ? none : most);
  }

  button(event) {
    const { at_us, label, keep } = event;
    const notes = [keep && "kept", this.clip(event)].filter(Boolean).join(", ");
    const choose = () => {
      find("events").close();
      this.context.go(at_us);
    };
    return element("button", { type: "button", onclick: choose }, element("strong", {}, this.context.zone().full(at_us)), label,
      notes && element("small", {}, notes));
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
