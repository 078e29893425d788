// What is written beside a picture: when it was captured, in two zones, and what there is to say of that.

import { element, say } from "./element.mjs";
import { SECOND_US, lengthText } from "./units.mjs";
import { UTC } from "./zone.mjs";

const NEWEST_US = 2 * SECOND_US; // so near the end that this is said

export class Stamp {
  constructor() {
    this.local = element("div", { class: "local" });
    this.utc = element("div", { class: "utc" });
    this.note = element("div", { class: "note" });
    this.element = element("div", { class: "stamp" }, this.local, this.utc, this.note);
  }

  /** Write the capture time of the frame that a screen shows, or the moment of which it has none. */
  write(screen) {
    const { capturedUs, context, held, player, scrubbed, stillUs, wanted } = screen;
    const us = held ? scrubbed.us : capturedUs;
    const isUnsure = player.sight.isUnsure && (scrubbed.us ?? stillUs) === null;
    if (isUnsure) this.put(context.zone(), null, 0, "");
    else if (us !== null) this.put(context.zone(), us, 3, noteOf(screen, us));
    else if (wanted === "live") this.put(context.zone(), null, 0, "");
    else this.put(context.zone(), screen.gap ?? screen.heldAt, 0, screen.gap === null ? "" : "no recording");
  }

  put(zone, us, digits, note) {
    say(this.local, us === null ? "" : zone.full(us, digits));
    say(this.utc, us === null || zone.label(us) === "UTC" ? "" : UTC.full(us, digits));
    say(this.note, note);
  }
}

function noteOf({ context, isRecording, player, timeline }, us) {
  const ageUs = context.now() - us;
  const isLive = player.isLive && !player.isOnHold;
  if (isLive && isRecording) return `live, ${lengthText(ageUs)} behind`;
  const damage = timeline.damageAt(us);
  if (damage) return `damaged: ${damage.reason}`;
  const isNewest = isLive || us + NEWEST_US > timeline.ends?.newest_us;
  if (!isNewest || isRecording) return "";
  return `the newest recording, ${ageUs < 0 ? `${lengthText(ageUs)} ahead of the clock` : `${lengthText(ageUs)} old`}`;
}
