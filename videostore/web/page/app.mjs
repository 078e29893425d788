// The page: makes its parts and connects them.

import { Address, readAddress, writeAddress } from "./address.mjs";
import { Api } from "./api.mjs";
import { find, openDialog, say } from "./element.mjs";
import { Commands } from "./commands.mjs";
import { listen } from "./keys.mjs";
import { Calendar } from "./calendar.mjs";
import { Clip } from "./clip.mjs";
import { Events } from "./events.mjs";
import { LinkDialog } from "./link_dialog.mjs";
import { Mark } from "./mark.mjs";
import { Health } from "./health.mjs";
import { LaneSection } from "./lane_section.mjs";
import { Pictures } from "./pictures.mjs";
import { Playhead } from "./playhead.mjs";
import { RecorderList } from "./recorder_list.mjs";
import { Session } from "./session.mjs";
import { Timeline } from "./timeline.mjs";
import { HOUR_US, lengthText } from "./units.mjs";
import { View } from "./view.mjs";
import { UTC, Zone } from "./zone.mjs";

const REFRESH_MS = 2000;
const WORD_MS = 4000;
const RETRY_MS = 3000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** hls.js; where there is none, or this browser cannot run it, why not.
 *
 * Throws what keeps it from coming, if the server has it.
 */
async function loadHls() {
  try {
    const { default: Hls } = await import("./vendor/hls.mjs");
    return Hls.isSupported() ? { Hls } : { Hls: null, hlsMissing: "unsupported" };
  } catch (error) {
    const { status } = await fetch(new URL("./vendor/hls.mjs", import.meta.url), { cache: "no-store" });
    if (status !== 404) throw error;
    return { Hls: null, hlsMissing: "absent" };
  }
}

class Page {
  constructor() {
    this.session = null;
    this.api = new Api(() => this.session.ask(), (text) => this.word(text));
    this.session = new Session(this.api, () => this.goOn());
    this.useUtc = false;
    this.waitingAt = undefined; // the end of what was recorded, while that is shown for want of a recording
    this.ahead = 0; // of the server's clock before this browser's
    this.beginnings = 0; // that are under way
  }

  now = () => Math.round((performance.timeOrigin + performance.now()) * 1000 + this.ahead);

  /** Up to where there may be footage: to now, or further if the clock has been set back since. */
  end = () => Math.max(this.now(), ...[...(this.timelines?.values() ?? [])].map(({ ends }) => ends?.newest_us ?? 0));

  zone = () => (this.useUtc ? UTC : this.recorderZone);

  /** Say something for a while. */
  word = (text) => {
    clearTimeout(this.wordTimer);
    say(find("word"), text);
    this.wordTimer = setTimeout(() => say(find("word"), ""), WORD_MS);
  };

  banner(text) {
    find("banner").hidden = !text;
    say(find("banner"), text ?? "");
  }

  async start() {
    const hls = loadHls();
    hls.catch(() => {}); // it is told below, in its turn
    let known;
    for (;;) {
      try {
        const early = this.api.get("api/recorders").catch(() => null); // it mostly needs no password, or has a session
        await this.session.open();
        known = (await early) ?? (await this.api.get("api/recorders"));
        break;
      } catch (error) {
        this.banner(`${error.message} Trying again every ${RETRY_MS / 1000} s.`);
        await pause(RETRY_MS);
      }
    }
    this.banner(null);
    this.learn(known);
    find("loading").hidden = false; // what is late is told
    Object.assign(this, await hls);
    find("loading").hidden = true;
    this.build(known);
  }

  learn(known) {
    this.recorders = known.recorders;
    this.ahead += known.now_us - this.now();
    this.recorderZone = Zone.of(known.zone, known.offset_minutes);
    say(find("version"), `videostore ${known.version}`);
  }

  build() {
    const asked = readAddress(location.hash);
    this.useUtc = asked.utc;
    this.pictures = new Pictures(this.api);
    this.playhead = new Playhead(this.now);
    this.view = new View(this.now() - HOUR_US, this.now(), this.end);
    if (asked.from !== null && asked.to !== null) this.view.set(asked.from, asked.to);
    this.timelines = new Map();
    this.list = new RecorderList(this, asked.recorders);
    const shared = { api: this.api, zone: this.zone, now: this.now };
    const live = () => this.commands.live();
    const recorder = () => this.playhead.focus?.recorder ?? this.recorders[0];
    const onChange = () => this.changed();
    this.clip = new Clip({ ...shared, recorder, onChange });
    Object.assign(this.clip.marks, { in: asked.in, out: asked.out });
    const choose = (from, to) => this.commands.showDay(from, to);
    this.calendar = new Calendar({ ...shared, recorder, choose });
    const onMarked = (id) => this.timelineOf(id).forget();
    this.events = new Events({ ...shared, recorder, go: (us) => this.commands.showEvent(us), onRemoved: onMarked });
    const shown = () => this.commands.shownFrame();
    this.mark = new Mark({ ...shared, recorder, clip: this.clip, shown, say: this.word, onMarked });
    this.health = new Health({ ...shared, recorder, recorders: () => this.recorders });
    const { view, clip, playhead, pictures } = this;
    this.section = new LaneSection({ ...shared, end: this.end, view, clip, playhead, pictures, live, onChange });
    this.address = new Address(() => this.addressText());
    this.link = new LinkDialog(this.address);
    this.commands = new Commands(this);
    listen(this.commands);
    this.bind();
    this.begin(asked);
    clip.changed();
  }

  bind() {
    const { playhead } = this;
    playhead.addEventListener("change", () => this.changed());
    playhead.addEventListener("skipped", ({ detail }) => this.tellSkipped(detail));
    playhead.addEventListener("end", () => this.word("Nothing is recorded after this."));
    playhead.addEventListener("begin", () => this.word("Nothing is recorded before this."));
    setInterval(() => this.refresh(), REFRESH_MS);
    window.addEventListener("hashchange", () => this.begin(readAddress(location.hash)));
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  /** Show what the address asks for; otherwise live, or the end of what is recorded. */
  async begin(asked) {
    this.beginnings += 1;
    try {
      if (asked.at !== null) {
        if (asked.from === null) this.view.set(asked.at - HOUR_US / 2, asked.at + HOUR_US / 2);
        this.view.follow(asked.at);
        await this.playhead.go(asked.at);
      } else if (this.commands.isGrowing) await this.commands.live();
      else await this.commands.latest();
    } finally {
      this.playhead.place();
      this.beginnings -= 1;
    }
    this.changed();
  }

  /** Whether it is not known yet what to show first. */
  get isBeginning() {
    return this.beginnings > 0;
  }

  timelineOf(id) {
    if (!this.timelines.has(id)) {
      this.timelines.set(id, new Timeline(this.api, id, { now: this.now, onChange: () => this.section?.draw() }));
    }
    return this.timelines.get(id);
  }

  changed() {
    if (!this.commands) return;
    const { playhead, view } = this;
    if (playhead.playing && playhead.us !== null && !this.section.scrubbing) view.follow(playhead.us);
    this.section.draw();
    this.commands.render();
    this.list.render();
    if (!playhead.playing || playhead.isLive) this.address.changed();
  }

  addressText() {
    const { playhead, view, clip } = this;
    return writeAddress({
      at: playhead.shownUs,
      live: playhead.isLive,
      from: view.from,
      to: view.to,
      marks: clip.marks,
      recorders: this.list.chosen,
      utc: this.useUtc,
    });
  }

  tellSkipped({ from_us, to_us }) {
    const gap = this.playhead.focus?.timeline.gapAt(from_us + (to_us - from_us) / 2);
    this.word(`Skipped ${lengthText(to_us - from_us)} without recording${gap?.reason ? `: ${gap.reason}` : ""}.`);
  }

  /** Whether nothing was recorded when the page was opened, and it was left alone since. */
  get isWaiting() {
    const { us, playing } = this.playhead;
    if (us === null) return true;
    const isLeft = us === this.waitingAt && !playing && this.clip.marks.in === null && this.clip.marks.out === null;
    return isLeft && this.commands.isGrowing;
  }

  /** Look again at what changes by itself. */
  async refresh() {
    if (document.hidden || this.refreshing || !this.section) return;
    this.refreshing = true;
    try {
      const known = await this.api.get("api/recorders");
      this.learn(known);
      this.list.update();
      this.health.render();
      this.banner(null);
      for (const screen of this.playhead.screens) {
        screen.timeline.retryAt = 0;
        screen.retry();
        if (screen.player.isLive) screen.stamp();
      }
      this.playhead.endWhatRests();
      if (this.isWaiting && !this.isBeginning && !this.playhead.isScrubbed) await this.begin({ at: null });
    } catch (error) {
      if (error.status !== 401) this.banner(error.message);
    } finally {
      this.refreshing = false;
    }
    this.section.draw();
  }

  /** The session is open again: play at once what was refused. */
  goOn() {
    this.refresh();
    for (const screen of this.playhead?.screens ?? []) screen.retry({ atOnce: true });
  }

  showHelp() {
    openDialog(find("help"));
  }
}

export const started = new Page().start();
