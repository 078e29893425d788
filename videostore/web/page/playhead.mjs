// One playhead for all screens: where it is, whether it moves, and how fast.

import { SHORTEST_GAP_US } from "./playlist.mjs";
import { Screen } from "./screen.mjs";
import { SECOND_US } from "./units.mjs";

export const RATES = [0.25, 0.5, 1, 2, 4, 8, 16];
const NEAR_S = 0.04;
const FAR_S = 1.5;
const CATCH_UP = 0.1;
const BETWEEN_SEEKS_MS = 1500;
const MOST_JUMPS = 50;

/** Events: `change` (the moment, or whether it moves), `skipped` (detail: {from_us, to_us}), `end` (nothing follows),
 * `begin` (nothing is before). */
export class Playhead extends EventTarget {
  constructor(now) {
    super();
    this.now = now;
    this.screens = [];
    this.focus = null; // the screen whose frames are stepped, marked and downloaded
    this.us = null;
    this.playing = false;
    this.isLive = false;
    this.rate = 1;
    this.jumps = [];
    this.turn = 0; // counts the moments that were asked for: what was asked for later wins
    this.placed = new Promise((resolve) => (this.place = resolve)); // it is known where this is, or that nothing is recorded
    const tick = () => {
      this.tick();
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
  }

  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  add(screen) {
    this.screens.push(screen);
    this.focus ??= screen;
    screen.player.addEventListener("ended", () => this.ended(screen));
    screen.player.addEventListener("border", () => this.pass(screen, screen.player.borderUs));
    if (this.isLive) screen.live().then(() => this.playing && screen.player.play(1));
    else if (this.us !== null) screen.show(this.us).then((shown) => shown && this.playing && screen.player.play(this.rate));
  }

  remove(screen) {
    this.screens = this.screens.filter((one) => one !== screen);
    if (this.focus === screen) this.focus = this.screens[0] ?? null;
    screen.close();
    if (this.screens.length === 0 && this.playing) this.pause();
  }

  /** The capture time of the frame that the focused screen shows; otherwise where the playhead is. */
  get shownUs() {
    return this.focus?.capturedUs ?? this.us;
  }

  /** Show a moment on all screens. Where nothing was recorded that is shown, unless the playhead moves `by` so much:
   * then it goes over the gap, in the direction in which it moves. */
  async go(us, { remember = true, by = 0 } = {}) {
    if (remember && this.us !== null && Math.abs(us - this.us) > SECOND_US) {
      this.jumps.push(this.us);
      if (this.jumps.length > MOST_JUMPS) this.jumps.shift();
    }
    const turn = ++this.turn;
    const wasLive = this.isLive;
    const fromUs = this.us;
    this.isLive = false;
    this.us = Math.round(us);
    this.place();
    this.seeking = true;
    this.emit("change");
    if (wasLive) this.setRate(this.rate);
    const shown = await Promise.all(this.screens.map((screen) => screen.show(this.us)));
    if (turn !== this.turn) return;
    if (by !== 0 && this.isInGap) {
      await this.cross(by, fromUs);
      return;
    }
    this.seeking = false;
    if (this.playing) {
      this.screens.forEach((screen, number) => shown[number] && screen.player.play(this.rate));
      if (!shown.some(Boolean)) this.stay();
    }
    this.emit("change");
  }

  /** Whether no screen has a frame here. What could not be asked for is no gap. */
  get isInGap() {
    return this.screens.every((screen) => screen.gap !== null && !screen.player.trouble);
  }

  /** Go on behind the gap to which a move led, or before it: on its last frame, or if it plays as much before the gap as
   * it was to move, so that it does not skip the gap at once. Where nothing is there, go back to where the move began. */
  async cross(by, fromUs) {
    const edges = (name) => this.screens.map((screen) => screen[name]).filter((us) => us !== null);
    const [before, after] = [Math.max(...edges("before")), Math.min(...edges("after"))];
    const edge = by < 0 ? before : after;
    if (!Number.isFinite(edge)) {
      if (by > 0) this.pause();
      this.emit(by < 0 ? "begin" : "end");
      await this.go(fromUs, { remember: false });
      return;
    }
    if (Number.isFinite(before) && Number.isFinite(after)) this.emit("skipped", { from_us: before, to_us: after });
    const rest = this.playing && Number.isFinite(after) ? Math.min(after - this.us, Math.abs(by)) : 0;
    const to = by < 0 ? before - Math.max(rest, Screen.EDGE_US) : after + Screen.EDGE_US;
    await this.go(to, { remember: false, by });
  }

  /** Nothing was recorded at the moment that was asked for: show that, instead of what follows it. */
  stay() {
    if (this.isInGap) this.pause();
  }

  back() {
    const us = this.jumps.pop();
    if (us !== undefined) this.go(us, { remember: false });
  }

  async live() {
    if (this.us !== null) this.jumps.push(this.us);
    const turn = ++this.turn;
    this.isLive = true;
    this.playing = true;
    this.us = this.now();
    this.place();
    this.seeking = true;
    this.rate = 1;
    this.emit("change");
    await Promise.all(this.screens.map((screen) => screen.live()));
    if (turn !== this.turn) return;
    this.seeking = false;
    for (const screen of this.screens) if (screen.gap === null) screen.player.play(1);
    this.emit("change");
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  play() {
    this.playing = true;
    this.emit("change");
    const ready = this.screens.filter((screen) => screen.gap === null && !screen.held);
    if (ready.length === 0) this.skip(this.us);
    for (const screen of ready) screen.player.play(this.rate);
  }

  pause() {
    this.playing = false;
    this.isLive = false;
    for (const screen of this.screens) {
      screen.player.isLive = false;
      screen.player.pause();
      screen.stamp();
    }
    this.emit("change");
    Promise.all(this.screens.map(({ settled }) => settled)).then(() => this.emit("change"));
  }

  setRate(rate) {
    this.rate = rate;
    for (const screen of this.screens) screen.player.setRate(rate);
    this.emit("change");
  }

  /** The playhead follows the frames of one screen: the focused one, or another while that one has a gap. */
  get lead() {
    const shows = (one) => one.gap === null && !one.held && one.reached;
    const able = this.screens.filter((one) => shows(one) && one.player.capturedUs !== null);
    return able.includes(this.focus) ? this.focus : able[0] ?? null;
  }

  /** The pointer looks for a moment: nothing moves until one is chosen, or none. */
  beginScrub() {
    for (const screen of this.screens) screen.beginScrub();
  }

  /** None was chosen: go on. */
  endScrub() {
    for (const screen of this.screens) {
      screen.endScrub();
      const isReady = this.playing && !this.seeking && screen.gap === null && !screen.held;
      if (isReady) screen.player.play(this.isLive ? 1 : this.rate);
    }
  }

  get isScrubbed() {
    return this.screens.some(({ player }) => player.isOnHold);
  }

  tick() {
    if (!this.playing || this.seeking || this.isScrubbed) return;
    const lead = this.lead;
    if (!lead) return;
    const us = lead.player.capturedUs;
    if (us - this.us > Math.max(this.rate, 1) * SHORTEST_GAP_US && !this.isLive) {
      if (this.handOver(lead)) return;
      this.emit("skipped", { from_us: this.us, to_us: us });
    }
    if (us !== this.us) {
      this.us = us;
      this.emit("change");
    }
    if (!this.isLive) for (const screen of this.screens) if (screen !== lead) this.align(screen);
  }

  /** The lead came to a gap that another screen does not have: that one leads. */
  handOver(lead) {
    const near = Math.max(this.rate, 1) * SHORTEST_GAP_US;
    const other = this.screens.find(
      (one) => one !== lead && one.gap === null && !one.held && Math.abs(one.player.capturedUs - this.us) < near,
    );
    if (!other) return false;
    lead.hold(this.us);
    return true;
  }

  /** Keep a screen at the playhead. */
  align(screen) {
    if (screen.gap !== null) {
      if (screen.timeline.isRecorded(this.us)) this.seekOne(screen);
      return;
    }
    if (screen.player.capturedUs === null) return;
    const ahead = (screen.player.capturedUs - this.us) / SECOND_US / Math.max(this.rate, 1);
    if (screen.held) {
      if (ahead <= NEAR_S) screen.release(this.rate);
    } else if (ahead > FAR_S) screen.hold(this.us);
    else if (ahead < -FAR_S) this.seekOne(screen);
    else {
      const correction = Math.abs(ahead) < NEAR_S ? 0 : Math.min(Math.max(-ahead, -CATCH_UP), CATCH_UP);
      screen.player.setRate(Math.min(this.rate * (1 + correction), 16));
    }
  }

  seekOne(screen) {
    if (performance.now() - (screen.soughtAt ?? -Infinity) < BETWEEN_SEEKS_MS) return;
    screen.soughtAt = performance.now();
    screen.show(this.us).then((shown) => shown && this.playing && screen.player.play(this.rate));
  }

  /** Load again what a screen shows, and go on: its playlist is too long, or failed. */
  async renew(screen) {
    if (this.seeking || screen.renewing || this.us === null || this.isScrubbed) return;
    screen.renewing = true;
    screen.player.unload();
    const us = (screen.reached ? screen.capturedUs : screen.wanted) ?? this.us;
    const shown = this.isLive ? await screen.live() : await screen.show(us);
    screen.renewing = false;
    if (!this.playing) return;
    if (this.isLive ? screen.gap === null : shown) screen.player.play(this.isLive ? 1 : this.rate);
  }

  /** What grew is played to its end, of which a video that may grow says nothing. */
  endWhatRests() {
    const { lead } = this;
    for (const screen of this.screens) if (screen.player.loading && screen.isAtEnd && !screen.held) screen.tell();
    const isOver = lead?.player.loading && lead.isAtEnd && !this.isScrubbed;
    if (this.playing && !this.isLive && !this.seeking && isOver) this.ended(lead);
  }

  /** A screen has come to a file that it has to load by itself. What cannot be played is shown, and not waited for. */
  async pass(screen, us) {
    if (this.isLive) {
      await screen.live(us);
      if (this.isLive && screen.gap === null) screen.player.play(1);
      return;
    }
    const shown = await screen.show(us);
    if (this.screens.every(({ player }) => player.unplayable)) this.pause();
    else if (shown && this.playing) screen.player.play(this.rate);
  }

  /** A screen has played all that was loaded. */
  async ended(screen) {
    if (!this.playing || screen !== this.lead) return;
    if (this.isLive) {
      await screen.live();
      if (this.isLive && screen.gap === null) screen.player.play(1);
      return;
    }
    const us = screen.player.playlist.toUs;
    this.seeking = true;
    const shown = await screen.show(us + 1);
    this.seeking = false;
    if (shown && this.playing) screen.player.play(this.rate);
    else if (this.playing) this.skip(us);
  }

  /** Go on behind the gap at a moment. */
  async skip(us) {
    if (this.screens.some(({ player }) => player.trouble)) return; // whether that is a gap is not known
    const after = this.screens.map((screen) => (screen.gap === null ? null : screen.after)).filter(Boolean);
    if (after.length === 0) {
      this.pause();
      this.emit("end");
      const before = Math.max(...this.screens.map((screen) => screen.before ?? 0));
      if (before > 0) await this.go(before - Screen.EDGE_US, { remember: false });
      return;
    }
    const to = Math.min(...after);
    this.emit("skipped", { from_us: us, to_us: to });
    await this.go(to + Screen.EDGE_US, { remember: false, by: 1 });
  }
}
