// Goes on with what stands still though what follows is loaded, as Chromium does after it was asleep.

import { isReached } from "./loaded_ranges.mjs";

const STANDS_MS = 3_000; // what is loaded is decoded sooner, also on a slow computer
const LOOK_MS = 500;
const AHEAD_S = 1; // of what is loaded: less may be what the browser waits for

/** Seek a player to what it shows if it shall play, does not, and has what it needs; live, to where its clock is, which
 * goes on while the computer is asleep. Returns the timer. */
export function watchStandstill(player) {
  const { video } = player;
  let [at, since] = [video.currentTime, performance.now()];
  return setInterval(() => {
    const isDue = player.moves && player.doneTurn === player.turn && !video.paused && !video.seeking && !video.ended;
    const stands = isDue && video.currentTime === at && video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    if (!stands || !isReached(video, at + AHEAD_S)) [at, since] = [video.currentTime, performance.now()];
    else if (performance.now() - since > STANDS_MS) {
      since = performance.now();
      video.currentTime = player.isLive ? at : (player.mediaTime ?? at) + player.inside;
    }
  }, LOOK_MS);
}
