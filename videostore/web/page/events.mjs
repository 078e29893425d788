// The events of a recorder as a list: one click shows the moment.

import { element, find, openDialog, say } from "./element.mjs";

const MOST = 200;

export class Events {
  /** `context` has api, recorder() (the focused one), zone(), go(us). */
  constructor(context) {
    this.context = context;
  }

  async open() {
    openDialog(find("events"));
    const { api, recorder } = this.context;
    const { id, name } = recorder();
    say(find("events-title"), `Events of ${name}`);
    find("events-list").replaceChildren();
    say(find("events-text"), "Asking for the events …");
    try {
      const { events } = await api.get(api.recorderUrl(id, "timeline", { most: 1 }));
      this.fill(events);
    } catch (error) {
      say(find("events-text"), error.message);
    }
  }

  fill(events) {
    const latest = [...events].sort((one, other) => other.at_us - one.at_us);
    find("events-list").replaceChildren(...latest.slice(0, MOST).map((event) => element("li", {}, this.button(event))));
    const most = latest.length > MOST ? `The latest ${MOST} of ${latest.length} events.` : "";
    const none = "No events. A vision service, a script or a person marks them, with the command “mark”.";
    say(find("events-text"), latest.length === 0 ? none : most);
  }

  button({ at_us, label, keep, saved }) {
    const notes = [keep && "kept", saved && `saved as ${saved}`].filter(Boolean).join(", ");
    const choose = () => {
      find("events").close();
      this.context.go(at_us);
    };
    return element("button", { type: "button", onclick: choose }, element("strong", {}, this.context.zone().full(at_us)), label,
      notes && element("small", {}, notes));
  }
}
