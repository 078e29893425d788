// One recorder's picture: the video, its stamp, and what has to be said instead of a picture.

import { passes } from "./api.mjs";
import { NO_HLS_TEXT, NO_SOURCE_TEXT, aloneRange, cannotPlayText } from "./codec.mjs";
import { element, say } from "./element.mjs";
import { isDeleted } from "./lane_words.mjs";
import { Message } from "./message.mjs";
import { UnplayableFile, newestPicture } from "./newest_picture.mjs";
import { drawPicture } from "./pictures.mjs";
import { Player } from "./player.mjs";
import { ScrubPicture } from "./scrub_picture.mjs";
import { Stamp } from "./stamp.mjs";
import { MINUTE_US, SECOND_US } from "./units.mjs";

const STANDS_IN_TEXT = "The video stands still. Single pictures are shown until it goes on.";
const LATE_MS = 700; // what takes longer is said
const BETWEEN_TRIES_MS = 5000;
const STILL_WIDTH = 1280;
const MOST_AHEAD_US = 2 * SECOND_US; // of the clock, and behind it, is the end of what is being recorded
const MOST_BEHIND_US = MINUTE_US;
const EDGE_US = 2000; // into what is recorded, so that its first frame is shown

export class Screen {
  /** `context` has api, Hls, hlsMissing, pictures, now(), zone(), on (go, focus, large, latest, download, renew). */
  constructor(recorder, timeline, context) {
    Object.assign(this, { recorder, timeline, context });
    this.video = element("video", { muted: true, playsInline: true, disablePictureInPicture: true });
    this.still = element("canvas", { class: "still", hidden: true });
    this.scrubbed = new ScrubPicture();
    this.work = element("span", { class: "work", role: "status", hidden: true });
    this.beside = new Stamp();
    this.large = element("button", { type: "button", onclick: () => context.on.large(this) }, "Large");
    const caption = element("figcaption", {}, element("span", {}, recorder.name), this.large);
    this.figure = element("figure", { class: "screen", "data-recorder": recorder.id });
    this.message = new Message(this.figure);
    this.figure.append(this.video, this.still, this.scrubbed.canvas, caption);
    this.figure.append(this.beside.element, this.work, this.message.element);
    this.figure.addEventListener("pointerdown", () => context.on.focus(this));
    this.player = new Player(recorder, this.video, context);
    this.player.addEventListener("frame", () => this.stamp());
    this.player.addEventListener("moved", () => this.standsIn && !this.needsPictures && this.goOn());
    this.player.addEventListener("play", () => !this.player.unplayable && this.player.isInstant && this.hideStill());
    this.player.addEventListener("pause", () => this.fix());
    this.player.addEventListener("state", () => this.tell());
    this.player.addEventListener("long", () => context.on.renew(this));
    this.gap = null; // the moment without footage that is shown
    Object.assign(this, { before: null, after: null }); // the nearest footage on both sides of it
    this.heldAt = null; // where the playhead was when this one was ahead of it: behind a gap that others have no
    this.reached = true; // whether what is wanted was shown, and not what was before it
    this.stillUs = null;
    this.stillFailed = false; // for a reason that passes
    this.settled = null; // resolves when it is known which frame stays at a pause
    this.asksNewest = false;
    this.standsIn = false; // whether live pictures stand in for a video that stands still
    this.triedHeader = null; // of the file whose video could not be decoded live
    this.unplayableFile = null;
    this.retriedAt = -Infinity;
  }

  /** The capture time of what is shown; null where nothing is. */
  get capturedUs() {
    return this.scrubbed.us ?? this.stillUs ?? (this.gap === null ? this.player.capturedUs : null);
  }

  get held() {
    return this.heldAt !== null;
  }

  /** Show a moment. Returns whether a frame is shown. */
  async show(us) {
    this.endScrub();
    this.hideStill();
    this.gap = null;
    this.heldAt = null;
    this.wanted = us;
    this.reached = false;
    const around = await this.player.show(us);
    if (this.wanted !== us) return false;
    if (around) {
      await this.tellGap(us, around);
      return false;
    }
    this.message.clear();
    this.tell();
    const shown = this.needsPictures ? await this.showStill(us) : !this.player.trouble;
    this.reached ||= shown;
    if (this.needsPictures || !shown) return shown;
    if (this.player.isInstant) await this.showStill(us);
    this.stamp();
    return true;
  }

  /** Whether its files grow, or its module says that it records. */
  get isRecording() {
    return this.recorder.live || this.recorder.recording;
  }

  /** Whether all is played that was recorded, and nothing follows. */
  get isAtEnd() {
    const { playlist, capturedUs } = this.player;
    return !this.grows && capturedUs !== null && playlist.toUs - capturedUs < SECOND_US;
  }

  /** Whether something may be recorded behind what is loaded. What is recorded now may lie elsewhere, for the clock may
   * have been set back since. */
  get grows() {
    if (this.player.isLive) return this.isRecording;
    const ageUs = this.context.now() - this.player.playlist.toUs;
    return this.isRecording && ageUs > -MOST_AHEAD_US && ageUs < MOST_BEHIND_US;
  }

  /** The server answers: try again what failed for want of that, and live while nothing was recorded. */
  retry({ atOnce = false } = {}) {
    if (this.isLiveByPictures) this.showNewest();
    const waits = this.wanted === "live" && this.gap !== null && this.isRecording;
    if (!(this.player.trouble?.passes || waits || this.stillFailed)) return;
    if (!atOnce && performance.now() - this.retriedAt < BETWEEN_TRIES_MS) return;
    this.retriedAt = performance.now();
    if (this.stillFailed) this.showStill(this.wanted);
    else this.context.on.renew(this);
  }

  /** Show what is recorded now, but nothing before `fromUs`. */
  async live(fromUs = null) {
    this.endScrub();
    this.gap = null;
    this.heldAt = null;
    if (this.wanted !== "live") this.player.edge.shownAt = performance.now();
    if (!this.standsIn || this.wanted !== "live") this.hideStill();
    this.message.clear();
    this.wanted = "live";
    this.reached = true;
    if (!this.isRecording) this.player.rest();
    else if (!(await this.player.live(fromUs))) return;
    this.tell();
    if (this.isLiveByPictures && this.needsPictures) await this.showNewest();
    else if (this.player.playlist.isEmpty && this.wanted === "live" && !this.player.trouble) {
      this.message.put(this.restText, [["Newest", () => this.context.on.latest(this)]]);
      this.gap = this.context.now();
      this.stamp();
    }
  }

  get restText() {
    const { reason } = this.recorder;
    return `Nothing is being recorded at present${reason ? `: ${reason}` : ""}.`;
  }

  /** Whether it is live, and the video cannot be played here, or stands still. */
  get isLiveByPictures() {
    const { player } = this;
    const isLive = this.wanted === "live" && player.isLive && !player.isOnHold;
    return isLive && (this.needsPictures || (this.isRecording && player.edge.standsStill));
  }

  /** The video goes on. */
  goOn() {
    this.hideStill();
    this.tell();
  }

  /** Whether nothing can be played here, or not what is shown. */
  get needsPictures() {
    return Boolean(this.player.unplayable || this.context.hlsMissing);
  }

  /** Show the newest picture, or play live again if that can be decoded by now. */
  async showNewest() {
    if (this.asksNewest) return;
    this.asksNewest = true;
    try {
      const { player, context, recorder } = this;
      if (player.unplayable && player.liveHeader !== this.triedHeader) {
        this.triedHeader = player.liveHeader;
        this.unplayableFile = new UnplayableFile(context.api, recorder.id, player.liveHeader);
      }
      if (player.unplayable && (await this.unplayableFile.isOver())) {
        if (this.isLiveByPictures) context.on.renew(this);
        return;
      }
      const picture = await newestPicture(context.pictures, this, recorder.id, context.now(), STILL_WIDTH);
      if (!picture || !this.isLiveByPictures) return;
      if (picture.error) {
        if (this.stillUs === null) this.message.put(picture.error.message);
        return;
      }
      drawPicture(this.still, picture.bitmap);
      picture.bitmap.close();
      this.still.hidden = false;
      this.stillUs = picture.captured_us;
      this.standsIn = !this.needsPictures;
      this.tell();
      if (this.standsIn) this.stamp();
      else player.standIn(picture.captured_us);
    } catch {
      // The server does not answer, which is said.
    } finally {
      this.asksNewest = false;
    }
  }

  /** Say that nothing is recorded, and where the nearest frames are. */
  async tellGap(us, around) {
    this.gap = us;
    this.player.pause();
    const known = this.timeline.gapAt(us);
    let before = known?.from_us ?? around.before_us;
    let after = known?.to_us ?? around.after_us;
    let reason = known?.reason;
    if (before === null || after === null) {
      const { error } = await this.context.pictures.get(this, this.recorder.id, us, { width: 320 }) ?? {};
      before ??= error?.fields?.before_us ? error.fields.before_us + EDGE_US : null; // that is the frame itself
      after ??= error?.fields?.after_us ?? null;
      reason ??= error?.fields?.reason;
    }
    if (this.gap !== us) return;
    const zone = this.context.zone();
    const ways = [];
    if (before) ways.push([`◀ ${zone.timeFrom(before, us)}`, () => this.context.on.go(before - EDGE_US), "The last frame before"]);
    if (after) ways.push([`${zone.timeFrom(after, us)} ▶`, () => this.context.on.go(after + EDGE_US), "The first frame after"]);
    const why = reason ? `: ${reason}` : "";
    this.message.put(`Nothing ${isDeleted(reason) ? "is stored of" : "was recorded at"} ${zone.time(us)}${why}.`, ways);
    Object.assign(this, { before, after });
    this.stamp();
  }

  /** A picture of the server, where the video cannot be played here. */
  async showStill(us) {
    const picture = await this.context.pictures.get(this, this.recorder.id, us, { width: STILL_WIDTH, exact: true });
    const plays = this.player.moves && !this.needsPictures; // since then
    if (!picture || this.wanted !== us || plays) return false;
    if (picture.error) {
      const { before_us, after_us } = picture.error.fields ?? {};
      if (before_us || after_us) await this.tellGap(us, { before_us: before_us ?? null, after_us: after_us ?? null });
      else this.tellFailure(picture.error, us);
      return false;
    }
    if (this.stillFailed) {
      this.stillFailed = false;
      this.tell();
    }
    drawPicture(this.still, picture.bitmap);
    this.still.hidden = false;
    this.stillUs = picture.captured_us;
    this.stamp();
    return true;
  }

  tellFailure(error, us) {
    this.stillFailed = passes(error);
    const place = this.needsPictures ? "middle" : "low"; // the video shows it, to a frame
    if (this.stillFailed) this.message.put(`${error.message} Trying again …`, [["Try again", () => this.showStill(us)]], place);
    else this.message.put(error.message, [], place);
  }

  /** A browser that may show another frame than it says gets the paused one from the server, or seeks to it. */
  fix() {
    const { capturedUs, isInstant, isOnHold, unplayable } = this.player;
    if (isOnHold || unplayable || capturedUs === null || this.gap !== null || this.held) return;
    if (isInstant) this.showStill((this.wanted = capturedUs));
    else this.settled = this.player.settle();
  }

  /** The pointer looks for a moment: nothing moves until one is chosen, or none. */
  beginScrub() {
    this.player.isOnHold = true;
    if (this.player.moves) this.player.pause();
  }

  /** A small picture of a moment on which the pointer lies. */
  scrub(picture) {
    if (!picture?.bitmap || !this.player.isOnHold) return;
    this.scrubbed.show(picture);
    this.stamp();
  }

  /** Show what was shown before. */
  endScrub() {
    this.player.isOnHold = false;
    this.scrubbed.hide();
    this.stamp();
  }

  playAlone() {
    const range = aloneRange(this.capturedUs, this.context.now());
    location.assign(this.context.api.playlistUrl(this.recorder.id, range));
  }

  hideStill() {
    this.standsIn = this.stillFailed = false;
    this.still.hidden = true;
    this.stillUs = null;
    this.stamp();
  }

  /** Write when what is shown was captured. */
  stamp() {
    this.beside.write(this);
  }

  /** Say what keeps the picture from moving. */
  tell() {
    const { player } = this;
    if (this.context.hlsMissing === "unsupported") {
      this.message.put(NO_SOURCE_TEXT, [["Play the recording", () => this.playAlone()]], "low");
    } else if (this.context.hlsMissing) this.message.put(NO_HLS_TEXT, [], "low");
    else if (player.unplayable) {
      this.message.put(cannotPlayText(player.unplayable), [["Download", () => this.context.on.download(this)]], "low");
    } else if (player.trouble) {
      const again = player.trouble.passes ? " Trying again …" : "";
      const place = this.standsIn ? "low" : "middle";
      this.message.put(`It does not play: ${player.trouble.text}.${again}`, [["Try again", () => this.context.on.renew(this)]], place);
    } else if (this.standsIn) this.message.put(STANDS_IN_TEXT, [], "low");
    else if (player.isLive && this.isAtEnd) this.message.put(this.restText, [], "low");
    else if (this.gap === null) this.message.clear();
    clearTimeout(this.late);
    if (!player.loading || this.isAtEnd || this.needsPictures || this.standsIn) this.work.hidden = true;
    else {
      this.late = setTimeout(() => {
        const us = (this.reached ? this.capturedUs : null) ?? this.wanted;
        const at = this.wanted === "live" ? "the newest second" : this.context.zone().time(us);
        say(this.work, `Loading ${at} …`);
        this.work.hidden = false;
      }, LATE_MS);
    }
  }

  /** Wait for the playhead, which is in a gap of this recorder alone. */
  hold(us) {
    this.heldAt = us;
    this.player.pause();
    this.message.put(`Nothing was recorded until ${this.context.zone().timeFrom(this.player.capturedUs, us)}.`);
    this.stamp();
  }

  release(rate) {
    this.heldAt = null;
    this.message.clear();
    this.stamp();
    this.player.play(rate);
  }

  close() {
    clearTimeout(this.late);
    this.player.close();
    this.figure.remove();
  }

  static EDGE_US = EDGE_US;
}
