// Plays what is recorded now, some seconds behind.

import { isReached } from "./loaded_ranges.mjs";
import { INTO_FRAME_S } from "./shown_frame.mjs";
import { SECOND_US } from "./units.mjs";

const BEHIND_LIVE_S = 1.0;
const FAST_BEHIND_S = 2.0;
const FAST = 1.1;
const JUMP_BEHIND_S = 6.0;
const STILL_MS = 20_000; // live that shows no other frame for so long has stopped, if there are some
const STANDS_MS = 5_000; // a shorter halt is not told
const TRIES = 3; // to begin
const INTO_FILE_S = 0.02; // what is nearer to its begin may be looked for in the file before

export class LiveEdge {
  constructor(player, stillMs = STILL_MS) {
    Object.assign(this, { player, stillMs });
    this.isSeldomKeyed = false; // whether live had to begin earlier, with a keyframe
    this.starts = 0; // how often live was begun at most since it was asked for
    this.hasToStartAgain = false; // for nothing comes before what has no keyframe
    this.header = null; // the address of the header with which live began
    this.movedAt = performance.now(); // when another frame was shown, or what is live was loaded
    this.shownAt = performance.now(); // the same, or live was asked for
  }

  /** Where live is played: a little before the end of what is there. */
  get position() {
    const { pieces } = this.player.playlist;
    // A video that begins at 0 tells of no seek.
    return Math.max(pieces[pieces.length - 1].end - BEHIND_LIVE_S, pieces[0].start, INTO_FRAME_S);
  }

  /** Whether it shows nothing new, though something new is recorded. */
  get standsStill() {
    const { playlist, capturedUs } = this.player;
    const behindMs = (playlist.toUs - (capturedUs ?? 0)) / 1000;
    return !this.isUnseen && performance.now() - this.shownAt > STANDS_MS && !(behindMs < STANDS_MS);
  }

  /** Play live, but nothing before `fromUs`. Returns whether that is still wanted. */
  async begin(fromUs, turn) {
    const { player } = this;
    const { stream } = player;
    this.starts = 0;
    do {
      this.starts += 1;
      await stream.load({}, turn, null);
      if (turn !== player.turn) return false;
      if (player.unplayable || stream.playlist.isEmpty) return true;
      player.isLive = true;
      const position = Math.max(this.position, (stream.playlist.position(fromUs) ?? 0) + INTO_FILE_S);
      this.header = stream.playlist.pieceAt(position).header;
      stream.startLoad(position);
      await player.seeks.to(position);
      if (turn !== player.turn) return false;
    } while (this.hasToStartAgain);
    return true;
  }

  /** Begin with the piece before one, if that is of the same file. Returns whether it is. */
  startEarlier(frag) {
    const { player } = this;
    const { stream } = player;
    const before = stream.before(frag);
    if (!player.isLive || before?.cc !== frag.cc) return false;
    this.isSeldomKeyed = true;
    stream.loadFar();
    const { hls } = stream;
    setTimeout(() => {
      if (hls !== stream.hls) return;
      const position = (before.start + frag.start) / 2;
      player.video.currentTime = position; // or hls.js would load what is there, and not what is between
      hls.startLoad(position);
    });
    return true;
  }

  /** Begin again, unless it was begun so often. Returns whether it will. */
  startAgain() {
    this.hasToStartAgain = this.player.isLive && this.starts < TRIES;
    if (this.hasToStartAgain) this.player.seeks.interrupt();
    return this.hasToStartAgain;
  }

  /** Live stays live: what fell behind, for want of time or of network, plays faster, or jumps to the end. */
  keepUp() {
    const { video, playlist, capturedUs, stream } = this.player;
    if (video.paused || video.seeking) return;
    const behind = (playlist.toUs - capturedUs) / SECOND_US - playlist.longestS;
    if (behind > JUMP_BEHIND_S && (!this.isSeldomKeyed || isReached(video, this.position))) {
      video.currentTime = this.position;
      stream.tellBorder();
    } else if (behind > FAST_BEHIND_S) video.playbackRate = FAST;
    else if (behind < BEHIND_LIVE_S) video.playbackRate = 1;
  }

  /** Whether it need not move: what is hidden is not painted. */
  get isUnseen() {
    return document.hidden || this.player.isOnHold;
  }

  /** What shows nothing new, though it is recorded, begins again. */
  watch() {
    const { player } = this;
    if (this.isUnseen) this.movedAt = this.shownAt = performance.now();
    const behindMs = (player.playlist.toUs - (player.capturedUs ?? 0)) / 1000;
    if (Math.min(performance.now() - this.movedAt, behindMs) < this.stillMs) return;
    player.failed(`no picture has come for ${this.stillMs / 1000} s`, { passes: true });
  }

  /** Forget what holds for what was loaded. */
  reset() {
    this.isSeldomKeyed = false;
    this.hasToStartAgain = false;
  }
}
