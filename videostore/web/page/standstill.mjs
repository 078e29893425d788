// Goes on with what stands still though what follows is loaded, as Chromium and WebKit do after they were asleep; and where
// it was, as Firefox does not.

import { isReached } from "./loaded_ranges.mjs";

const STANDS_MS = 3_000; // what is loaded is decoded sooner, also on a slow computer
const LOOK_MS = 500;
const AHEAD_S = 1; // of what is loaded: less may be what the browser waits for
const ASLEEP_MS = 10_000; // a page that is only busy looks sooner
const LEAP_S = 2;

/** Seek a player to what it shows if it shall play, does not, and has what it needs; live, to where its clock is, which
 * goes on while the computer is asleep. Where a range did go on with that clock, back to what was shown. Returns the
 * timer. */
export function watchStandstill(player) {
  const { video } = player;
  let [at, since] = [video.currentTime, performance.now()];
  let last = lookAt(player);
  let before = null; // it fell asleep
  let wokeAt;
  return setInterval(() => {
    const now = performance.now();
    const isDue = player.moves && player.doneTurn === player.turn && !video.paused && !video.seeking && !video.ended;
    if (now - last.now > ASLEEP_MS && !last.isHidden && !document.hidden) [before, wokeAt] = [last, now];
    else if (now - wokeAt > STANDS_MS) before = null;
    last = lookAt(player);
    const isRange = before !== null && before.turn === player.turn && !player.isLive;
    if (isRange && isDue && video.currentTime > before.time + LEAP_S + ((now - wokeAt) / 1000) * video.playbackRate) {
      video.currentTime = before.time + player.inside;
      before = null;
      return;
    }
    const stands = isDue && video.currentTime === at;
    if (!stands || !isReached(video, at + AHEAD_S)) [at, since] = [video.currentTime, now];
    else if (now - since > STANDS_MS) {
      since = now;
      video.currentTime = player.isLive ? at : (player.mediaTime ?? at) + player.inside;
    }
  }, LOOK_MS);
}

const lookAt = ({ mediaTime, turn }) => ({ time: mediaTime, turn, now: performance.now(), isHidden: document.hidden });
