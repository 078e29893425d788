// What keys and buttons do.

import { element, find, say } from "./element.mjs";
import { keyRows } from "./keys.mjs";
import { handPicture } from "./picture_file.mjs";
import { RATES } from "./playhead.mjs";
import { TimeField } from "./time_field.mjs";
import { HOUR_US, MINUTE_US, SECOND_US } from "./units.mjs";

const STEP_SEARCH_US = 5 * SECOND_US;
const NEAR_END_US = 10 * SECOND_US;
const INTO_FRAME_US = 1;

export class Commands {
  constructor(page) {
    this.page = page;
    const ids = { "day-back": "dayBack", "day-forward": "dayForward", day: "calendar", back: "back", forward: "forwardOnly",
      "frame-back": "frameBack", "frame-forward": "frameForward", play: "toggle", sound: "sound", live: "live",
      "mark-in": "markIn", "mark-out": "markOut", picture: "picture", link: "link", "help-button": "help",
      "events-button": "events", "health-button": "health" };
    for (const [id, name] of Object.entries(ids)) find(id).onclick = () => this[name]({});
    find("speed").replaceChildren(...RATES.map((rate) => element("option", { value: rate, selected: rate === 1 }, `${rate} ×`)));
    find("speed").onchange = ({ target }) => this.setRate(Number(target.value));
    this.timeField = new TimeField(page, (us) => this.showTyped(us));
    find("keys").replaceChildren(...keyRows());
    this.fillZones();
  }

  get playhead() {
    return this.page.playhead;
  }

  /** Whether there is a recorder; otherwise that is said. */
  get isServed() {
    if (this.page.recorders.length === 0) this.page.word("There are no recorders here.");
    return this.page.recorders.length > 0;
  }

  /** Whether so much behind the playhead there is what is being recorded, or nothing any more. */
  isLiveWithin(us) {
    const { page, playhead } = this;
    const to = playhead.us + us;
    return to >= page.end() || (playhead.us <= page.now() && to >= page.now() && this.isRecorded);
  }

  /** Move by so much from the shown frame. */
  move(us) {
    const { playhead } = this;
    if (playhead.us === null) return;
    const to = playhead.us + us;
    if (this.isLiveWithin(us)) this.live();
    else playhead.go(to, { remember: false, by: us });
  }

  back = ({ shiftKey }) => this.move(shiftKey ? -MINUTE_US : -10 * SECOND_US);
  forwardOnly = ({ shiftKey }) => this.move(shiftKey ? MINUTE_US : 10 * SECOND_US);
  left = ({ shiftKey }) => this.move((shiftKey ? -10 : -1) * SECOND_US);
  right = ({ shiftKey }) => this.move((shiftKey ? 10 : 1) * SECOND_US);
  jumpBack = () => this.playhead.back();
  frameBack = () => this.step(-1);
  frameForward = () => this.step(1);
  events = () => this.isServed && this.page.events.open();
  health = () => this.page.health.open();
  help = () => this.page.showHelp();
  link = () => this.page.link.open();
  zoomIn = () => this.page.section.zoom(0.5);
  zoomOut = () => this.page.section.zoom(2);
  zoomDay = () => this.page.section.zoomDay();
  dayBack = () => this.moveDay(-1);
  dayForward = () => this.moveDay(1);
  eventBack = () => this.moveEvent(-1);
  eventForward = () => this.moveEvent(1);
  download = () => (this.page.clip.isWhole ? this.page.clip.download() : this.page.word("Mark the clip first: I and O."));
  save = () => (this.page.clip.isWhole ? this.page.clip.openSave() : this.page.word("Mark the clip first: I and O."));
  note = () => this.page.mark.open();
  all = () => this.page.list.all();

  async toggle() {
    await this.playhead.placed;
    if (this.playhead.us !== null) this.playhead.toggle();
    else this.page.word("Nothing is recorded yet.");
  }

  async calendar() {
    if (!this.isServed) return;
    await this.playhead.placed;
    this.page.calendar.open(this.playhead.us ?? this.page.now());
  }

  forward(event) {
    const near = this.playhead.us !== null && this.isLiveWithin(NEAR_END_US);
    if (near && !this.playhead.isLive) this.live();
    else if (!this.playhead.isLive) this.forwardOnly(event);
  }

  /** Live; the newest recording where none of the shown recorders records. */
  async live() {
    const { playhead } = this;
    if (!this.isRecorded) {
      await this.latest();
      return;
    }
    await playhead.live();
    this.focusLive();
  }

  async renew(screen) {
    await this.playhead.renew(screen);
    this.focusLive();
  }

  /** Live, the keys are for a screen that shows something. */
  focusLive() {
    const { playhead } = this;
    const able = playhead.screens.find(({ gap }) => gap === null);
    if (playhead.isLive && able && playhead.focus.gap !== null) this.focus(able);
  }

  /** Whether there is something new to be shown. */
  get isGrowing() {
    return this.playhead.screens.some(({ recorder }) => recorder.live);
  }

  get isRecorded() {
    return this.playhead.screens.some(({ isRecording }) => isRecording);
  }

  /** The same wall time on another day. */
  async moveDay(days) {
    await this.playhead.placed;
    const zone = this.page.zone();
    const us = this.playhead.us ?? this.page.now();
    const wall = zone.fields(us);
    const [moment] = zone.moments({ ...wall, day: wall.day + days });
    const to = moment ?? us + days * 24 * HOUR_US;
    this.page.view.pan(to - us);
    if (to >= this.page.end()) this.live();
    else this.playhead.go(to);
  }

  async moveEvent(direction) {
    await this.playhead.placed;
    const us = this.playhead.us ?? this.page.now();
    const events = [...(this.playhead.focus?.timeline.ends?.events ?? [])].sort((one, other) => one.at_us - other.at_us);
    const found = direction > 0
      ? events.find(({ at_us }) => at_us > us + SECOND_US)
      : events.filter(({ at_us }) => at_us < us - SECOND_US).pop();
    if (!found) this.page.word(`No event ${direction > 0 ? "after" : "before"} this on the timeline.`);
    else {
      this.page.word(found.label);
      this.showEvent(found.at_us);
    }
  }

  showEvent(us) {
    this.page.view.follow(us);
    this.playhead.go(us);
  }

  one({ key }) {
    const recorder = this.page.recorders[Number(key) - 1];
    if (recorder) this.page.list.show([recorder.id]);
  }

  focus(screen) {
    this.playhead.focus = screen;
    for (const one of this.playhead.screens) one.video.muted = this.muted || one !== screen;
    if (this.page.clip.isWhole) this.page.clip.changed();
    this.page.health.run();
    this.page.changed();
  }

  /** Show the frame after or before the shown one. */
  async step(direction) {
    const { playhead } = this;
    const screen = playhead.focus;
    if (playhead.playing) playhead.pause();
    if ((screen?.capturedUs ?? null) === null || this.stepping) return;
    this.stepping = true;
    this.render();
    const { turn } = playhead;
    try {
      await screen.settled;
      const us = screen.capturedUs;
      const next = await screen.player.times.beside(us, direction, STEP_SEARCH_US);
      if (turn !== playhead.turn) return; // another moment was chosen meanwhile
      if (next === undefined) await playhead.go(us + direction * STEP_SEARCH_US, { remember: false, by: direction });
      else await playhead.go(next + INTO_FRAME_US, { remember: false });
    } catch (error) {
      this.page.word(error.message);
    } finally {
      this.stepping = false;
      this.render();
    }
  }

  slower = () => this.setRate(RATES[Math.max(RATES.indexOf(this.playhead.rate) - 1, 0)]);
  faster = () => this.setRate(RATES[Math.min(RATES.indexOf(this.playhead.rate) + 1, RATES.length - 1)]);

  setRate(rate) {
    this.playhead.setRate(rate);
    this.page.word(`${rate} ×`);
  }

  muted = true;

  sound() {
    const silent = this.playhead.focus?.player.silentCodec;
    if (silent) this.page.word(`This browser cannot decode the sound (${silent}). It is in clips.`);
    this.muted = !this.muted;
    for (const screen of this.playhead.screens) screen.video.muted = this.muted || screen !== this.playhead.focus;
    this.render();
  }

  typeTime = () => this.timeField.focus();

  showTyped(us) {
    const { page } = this;
    page.view.follow(us);
    const isNow = Math.abs(us - page.now()) < SECOND_US && this.isRecorded;
    if (isNow || us >= page.end()) this.live();
    else this.playhead.go(us);
  }

  showDay(from, to) {
    const { page, playhead } = this;
    const { turn } = playhead;
    page.view.set(from, to);
    this.firstOf(from, Math.min(to, page.end())).then((us) => turn === playhead.turn && playhead.go(us ?? from));
  }

  /** The first recorded moment of a stretch. */
  async firstOf(from, to) {
    const { api } = this.page;
    const { id } = this.playhead.focus.recorder;
    const known = await api.get(api.recorderUrl(id, "timeline", { from_us: from, to_us: to, most: 500 })).catch(() => null);
    const start = known?.ranges[0]?.[0];
    return start === undefined ? null : Math.max(start, from) + 2000;
  }

  /** Show the end of what some screens have recorded, until something is recorded again. */
  async latest(screens = this.playhead.screens) {
    const { api, now, view } = this.page;
    const { turn } = this.playhead;
    const newest = await Promise.all(
      screens.map(async ({ recorder }) => {
        const range = { from_us: now() - SECOND_US, to_us: now() };
        const known = await api.get(api.recorderUrl(recorder.id, "timeline", range)).catch((error) => ({ error }));
        return known.error ?? known.newest_us ?? 0;
      }),
    );
    if (turn !== this.playhead.turn) return; // another moment was chosen meanwhile
    const us = Math.max(...newest.filter(Number.isFinite), 0);
    if (us === 0) {
      const error = newest.find((one) => one instanceof Error);
      this.page.word(error?.message ?? "Nothing is recorded yet.");
      return;
    }
    view.set(us - HOUR_US / 2, us + HOUR_US / 2);
    this.playhead.pause(); // a second later it would be at the end, or go over to what another one has recorded since
    await this.playhead.go(us - SECOND_US);
    this.page.waitingAt = this.isGrowing ? undefined : this.playhead.us; // beside what is live it was chosen
  }

  markIn = () => this.mark("in", 0);

  /** The shown frame is the clip's last one. */
  markOut = () => this.mark("out", 1);

  async mark(name, laterUs) {
    if (this.stepping) return;
    this.stepping = true;
    this.render();
    const us = await this.shownFrame();
    this.stepping = false;
    if (us !== null) this.page.clip.set(name, us + laterUs);
    this.render();
  }

  /** The capture time of the shown frame to the microsecond: the player's is rounded. */
  async shownFrame() {
    const screen = this.playhead.focus;
    await screen?.settled;
    const us = this.playhead.shownUs;
    if (!screen || screen.capturedUs === null || us === null) return us;
    return screen.player.times.exact(us);
  }

  /** A clip of the minute around the shown moment, where it cannot be played here. */
  downloadAround() {
    const { clip } = this.page;
    const us = this.playhead.us;
    if (!clip.isWhole) {
      clip.marks.in = us - MINUTE_US / 2;
      clip.marks.out = us + MINUTE_US / 2;
      clip.changed();
    }
    clip.download();
  }

  async picture() {
    const screen = this.playhead.focus;
    await screen?.settled;
    const us = screen?.capturedUs;
    if (us === null || us === undefined) return;
    this.page.word("The picture is being made …");
    try {
      this.page.word(await handPicture(this.page, screen.recorder, us + INTO_FRAME_US));
    } catch (error) {
      this.page.word(error.message);
    }
  }

  zone() {
    this.page.useUtc = !this.page.useUtc;
    this.fillZones();
    for (const screen of this.playhead.screens) screen.stamp();
    this.page.clip.render();
    this.page.changed();
  }

  fillZones() {
    const { page } = this;
    find("zones").hidden = page.recorderZone.label(page.now()) === "UTC";
    const label = `recorder's time (${page.recorderZone.label(page.now())})`;
    const radio = (text, utc) =>
      element("button", { type: "button", role: "radio", "aria-checked": String(page.useUtc === utc),
        onclick: () => page.useUtc !== utc && this.zone() }, text);
    find("zones").replaceChildren(radio(label, false), radio("UTC", true));
  }

  /** Show the state of everything that has a button. */
  render() {
    const { page, playhead } = this;
    const us = playhead.shownUs ?? page.now();
    find("screens").setAttribute("aria-busy", String(Boolean(page.isBeginning || playhead.seeking || this.stepping)));
    say(find("play"), playhead.playing ? "Pause" : "Play");
    say(find("day"), page.zone().date(us));
    find("day").setAttribute("aria-label", `${page.zone().date(us)}, open the calendar`);
    find("live").setAttribute("aria-pressed", String(playhead.isLive));
    say(find("live"), playhead.isLive || this.isRecorded ? "Live" : "Newest");
    find("sound").setAttribute("aria-pressed", String(!this.muted));
    if (find("speed").value !== String(playhead.rate)) find("speed").value = String(playhead.rate);
    this.timeField.render(us);
    const title = `${playhead.isLive ? "live" : page.zone().full(us)} · videostore`;
    if (document.title !== title) document.title = title;
  }
}
