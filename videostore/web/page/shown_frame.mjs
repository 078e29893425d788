// The frame that a video element shows.

import { SECOND_US } from "./units.mjs";

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

/** Resolves when the next frame is presented. */
export function nextFrame(video) {
  return new Promise((resolve) => {
    video.requestVideoFrameCallback(resolve);
  });
}
