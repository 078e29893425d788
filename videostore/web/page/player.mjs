// Plays one recorder: a video element, what is loaded into it, and the capture time of the frame that is shown.

import { BackInSight } from "./back_in_sight.mjs";
import { canPlay } from "./codec.mjs";
import { FrameTimes } from "./frame_times.mjs";
import { LiveEdge } from "./live_edge.mjs";
import { Seeks } from "./seeks.mjs";
import { INTO_FRAME_S, INTO_INSTANT_S, hasInstants, shownTime } from "./shown_frame.mjs";
import { believesRate } from "./stated_rate.mjs";
import { watchStandstill } from "./standstill.mjs";
import { Stream } from "./stream.mjs";
import { SECOND_US } from "./units.mjs";

const TRIES = 3; // of a browser that gives up
const SEEK_TRIES = 5;
const MOST_CORRECTED_US = SECOND_US / 2; // by so much the time of a frame is corrected when more is known

/** Events: `frame` (a frame is shown), `moved` (it is one of the video), `play` and `pause` (it begins and ends to move),
 * `state` (something to be said has changed), `ended` (what is there is played), `border` (what can be loaded with that is
 * played, and `borderUs` follows), `long` (the playlist has grown so long that another one is better). */
export class Player extends EventTarget {
  /** `Hls` is the class of hls.js; null where it is missing. */
  constructor(recorder, video, { api, Hls, now, longestUs, stillMs }) {
    super();
    Object.assign(this, { recorder, video, api, Hls, now });
    this.stream = new Stream(this, longestUs);
    this.edge = new LiveEdge(this, stillMs);
    this.seeks = new Seeks(this);
    this.sight = new BackInSight(this);
    this.times = new FrameTimes(api, recorder);
    this.capturedUs = null;
    this.datedTime = undefined; // of the frame that `capturedUs` is of
    this.isLive = false;
    this.rate = 1;
    this.trouble = null; // {text, passes}: why no picture moves
    this.unplayable = null; // the codec that this browser cannot decode
    this.silentCodec = null; // that of its sound, which is left out
    this.sought = null; // {position, us}: what was sought last
    this.known = null; // {mediaTime, us}: the capture time of a frame that was sought
    this.believesRate = believesRate();
    this.inside = this.believesRate ? INTO_INSTANT_S : INTO_FRAME_S; // how far inside the frame that is sought
    this.loading = false;
    this.errors = 0; // of the video, since it showed a frame
    this.moves = false; // whether it plays, or will when it has what to play
    this.isOnHold = false; // while the pointer looks for another moment: it stands still, and shall
    this.turn = 0;
    this.doneTurn = 0; // the turn up to which all is done
    this.isSettling = false; // whether it is found out which frame it shows at rest
    this.watchFrames();
    this.standstill = watchStandstill(this);
    for (const name of ["waiting", "stalled"]) video.addEventListener(name, () => this.setLoading(true));
    video.addEventListener("waiting", () => this.stream.tellBorder());
    for (const name of ["playing", "seeked", "canplay"]) video.addEventListener(name, () => this.setLoading(false));
    video.addEventListener("ended", () => this.stream.isAtBorder ? this.stream.tellBorder() : this.emit("ended"));
    video.addEventListener("error", () => this.broken());
  }

  get playlist() {
    return this.stream.playlist;
  }

  get borderUs() {
    return this.stream.borderUs;
  }

  /** The address of the header with which live began. */
  get liveHeader() {
    return this.edge.header;
  }

  /** The browser gave up. WebKit does so by chance, where it is sought in what has just begun to come. */
  broken() {
    this.errors += 1;
    this.failed(this.video.error?.message || "the browser could not decode it", { passes: this.errors < TRIES });
  }

  emit(name) {
    this.dispatchEvent(new Event(name));
  }

  setLoading(loading) {
    if (this.loading === loading) return;
    this.loading = loading;
    this.emit("state");
  }

  watchFrames() {
    const shown = (_, { mediaTime }) => {
      this.errors = 0;
      this.sight.announce();
      this.edge.movedAt = this.edge.shownAt = performance.now();
      this.mediaTime = mediaTime;
      this.update();
      this.learnFrame();
      this.emit("moved");
      this.video.requestVideoFrameCallback(shown);
    };
    this.video.requestVideoFrameCallback(shown);
  }

  update() {
    if (this.mediaTime === undefined || this.playlist.isEmpty) return;
    const { known, mediaTime } = this;
    if (known?.mediaTime === mediaTime) this.capturedUs = known.us;
    else {
      const us = this.playlist.captured(mediaTime);
      // A playlist that grows loses its begin, or all of it where the clock is set back: a frame keeps its time.
      if (mediaTime !== this.datedTime || Math.abs(us - this.capturedUs) < MOST_CORRECTED_US) this.capturedUs = us;
    }
    this.datedTime = mediaTime;
    if (this.isLive) this.edge.keepUp();
    this.emit("frame");
  }

  /** Whether this browser shows each frame at its begin only (`hasInstants`), and may take another one for it. */
  get isInstant() {
    return this.inside < INTO_FRAME_S;
  }

  /** Show the frame of a moment. Returns the nearest moments where nothing is recorded there, otherwise null. */
  async show(us) {
    if (!this.Hls) return null;
    const turn = ++this.turn;
    const around = await this.seek(us, turn);
    if (turn === this.turn) this.doneTurn = turn;
    return around;
  }

  /** Learn which frame it shows at rest, by a seek, where the browser does not tell: Firefox may show a frame without a
   * word of it, and tells a time that is that of no frame. */
  async settle() {
    const { capturedUs, doneTurn, stream, turn, video } = this;
    const isAtRest = doneTurn === turn && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.seeking;
    if (!isAtRest || !stream.has(capturedUs) || shownTime(video) !== null) return;
    this.isSettling = true;
    try {
      await this.show(capturedUs);
    } finally {
      this.isSettling = false;
    }
  }

  async seek(us, turn) {
    const { stream } = this;
    this.sought = null;
    this.isLive = false;
    if (!stream.has(us) || stream.openEnded === undefined) {
      await stream.loadAround(us, turn);
      if (turn !== this.turn) return null;
    }
    if (this.unplayable || this.trouble) return null; // what could not be asked for is no gap
    const position = stream.playlist.position(us);
    if (position === null) return stream.playlist.around(us);
    let frameUs = this.isInstant ? await this.times.before(us) : us;
    if (turn !== this.turn) return null;
    let at = stream.playlist.position(frameUs) ?? position;
    await this.seeks.approach(at, us, turn);
    if (turn !== this.turn || this.unplayable || this.trouble) return null;
    for (let tries = 0; tries < SEEK_TRIES; tries += 1) {
      await this.seeks.to(at + this.inside);
      if (turn === this.turn && stream.isWithheld(at)) {
        await stream.loadAround(us, turn);
        if (turn !== this.turn || this.unplayable || this.trouble) return null;
        at = stream.playlist.position(frameUs);
        if (at === null) return stream.playlist.around(us); // it is gone by now
        continue;
      }
      // The true times of frames are known when they are loaded; before, those of the playlist are summed up.
      const now = stream.playlist.position(frameUs);
      const moved = Math.abs(now - at) >= INTO_FRAME_S / 2;
      const isLate = this.mediaTime > at + INTO_FRAME_S;
      const isBetween = !this.isInstant && hasInstants(this.video);
      const isRight = !(moved || isLate || isBetween);
      if (turn !== this.turn || now === null || isRight || this.unplayable || this.trouble) break;
      at = now;
      if (isBetween || (isLate && !moved && tries > 1 && shownTime(this.video) !== null)) {
        this.inside = INTO_INSTANT_S;
      }
      // A browser takes the last frame of a segment for shorter than it is, and shows the next one at its end.
      if (isBetween || (!moved && tries > 0)) {
        frameUs = await this.times.before(frameUs);
        at = stream.playlist.position(frameUs) ?? now;
      }
    }
    if (turn === this.turn) {
      this.sought = { position: at + this.inside, us: frameUs };
      await this.learnFrame();
    }
    return null;
  }

  /** Take the capture time of the frame that is shown from the server: Firefox tells the position that was sought and
   * not that of its frame. */
  async learnFrame() {
    const { mediaTime, sought, turn } = this;
    if (sought === null || Math.abs(mediaTime - sought.position) > INTO_FRAME_S / 2) return;
    const frameUs = await this.times.before(sought.us);
    if (turn !== this.turn || mediaTime !== this.mediaTime) return;
    this.known = { mediaTime, us: frameUs };
    this.update();
  }

  /** Play what is recorded now, some seconds behind, but nothing before `fromUs`. Returns whether that is still wanted. */
  async live(fromUs = null) {
    const turn = ++this.turn;
    if (this.Hls) {
      const isWanted = await this.edge.begin(fromUs, turn);
      if (turn === this.turn) this.doneTurn = turn;
      return isWanted;
    }
    this.isLive = true;
    return true;
  }

  /** A picture of the server is shown in place of the video. */
  standIn(us) {
    this.capturedUs = us;
    this.emit("frame");
  }

  /** Show nothing. */
  rest() {
    this.turn += 1;
    this.isLive = false;
    this.unload();
    this.capturedUs = null;
    this.setLoading(false);
  }

  checkCodec(track) {
    const codec = track?.codec?.split(",")[0];
    if (!codec || canPlay(codec)) return;
    this.unplayable = codec;
    this.stream.hls?.stopLoad();
    this.seeks.interrupt();
    this.emit("state");
  }

  /** `passes`: it lies at the network or the server, and may be over at the next attempt. */
  failed(text, { passes = false } = {}) {
    this.trouble = { text: text.replace(/\.$/, ""), passes };
    this.seeks.interrupt();
    this.emit("state");
  }

  unload() {
    this.seeks.interrupt();
    this.stream.unload();
    this.edge.reset();
    this.mediaTime = undefined;
    this.datedTime = undefined;
    this.known = null;
    this.sought = null;
    this.unplayable = null;
    this.silentCodec = null;
    if (this.trouble) {
      this.trouble = null;
      this.emit("state");
    }
  }

  play(rate) {
    this.moves = true;
    if (this.isSettling) this.doneTurn = ++this.turn; // or it would go back there
    this.emit("play");
    this.setRate(rate);
    if (this.video.ended && this.stream.tellBorder()) return; // it would play from its begin
    this.video.play().catch(() => {}); // replaced by another load or by a pause
  }

  setRate(rate) {
    this.rate = rate;
    this.video.defaultPlaybackRate = rate;
    this.video.playbackRate = rate;
  }

  pause() {
    this.moves = false;
    this.video.pause();
    this.emit("pause");
  }

  close() {
    this.turn += 1;
    clearInterval(this.standstill);
    this.sight.close();
    this.unload();
    this.video.remove();
  }
}
