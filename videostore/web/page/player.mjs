// Plays one recorder: a video element, hls.js, and the capture time of the frame that is shown.

import { ApiError } from "./api.mjs";
import { canPlay } from "./codec.mjs";
import { failureText } from "./failure.mjs";
import { forgetUnlisted, placing } from "./first_shown.mjs";
import { endingHeaders } from "./header_loads.mjs";
import { keyedFirst } from "./keyed_start.mjs";
import { Playlist } from "./playlist.mjs";
import { keepingTracks } from "./same_tracks.mjs";
import { hasInstants, nextFrame, shownTime } from "./shown_frame.mjs";
import { dividing, stretchesFrames } from "./single_frames.mjs";
import { believesRate, frameLength, rating } from "./stated_rate.mjs";
import { MINUTE_US, SECOND_US } from "./units.mjs";
import { wholePieces } from "./whole_pieces.mjs";

const BEFORE_US = MINUTE_US;
const AFTER_US = 20 * MINUTE_US;
const BEHIND_LIVE_S = 1.0;
const FAST_BEHIND_S = 2.0;
const FAST = 1.1;
const JUMP_BEHIND_S = 6.0;
const LONGEST_GROWING_US = 60 * MINUTE_US; // a playlist that grows is left for a shorter one after this
const STILL_MS = 20_000; // live that shows no other frame for so long has stopped, if there are some
const LIMIT_MS = 45_000; // what has not come by then, also on a busy machine, never comes
const PRESENTED_MS = 1500; // how long after a seek a frame may take to be presented, on a busy machine
const FRESH_MS = 300; // and one more after it, where the browser does not tell which frame it shows
const BORDER_S = 0.3; // at the end of a file its sound may end so much before the video, or behind it
const INTO_FRAME_S = 0.0001; // times are rounded: a position a little inside the frame shows this frame
const INTO_FILE_S = 0.02; // what is nearer to its begin may be looked for in the file before
const INTO_INSTANT_S = 0.0000003; // the same where a browser shows a frame for a microsecond
const END_MS = 500; // WebKit on Linux hangs where a stream ends just when it is sought
const TRIES = 3; // to recover from an error of the decoder, and to begin live
const SEEK_TRIES = 5;
const MOST_CORRECTED_US = SECOND_US / 2; // by so much the time of a frame is corrected when more is known
const BACK_US = SECOND_US; // the end of a live playlist moves by less, but for the clock
const FRAME_SEARCH_US = 5_000_000;
const KEYFRAME_WIDTH = 64; // of the picture of which the time alone is wanted
const REACH_MS = 50;
const CONFIG = {
  enableWorker: false,
  liveSyncDuration: 2,
  autoStartLoad: false,
  backBufferLength: 30,
  maxBufferLength: 20,
  maxMaxBufferLength: 60,
  maxBufferHole: 0.3,
  maxFragLookUpTolerance: 0.001, // otherwise near a fragment's end the next one is loaded first, and shown
};

// From a keyframe that lies longer back, all has to be loaded up to the end of what is live, and no more bytes than hls.js
// allows.
const SELDOM_KEYED = { maxBufferLength: 120, maxMaxBufferLength: 120 };

const LATE = Symbol("late");
const late = (ms) => new Promise((resolve) => setTimeout(resolve, ms, LATE));

/** Events: `frame` (a frame is shown), `play` and `pause` (it begins and ends to move), `state` (something to be said has
 * changed), `ended` (what is there is played), `border` (what can be loaded with that is played, and `borderUs` follows),
 * `long` (the playlist has grown so long that another one is better). */
export class Player extends EventTarget {
  /** `Hls` is the class of hls.js; null where it is missing. */
  constructor(recorder, video, { api, Hls, now, longestUs = LONGEST_GROWING_US, stillMs = STILL_MS }) {
    super();
    Object.assign(this, { recorder, video, api, Hls, now, longestUs, stillMs });
    this.hls = null;
    this.playlist = new Playlist([]);
    this.capturedUs = null;
    this.datedTime = undefined; // of the frame that `capturedUs` is of
    this.isLive = false;
    this.rate = 1;
    this.trouble = null; // {text, passes}: why no picture moves
    this.unplayable = null; // the codec that this browser cannot decode
    this.sought = null; // {position, us}: what was sought last
    this.known = null; // {mediaTime, us}: the capture time of a frame that was sought
    this.believesRate = believesRate();
    this.inside = this.believesRate ? INTO_INSTANT_S : INTO_FRAME_S; // how far inside the frame that is sought
    this.loading = false;
    this.errors = 0; // of the video, since it showed a frame
    this.withheld = new Set(); // addresses of headers of files that cannot follow what is loaded
    this.borderUs = null; // where the file begins that has to be loaded to go on
    this.isSeldomKeyed = false; // whether live had to begin earlier, with a keyframe
    this.moves = false; // whether it plays, or will when it has what to play
    this.starts = 0; // how often live was begun at most since it was asked for
    this.hasToStartAgain = false; // for nothing comes before what has no keyframe
    this.liveHeader = null; // the address of the header with which live began
    this.turn = 0;
    this.watchFrames();
    for (const name of ["waiting", "stalled"]) video.addEventListener(name, () => this.setLoading(true));
    video.addEventListener("waiting", () => this.tellBorder());
    for (const name of ["playing", "seeked", "canplay"]) video.addEventListener(name, () => this.setLoading(false));
    video.addEventListener("ended", () => this.isAtBorder ? this.tellBorder() : this.emit("ended"));
    video.addEventListener("error", () => this.broken());
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
      this.movedAt = performance.now();
      this.mediaTime = mediaTime;
      this.update();
      this.learnFrame();
      this.video.requestVideoFrameCallback(shown);
    };
    this.video.requestVideoFrameCallback(shown);
  }

  /** Take the time of the frame that is on the screen: the one presented last may be from before the seek. */
  async takeShown(position) {
    const time = shownTime(this.video);
    if (time !== null) {
      if (Math.abs(time - this.mediaTime) < INTO_FRAME_S / 2) return;
      this.mediaTime = time;
      this.update();
    } else if (Math.abs(this.mediaTime - position) > INTO_FRAME_S) {
      await Promise.race([nextFrame(this.video), late(FRESH_MS)]);
    }
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
    if (this.isLive) this.keepUp();
    this.emit("frame");
  }

  /** Live stays live: what fell behind, for want of time or of network, plays faster, or jumps to the end. */
  keepUp() {
    const { video, playlist } = this;
    if (video.paused || video.seeking) return;
    const behind = (playlist.toUs - this.capturedUs) / SECOND_US - playlist.longestS;
    if (behind > JUMP_BEHIND_S && (!this.isSeldomKeyed || this.isReached(this.livePosition))) {
      video.currentTime = this.livePosition;
      this.tellBorder();
    } else if (behind > FAST_BEHIND_S) video.playbackRate = FAST;
    else if (behind < BEHIND_LIVE_S) video.playbackRate = 1;
  }

  /** Live that shows nothing new, though it is recorded, begins again. What is hidden is not painted. */
  watchLive() {
    if (document.hidden) this.movedAt = performance.now();
    const behindMs = (this.playlist.toUs - (this.capturedUs ?? 0)) / 1000;
    if (Math.min(performance.now() - this.movedAt, behindMs) < this.stillMs) return;
    this.failed(`no picture has come for ${this.stillMs / 1000} s`, { passes: true });
  }

  /** Where live is played: a little before the end of what is there. */
  get livePosition() {
    const { pieces } = this.playlist;
    // A video that begins at 0 tells of no seek.
    return Math.max(pieces[pieces.length - 1].end - BEHIND_LIVE_S, pieces[0].start, INTO_FRAME_S);
  }

  /** Whether this browser shows each frame at its begin only (`hasInstants`), and may take another one for it. */
  get isInstant() {
    return this.inside < INTO_FRAME_S;
  }

  /** Whether a moment is in what is loaded. */
  has(us) {
    return !this.playlist.isEmpty && us >= this.playlist.fromUs && us < this.playlist.toUs;
  }

  /** Show the frame of a moment. Returns the nearest moments where nothing is recorded there, otherwise null. */
  async show(us) {
    if (!this.Hls) return null;
    const turn = ++this.turn;
    this.sought = null;
    this.isLive = false;
    if (!this.has(us) || this.openEnded === undefined) {
      await this.loadAround(us, turn);
      if (turn !== this.turn) return null;
    }
    if (this.unplayable || this.trouble) return null; // what could not be asked for is no gap
    const position = this.playlist.position(us);
    if (position === null) return this.playlist.around(us);
    let frameUs = this.isInstant ? await this.frameBefore(us) : us;
    if (turn !== this.turn) return null;
    let at = this.playlist.position(frameUs) ?? position;
    await this.approach(at, us, turn);
    if (turn !== this.turn || this.unplayable || this.trouble) return null;
    for (let tries = 0; tries < SEEK_TRIES; tries += 1) {
      await this.seek(at + this.inside);
      if (turn === this.turn && this.isWithheld(at)) {
        await this.loadAround(us, turn);
        if (turn !== this.turn || this.unplayable || this.trouble) return null;
        at = this.playlist.position(frameUs);
        if (at === null) return this.playlist.around(us); // it is gone by now
        continue;
      }
      // The true times of frames are known when they are loaded; before, those of the playlist are summed up.
      const now = this.playlist.position(frameUs);
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
        frameUs = await this.frameBefore(frameUs);
        at = this.playlist.position(frameUs) ?? now;
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
    const frameUs = await this.frameBefore(sought.us);
    if (turn !== this.turn || mediaTime !== this.mediaTime) return;
    this.known = { mediaTime, us: frameUs };
    this.update();
  }

  /** The capture time of the last frame up to a moment. */
  async frameBefore(us) {
    const frames = await this.framesUntil(us);
    return frames[frames.length - 1] ?? us;
  }

  /** The capture times of some frames up to a moment. */
  async framesUntil(us) {
    const range = { from_us: us - FRAME_SEARCH_US, to_us: us + 1 };
    const url = this.api.recorderUrl(this.recorder.id, "frames", range);
    const { frames_us: frames } = await this.api.get(url).catch(() => ({ frames_us: [] }));
    return frames;
  }

  /** The capture time of the keyframe with which a browser has to begin, to show a moment. */
  async keyframeBefore(us) {
    const url = this.api.recorderUrl(this.recorder.id, "frame.jpg", { at_us: us, width: KEYFRAME_WIDTH, exact: 0 });
    const captured = (response) => Number(response.headers.get("X-Capture-Time-Us"));
    return Math.min((await this.api.read(url, captured).catch(() => 0)) || us, us);
  }

  /** What still grows has pieces without a keyframe: load from the keyframe before a position on. */
  async approach(position, us, turn) {
    if (!this.openEnded || this.isLoaded(position)) return;
    const from = this.playlist.position(await this.keyframeBefore(us));
    if (turn !== this.turn || from === null || this.playlist.pieceAt(from) === this.playlist.pieceAt(position)) return;
    Object.assign(this.hls.config, SELDOM_KEYED);
    await this.seek(from + this.inside);
    const until = performance.now() + LIMIT_MS;
    const goesOn = () => turn === this.turn && !this.trouble && !this.unplayable && performance.now() < until;
    while (!this.isReached(position) && goesOn()) await late(REACH_MS);
  }

  /** Whether a position lies in what is loaded first. */
  isFirst(position) {
    return position < this.playlist.pieces[0]?.end;
  }

  startLoad(position) {
    this.hls.startLoad(this.isFirst(position) ? this.playlist.pieces[0].start : position);
  }

  /** Begin live with the piece before one, if that is of the same file. Returns whether it is. */
  startEarlier(frag) {
    const { hls, video } = this;
    const before = hls.levels[frag.level]?.details?.fragments.find(({ sn }) => sn === frag.sn - 1);
    if (!this.isLive || before?.cc !== frag.cc) return false;
    this.isSeldomKeyed = true;
    Object.assign(hls.config, SELDOM_KEYED);
    setTimeout(() => {
      if (hls !== this.hls) return;
      const position = (before.start + frag.start) / 2;
      video.currentTime = position; // or hls.js would load what is there, and not what is between
      hls.startLoad(position);
    });
    return true;
  }

  /** Whether a position follows what is shown without a hole. What is not loaded may begin without a keyframe. */
  isReached(position) {
    const { currentTime } = this.video;
    return this.loadedRanges.some(([from, to]) => from <= currentTime && position < to);
  }

  isLoaded(position) {
    return this.loadedRanges.some(([from, to]) => from <= position && position < to);
  }

  get loadedRanges() {
    const { buffered } = this.video;
    return Array.from({ length: buffered.length }, (_, number) => [buffered.start(number), buffered.end(number)]);
  }

  async seek(position) {
    const { video } = this;
    if (video.readyState === HTMLMediaElement.HAVE_NOTHING) {
      const { start } = this.playlist.pieceAt(position);
      if (this.isFirst(position)) await this.begun();
      // WebKit on Linux shows the last reordered frame of a file only when it has shown one before.
      else if (this.believesRate && position > start + this.inside) await this.seek(start + this.inside);
    }
    const isThere = Math.abs(video.currentTime - position) < INTO_FRAME_S / 2 && video.readyState >= 2 && !video.seeking;
    if (isThere && this.mediaTime <= position) return;
    if (this.isWithheld(position) || this.hasToStartAgain || this.trouble) return;
    const presented = nextFrame(video);
    const sought = new Promise((resolve) => {
      video.addEventListener("seeked", resolve, { once: true });
    });
    this.setLoading(true);
    video.currentTime = position;
    // What cannot be decoded, or is gone, is never sought to.
    const interrupted = new Promise((resolve) => {
      this.interrupt = resolve;
    });
    if ((await Promise.race([sought, interrupted, late(LIMIT_MS)])) === LATE) {
      this.failed(`no picture came within ${LIMIT_MS / 1000} s`, { passes: true });
    }
    await Promise.race([presented, interrupted, late(PRESENTED_MS)]);
    await this.takeShown(position);
    this.setLoading(false);
  }

  /** Resolves when the video shows its begin: WebKit fails if it is sought elsewhere before. */
  async begun() {
    const interrupted = new Promise((resolve) => {
      this.interrupt = resolve;
    });
    const loaded = new Promise((resolve) => {
      this.video.addEventListener("loadeddata", resolve, { once: true });
    });
    await Promise.race([loaded, interrupted, late(PRESENTED_MS)]);
  }

  /** Play what is recorded now, some seconds behind, but nothing before `fromUs`. Returns whether that is still wanted. */
  async live(fromUs = null) {
    const turn = ++this.turn;
    if (!this.Hls) {
      this.isLive = true;
      return true;
    }
    this.starts = 0;
    do {
      this.starts += 1;
      await this.load({}, turn, null);
      if (turn !== this.turn) return false;
      if (this.unplayable || this.playlist.isEmpty) return true;
      this.isLive = true;
      const position = Math.max(this.livePosition, (this.playlist.position(fromUs) ?? 0) + INTO_FILE_S);
      this.liveHeader = this.playlist.pieceAt(position).header;
      this.startLoad(position);
      await this.seek(position);
      if (turn !== this.turn) return false;
    } while (this.hasToStartAgain);
    return true;
  }

  /** Begin live again, unless it was begun so often. Returns whether it will. */
  startAgain() {
    this.hasToStartAgain = this.isLive && this.starts < TRIES;
    if (this.hasToStartAgain) this.interrupt?.();
    return this.hasToStartAgain;
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

  /** Load what is around a moment. */
  async loadAround(us, turn) {
    const to = us + AFTER_US;
    await this.load({ from_us: us - BEFORE_US, to_us: to < this.now() ? to : undefined, at_us: us }, turn, us);
  }

  /** Load a playlist and wait until its fragments are known, or it failed. */
  async load(query, turn, us) {
    this.unload();
    this.movedAt = performance.now();
    this.openEnded = query.to_us === undefined;
    this.setLoading(true);
    const url = this.api.playlistUrl(this.recorder.id, query);
    try {
      const near = this.believesRate ? await this.framesUntil(us ?? this.now()) : null;
      const begin = this.openEnded && us !== null ? await this.keyframeBefore(us) : us;
      if (turn !== this.turn) return;
      const loaded = await Promise.race([this.attach(url, begin, near), late(LIMIT_MS)]);
      if (loaded === LATE && turn === this.turn) this.failed("the server did not answer in time", { passes: true });
    } catch (error) {
      if (turn === this.turn) this.failed(error.message, { passes: !(error instanceof ApiError) });
    } finally {
      if (turn === this.turn) this.setLoading(false);
    }
  }

  /** `near`: the capture times of frames, where the browser has to be told how long one lasts. */
  attach(url, us, near) {
    const { Events } = this.Hls;
    const leads = new Map();
    const withhold = (address) => {
      if (hls !== this.hls) return;
      this.withheld.add(address);
      if (this.isWithheld(this.video.currentTime)) {
        this.interrupt?.();
        this.tellBorder(); // if it waits there already
      }
      // What is loaded ends here, or its last frames would wait for those behind.
      else setTimeout(() => hls === this.hls && hls.trigger(Events.BUFFER_EOS, {}), this.believesRate ? END_MS : 0);
    };
    const keyed = keyedFirst(endingHeaders(wholePieces(this.Hls.DefaultConfig.loader)), {
      startEarlier: (frag) => hls === this.hls && this.startEarlier(frag),
      startAgain: () => hls === this.hls && this.startAgain(),
    });
    const kept = keepingTracks(keyed, withhold, { eachSound: this.believesRate });
    const placer = placing(kept, leads);
    const loader = dividing(placer, { all: stretchesFrames() });
    const hls = new this.Hls({ ...CONFIG, fLoader: near ? rating(loader, frameLength(near)) : loader });
    this.hls = hls;
    let endUs; // of the playlist, since it has something
    const learn = (_, { details }) => {
      if (hls !== this.hls) return;
      forgetUnlisted(leads, details.fragments);
      this.playlist = new Playlist(details.fragments, leads);
      // What was recorded after the clock was set back has positions of what was loaded before.
      const isBack = this.playlist.toUs < endUs - BACK_US;
      endUs = this.playlist.toUs ?? endUs;
      if (this.isLive && isBack) {
        this.borderUs = this.playlist.fromUs;
        this.emit("border");
        return;
      }
      this.update();
      if (details.live && this.playlist.toUs - this.playlist.fromUs > this.longestUs) this.emit("long");
      if (this.isLive) this.watchLive();
    };
    return new Promise((resolve) => {
      this.abandon = resolve;
      let tries = 0;
      hls.once(Events.LEVEL_LOADED, (name, data) => {
        learn(name, data);
        if (!this.playlist.isEmpty && us !== null) this.startLoad(this.playlist.position(us) ?? 0);
        resolve();
      });
      hls.on(Events.LEVEL_UPDATED, learn);
      hls.on(Events.LEVEL_PTS_UPDATED, learn);
      hls.on(Events.FRAG_BUFFERED, () => {
        // Where nothing is shown between two frames, a seek to there never ends.
        if (hasInstants(this.video) && (!this.isInstant || this.isLive)) this.interrupt?.();
      });
      hls.on(Events.MANIFEST_LOADED, (_, { levels: [level] }) => {
        if (!level) return;
        this.checkCodec({ codec: level.videoCodec });
        // The playlist of what may still grow is named by another one. hls.js would ask for it only with its fragments,
        // and begin with the newest.
        if (!level.details) setTimeout(() => hls === this.hls && hls.loadSource(level.url));
      });
      hls.on(Events.BUFFER_CODECS, (_, tracks) => this.checkCodec(tracks.video ?? tracks.audiovideo));
      hls.on(Events.ERROR, (_, data) => {
        if (data.mimeType) this.checkCodec({ codec: /codecs="?([^",]+)/.exec(data.mimeType)?.[1] });
        const isEmpty = data.details === "levelEmptyError"; // hls.js would wait for more
        if (!data.fatal && !isEmpty) return;
        if (isEmpty && endUs !== undefined) return; // until something comes after the clock was set back
        if (isEmpty || data.response?.code === 404) this.nothing();
        else if (data.type === "mediaError" && !this.unplayable && ++tries < TRIES) {
          hls.recoverMediaError();
          hls.startLoad(this.video.currentTime || -1); // which it leaves to the page, as the first time
          return;
        } else if (!this.unplayable) this.failed(failureText(data), { passes: data.type === "networkError" });
        resolve();
      });
      hls.attachMedia(this.video);
      hls.loadSource(url);
    });
  }

  /** Whether a position lies in what hls.js does not get, or behind that. */
  isWithheld(position) {
    if (this.withheld.size === 0) return false;
    return this.withheld.has(this.playlist.pieceAt(position)?.header) || position > this.video.duration;
  }

  get isAtBorder() {
    return this.isWithheld(this.video.currentTime + BORDER_S);
  }

  /** Tell that what is played has come to a file that hls.js does not get. Returns whether it has. */
  tellBorder() {
    const { playlist, video } = this;
    if (!this.moves || (video.seeking && !this.isLive) || !this.isAtBorder) return false;
    const next = playlist.pieces.find(({ header, end }) => this.withheld.has(header) && end > video.currentTime);
    if (!next || next.from_us === this.borderUs) return false;
    this.borderUs = next.from_us;
    this.emit("border");
    return true;
  }

  checkCodec(track) {
    const codec = track?.codec?.split(",")[0];
    if (!codec || canPlay(codec)) return;
    this.unplayable = codec;
    this.hls?.stopLoad();
    this.interrupt?.();
    this.emit("state");
  }

  nothing() {
    this.playlist = new Playlist([]);
  }

  /** `passes`: it lies at the network or the server, and may be over at the next attempt. */
  failed(text, { passes = false } = {}) {
    this.trouble = { text: text.replace(/\.$/, ""), passes };
    this.interrupt?.();
    this.emit("state");
  }

  unload() {
    this.interrupt?.();
    this.abandon?.();
    this.hls?.destroy();
    this.hls = null;
    this.playlist = new Playlist([]);
    this.openEnded = undefined;
    this.withheld.clear();
    this.isSeldomKeyed = false;
    this.hasToStartAgain = false;
    this.borderUs = null;
    this.mediaTime = undefined;
    this.datedTime = undefined;
    this.known = null;
    this.sought = null;
    this.unplayable = null;
    if (this.trouble) {
      this.trouble = null;
      this.emit("state");
    }
  }

  play(rate) {
    this.moves = true;
    this.emit("play");
    this.setRate(rate);
    if (this.video.ended && this.tellBorder()) return; // it would play from its begin
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
    this.unload();
    this.video.remove();
  }
}
