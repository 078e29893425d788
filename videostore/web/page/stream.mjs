// What a player has loaded: a playlist that hls.js plays in its video element.

import { ApiError } from "./api.mjs";
import { failureText } from "./failure.mjs";
import { forgetUnlisted, placing } from "./first_shown.mjs";
import { endingHeaders } from "./header_loads.mjs";
import { keyedFirst } from "./keyed_start.mjs";
import { LATE, LIMIT_MS, late } from "./late.mjs";
import { Playlist } from "./playlist.mjs";
import { keepingTracks } from "./same_tracks.mjs";
import { hasInstants } from "./shown_frame.mjs";
import { dividing, stretchesFrames } from "./single_frames.mjs";
import { unstalled } from "./stalls.mjs";
import { frameLength, rating } from "./stated_rate.mjs";
import { MINUTE_US, SECOND_US } from "./units.mjs";
import { wholePieces } from "./whole_pieces.mjs";
import { withoutSound } from "./without_sound.mjs";

const BEFORE_US = MINUTE_US;
const AFTER_US = 20 * MINUTE_US;
const LONGEST_GROWING_US = 60 * MINUTE_US; // a playlist that grows is left for a shorter one after this
const BORDER_S = 0.3; // at the end of a file its sound may end so much before the video, or behind it
const END_MS = 500; // WebKit on Linux hangs where a stream ends just when it is sought
const TRIES = 3; // to recover from an error of the decoder
const BACK_US = SECOND_US; // the end of a live playlist moves by less, but for the clock
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

export class Stream {
  constructor(player, longestUs = LONGEST_GROWING_US) {
    Object.assign(this, { player, longestUs });
    this.hls = null;
    this.playlist = new Playlist([]);
    this.openEnded = undefined; // whether it may grow; undefined while nothing is loaded
    this.withheld = new Set(); // addresses of headers of files that cannot follow what is loaded
    this.borderUs = null; // where the file begins that has to be loaded to go on
    this.abandon = null; // ends the waiting for the playlist
  }

  /** Whether a moment is in what is loaded. */
  has(us) {
    return !this.playlist.isEmpty && us >= this.playlist.fromUs && us < this.playlist.toUs;
  }

  /** Load what is around a moment. */
  async loadAround(us, turn) {
    const to = us + AFTER_US;
    await this.load({ from_us: us - BEFORE_US, to_us: to < this.player.now() ? to : undefined, at_us: us }, turn, us);
  }

  /** Load a playlist and wait until its fragments are known, or it failed. */
  async load(query, turn, us) {
    const { player } = this;
    player.unload();
    player.edge.movedAt = performance.now();
    this.openEnded = query.to_us === undefined;
    player.setLoading(true);
    const url = player.api.playlistUrl(player.recorder.id, query);
    try {
      const near = player.believesRate ? await player.times.until(us ?? player.now()) : null;
      const begin = this.openEnded && us !== null ? await player.times.keyframeBefore(us) : us;
      if (turn !== player.turn) return;
      const loaded = await Promise.race([this.attach(url, begin, near), late(LIMIT_MS)]);
      if (loaded === LATE && turn === player.turn) player.failed("the server did not answer in time", { passes: true });
    } catch (error) {
      if (turn === player.turn) player.failed(error.message, { passes: !(error instanceof ApiError) });
    } finally {
      if (turn === player.turn) player.setLoading(false);
    }
  }

  /** Whether a position lies in what is loaded first. */
  isFirst(position) {
    return position < this.playlist.pieces[0]?.end;
  }

  startLoad(position) {
    this.hls.startLoad(this.isFirst(position) ? this.playlist.pieces[0].start : position);
  }

  /** Load far behind what is shown. */
  loadFar() {
    Object.assign(this.hls.config, SELDOM_KEYED);
  }

  /** What hls.js calls the fragment before one. */
  before(frag) {
    return this.hls.levels[frag.level]?.details?.fragments.find(({ sn }) => sn === frag.sn - 1);
  }

  /** `near`: the capture times of frames, where the browser has to be told how long one lasts. */
  attach(url, us, near) {
    const { Hls, edge, seeks, video } = this.player;
    const { Events } = Hls;
    const leads = new Map();
    const isCurrent = () => hls === this.hls;
    const leftOut = (codec) => isCurrent() && (this.player.silentCodec = codec);
    const heard = withoutSound(wholePieces(unstalled(Hls.DefaultConfig.loader)), leftOut);
    const keyed = keyedFirst(endingHeaders(heard), {
      startEarlier: (frag) => isCurrent() && edge.startEarlier(frag),
      startAgain: () => isCurrent() && edge.startAgain(),
    });
    const withhold = (address) => isCurrent() && this.withhold(address);
    const kept = keepingTracks(keyed, withhold, { eachSound: this.player.believesRate });
    const placed = placing(kept, leads);
    // WebKit would take each frame of a divided piece for a microsecond long.
    const loader = this.player.believesRate ? placed : dividing(placed, { all: stretchesFrames() });
    const hls = new Hls({ ...CONFIG, fLoader: near ? rating(loader, frameLength(near)) : loader });
    this.hls = hls;
    this.endUs = undefined;
    const learn = (_, { details }) => isCurrent() && this.learn(details, leads);
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
        if (hasInstants(video) && (!this.player.isInstant || this.player.isLive)) seeks.interrupt();
      });
      hls.on(Events.MANIFEST_LOADED, (_, { levels: [level] }) => {
        if (!level) return;
        this.player.checkCodec({ codec: level.videoCodec });
        // The playlist of what may still grow is named by another one. hls.js would ask for it only with its fragments,
        // and begin with the newest.
        if (!level.details) setTimeout(() => isCurrent() && hls.loadSource(level.url));
      });
      hls.on(Events.BUFFER_CODECS, (_, tracks) => this.player.checkCodec(tracks.video ?? tracks.audiovideo));
      hls.on(Events.ERROR, (_, data) => {
        if (data.mimeType) this.player.checkCodec({ codec: /codecs="?([^",]+)/.exec(data.mimeType)?.[1] });
        const { unplayable } = this.player;
        const isLocked = data.response?.code === 401;
        if (isLocked) this.player.api.onLocked();
        // Of a playlist that grows hls.js would leave out a piece that does not come, and not say so.
        const isLeftOut = /^fragLoad/.test(data.details) && data.frag?.gap && !this.player.isLive;
        if (isLocked || isLeftOut) {
          hls.stopLoad();
          this.player.failed(failureText(data), { passes: true });
          resolve();
          return;
        }
        const isEmpty = data.details === "levelEmptyError"; // hls.js would wait for more
        if (!data.fatal && !isEmpty) return;
        if (isEmpty && this.endUs !== undefined) return; // until something comes after the clock was set back
        if (isEmpty || data.response?.code === 404) this.playlist = new Playlist([]);
        else if (data.type === "mediaError" && !unplayable && ++tries < TRIES) {
          hls.recoverMediaError();
          hls.startLoad(video.currentTime || -1); // which it leaves to the page, as the first time
          return;
        } else if (!unplayable) this.player.failed(failureText(data), { passes: data.type === "networkError" });
        resolve();
      });
      hls.attachMedia(video);
      hls.loadSource(url);
    });
  }

  /** Take the playlist as hls.js has it by now. */
  learn(details, leads) {
    const { player } = this;
    forgetUnlisted(leads, details.fragments);
    this.playlist = new Playlist(details.fragments, leads);
    // What was recorded after the clock was set back has positions of what was loaded before.
    const isBack = this.playlist.toUs < this.endUs - BACK_US;
    this.endUs = this.playlist.toUs ?? this.endUs;
    if (player.isLive && isBack) {
      this.borderUs = this.playlist.fromUs;
      player.emit("border");
      return;
    }
    player.update();
    if (details.live && this.playlist.toUs - this.playlist.fromUs > this.longestUs) player.emit("long");
    if (player.isLive) player.edge.watch();
  }

  /** Note the header of a file that hls.js does not get. */
  withhold(address) {
    const { Hls, believesRate, seeks, video } = this.player;
    const { hls } = this;
    this.withheld.add(address);
    if (this.isWithheld(video.currentTime)) {
      seeks.interrupt();
      this.tellBorder(); // if it waits there already
    }
    // What is loaded ends here, or its last frames would wait for those behind.
    else setTimeout(() => hls === this.hls && hls.trigger(Hls.Events.BUFFER_EOS, {}), believesRate ? END_MS : 0);
  }

  /** Whether a position lies in what hls.js does not get, or behind that. */
  isWithheld(position) {
    if (this.withheld.size === 0) return false;
    return this.withheld.has(this.playlist.pieceAt(position)?.header) || position > this.player.video.duration;
  }

  get isAtBorder() {
    return this.isWithheld(this.player.video.currentTime + BORDER_S);
  }

  /** Tell that what is played has come to a file that hls.js does not get. Returns whether it has. */
  tellBorder() {
    const { moves, video, isLive } = this.player;
    if (!moves || (video.seeking && !isLive) || !this.isAtBorder) return false;
    const next = this.playlist.pieces.find(({ header, end }) => this.withheld.has(header) && end > video.currentTime);
    if (!next || next.from_us === this.borderUs) return false;
    this.borderUs = next.from_us;
    this.player.emit("border");
    return true;
  }

  unload() {
    this.abandon?.();
    this.hls?.destroy();
    this.hls = null;
    this.playlist = new Playlist([]);
    this.openEnded = undefined;
    this.withheld.clear();
    this.borderUs = null;
  }
}
