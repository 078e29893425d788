// The frame that a video element shows.

import { SECOND_US } from "./units.mjs";

export const INTO_FRAME_S = 0.0001; // times are rounded: a position a little inside the frame shows this frame
export const INTO_INSTANT_S = 0.0000003; // the same where a browser shows a frame for a microsecond
const INSTANT_S = 0.00001;

/** Its time in the media, in seconds; null where the browser does not tell. */
export function shownTime(video) {
  if (typeof VideoFrame === "undefined" || video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
  try {
    const frame = new VideoFrame(video);
    const { timestamp } = frame;
    frame.close();
    return timestamp === Math.floor(video.currentTime) ? null : timestamp / SECOND_US; // Firefox tells whole seconds
  } catch {
    return null;
  }
}

/** Whether this browser shows a frame at its begin only, and has nothing between two: WebKit with GStreamer takes from
 * H.264 how long a frame is, and there a camera without a constant rate has a million frames a second. */
export function hasInstants({ buffered }) {
  for (let number = 0; number < buffered.length; number += 1) {
    if (buffered.end(number) - buffered.start(number) < INSTANT_S) return true;
  }
  return false;
}

/** Resolves when the next frame is presented. */
export function nextFrame(video) {
  return new Promise((resolve) => {
    video.requestVideoFrameCallback(resolve);
  });
}
