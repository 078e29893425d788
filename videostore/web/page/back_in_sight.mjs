// Knows which frame is shown when the page is seen again: behind another tab frames go on, and none of them is announced.

import { PRESENTED_MS } from "./late.mjs";
import { shownTime } from "./shown_frame.mjs";

const LEAP_S = 0.3; // between what is shown and where the video is: Chromium leaves out what it did not decode meanwhile
const LEAPT_MS = 250; // it begins to within this

export class BackInSight {
  constructor(player) {
    this.player = player;
    this.isUnsure = false; // whether another frame may be shown than the one that is known
    this.onChange = () => this.look();
    document.addEventListener("visibilitychange", this.onChange);
  }

  look() {
    this.rest();
    if (document.hidden || !this.player.moves) return;
    this.isAnnounced = false;
    this.since = performance.now();
    this.take();
  }

  /** Take the time of what is shown from the browser before each paint, for a while; where it does not tell, that of a
   * frame that is announced. It is not known until then, nor as long as it may leap. */
  take() {
    const { player } = this;
    const { video } = player;
    const time = shownTime(video) ?? (this.isAnnounced ? player.mediaTime : null);
    const forMs = performance.now() - this.since;
    const isLast = forMs > PRESENTED_MS;
    const leaps = time === null || forMs < LEAPT_MS || Math.abs(video.currentTime - time) > LEAP_S;
    this.isUnsure = leaps && !isLast;
    if (time !== null) player.mediaTime = time;
    player.update();
    player.emit("frame");
    if (!isLast) this.next = requestAnimationFrame(() => this.take());
  }

  /** A frame is announced. */
  announce() {
    this.isAnnounced = true;
  }

  rest() {
    cancelAnimationFrame(this.next);
    this.isUnsure = false;
  }

  close() {
    this.rest();
    document.removeEventListener("visibilitychange", this.onChange);
  }
}
