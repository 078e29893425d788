// Marks a stretch: an event with a label, whose footage can be kept.

import { find, openDialog, say } from "./element.mjs";
import { SECOND_US, lengthText } from "./units.mjs";

const AROUND_US = 15 * SECOND_US;
const MOST_AROUND_US = 3600 * SECOND_US;

/** The event of a clip that is marked whole: its moment lies in the middle, or is the shown one where that is inside. */
function ofClip(from_us, to_us, shown_us) {
  const isNear = shown_us >= from_us && shown_us <= to_us && Math.max(shown_us - from_us, to_us - shown_us) <= MOST_AROUND_US;
  return { at_us: isNear ? shown_us : Math.floor((from_us + to_us) / 2), from_us, to_us };
}

export class Mark {
  /** `context` has api, zone(), recorder(), clip, shown() (the shown moment, or null), say(text), onMarked(). */
  constructor(context) {
    this.context = context;
    find("mark").onclick = () => this.open();
    find("mark-form").onsubmit = (event) => {
      event.preventDefault();
      this.send();
    };
  }

  async open() {
    const { clip, zone, recorder, shown } = this.context;
    const shown_us = await shown();
    if (shown_us === null || shown_us === undefined) {
      this.context.say("There is no picture to mark.");
      return;
    }
    const { in: from, out: to } = clip.marks;
    this.event = clip.isWhole
      ? ofClip(from, to, shown_us)
      : { at_us: shown_us, from_us: shown_us - AROUND_US, to_us: shown_us + AROUND_US };
    const { at_us, from_us, to_us } = this.event;
    this.recorder = recorder();
    const around = clip.isWhole ? `the marked clip of ${lengthText(to_us - from_us)}` : "15 s before and after it";
    say(find("mark-what"), `${this.recorder.name}, ${zone().full(at_us, 3)}, with ${around}.`);
    const isLong = to_us - from_us > 2 * MOST_AROUND_US;
    find("mark-send").disabled = isLong;
    say(find("mark-error"), isLong ? "A mark has at most two hours." : "");
    find("mark-keep").checked = false;
    find("mark-keep-row").hidden = !this.recorder.keeps;
    find("mark-label").value = "";
    openDialog(find("mark-dialog"));
    find("mark-label").focus();
  }

  async send() {
    const { api } = this.context;
    const { at_us, from_us, to_us } = this.event;
    const label = find("mark-label").value.trim();
    const keep = find("mark-keep").checked;
    find("mark-send").disabled = true;
    try {
      const around = { before_s: (at_us - from_us) / SECOND_US, after_s: (to_us - at_us) / SECOND_US };
      await api.send(api.recorderUrl(this.recorder.id, "events"), { at_us, label, keep, ...around });
      find("mark-dialog").close();
      this.context.say(keep ? "It is marked, and its footage is kept." : "It is marked.");
      this.context.onMarked(this.recorder.id);
    } catch (error) {
      say(find("mark-error"), error.message);
    } finally {
      find("mark-send").disabled = false;
    }
  }
}
