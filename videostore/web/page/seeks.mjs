// Moves a video element to a position, and waits until its frame is on the screen.

import { LATE, LIMIT_MS, PRESENTED_MS, late } from "./late.mjs";
import { isLoaded, isReached } from "./loaded_ranges.mjs";
import { INTO_FRAME_S, nextFrame, shownTime } from "./shown_frame.mjs";

const FRESH_MS = 300; // and one more after it, where the browser does not tell which frame it shows
const REACH_MS = 50;

export class Seeks {
  constructor(player) {
    this.player = player;
    this.end = null; // ends what is waited for
  }

  /** Wait no longer: what cannot be decoded, or is gone, is never sought to. */
  interrupt() {
    this.end?.();
  }

  get interrupted() {
    return new Promise((resolve) => {
      this.end = resolve;
    });
  }

  async to(position) {
    const { player } = this;
    const { stream, video } = player;
    if (video.readyState === HTMLMediaElement.HAVE_NOTHING) {
      const { start } = stream.playlist.pieceAt(position);
      if (stream.isFirst(position)) await this.begun();
      // WebKit on Linux shows the last reordered frame of a file only when it has shown one before.
      else if (player.believesRate && position > start + player.inside) await this.to(start + player.inside);
      if (player.edge.isSeldomKeyed) return; // it began earlier than that, and goes on there when all between is loaded
    }
    const isThere = Math.abs(video.currentTime - position) < INTO_FRAME_S / 2 && video.readyState >= 2 && !video.seeking;
    if (isThere && player.mediaTime <= position) return;
    if (stream.isWithheld(position) || player.edge.hasToStartAgain || player.trouble) return;
    const presented = nextFrame(video);
    const sought = new Promise((resolve) => {
      video.addEventListener("seeked", resolve, { once: true });
    });
    player.setLoading(true);
    video.currentTime = position;
    const { interrupted } = this;
    if ((await Promise.race([sought, interrupted, late(LIMIT_MS)])) === LATE) {
      player.failed(`no picture came within ${LIMIT_MS / 1000} s`, { passes: true });
    }
    await Promise.race([presented, interrupted, late(PRESENTED_MS)]);
    await this.takeShown(position);
    player.setLoading(false);
  }

  /** Resolves when the video shows its begin: WebKit fails if it is sought elsewhere before. */
  async begun() {
    const loaded = new Promise((resolve) => {
      this.player.video.addEventListener("loadeddata", resolve, { once: true });
    });
    await Promise.race([loaded, this.interrupted, late(PRESENTED_MS)]);
  }

  /** Take the time of the frame that is on the screen: the one presented last may be from before the seek. */
  async takeShown(position) {
    const { player } = this;
    const time = shownTime(player.video);
    if (time !== null) {
      if (Math.abs(time - player.mediaTime) < INTO_FRAME_S / 2) return;
      player.mediaTime = time;
      player.update();
    } else if (Math.abs(player.mediaTime - position) > INTO_FRAME_S) {
      await Promise.race([nextFrame(player.video), late(FRESH_MS)]);
    }
  }

  /** What still grows has pieces without a keyframe: load from the keyframe before a position on. */
  async approach(position, us, turn) {
    const { player } = this;
    const { stream, video } = player;
    if (!stream.openEnded || isLoaded(video, position)) return;
    const from = stream.playlist.position(await player.times.keyframeBefore(us));
    if (turn !== player.turn || from === null) return;
    if (stream.playlist.pieceAt(from) === stream.playlist.pieceAt(position)) return;
    stream.loadFar();
    await this.to(from + player.inside);
    const until = performance.now() + LIMIT_MS;
    const goesOn = () => turn === player.turn && !player.trouble && !player.unplayable && performance.now() < until;
    while (!isReached(video, position) && goesOn()) await late(REACH_MS);
  }
}
