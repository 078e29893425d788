// Whether this browser can decode what was recorded, and how to say that it cannot.

import { MINUTE_US } from "./units.mjs";

const ALONE_US = 20 * MINUTE_US;
const NAMES = [
  [/^(hvc1|hev1)/, "H.265"],
  [/^(avc1|avc3)\.(6e|7a|f4)/i, "H.264 with more than 8 bit or 4:2:0 colours"],
  [/^(avc1|avc3)/, "H.264"],
  [/^av01/, "AV1"],
  [/^vp09/, "VP9"],
];

/** The plain name of a codec of a stream: "H.265 (hvc1.1.6.L93.B0)". */
export function codecName(codec) {
  const profile = /^(hvc1|hev1)\.[^.]*2\./.test(codec) ? " with 10 bit" : "";
  const name = NAMES.find(([pattern]) => pattern.test(codec))?.[1];
  return name ? `${name}${profile} (${codec})` : codec || "this codec";
}

/** Whether a stream of this codec can be played here. */
export function canPlay(codec) {
  const source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
  return Boolean(source?.isTypeSupported(`video/mp4; codecs="${codec}"`));
}

export function cannotPlayText(codec) {
  return `This browser cannot decode ${codecName(codec)}. Single pictures are shown instead of moving ones. ` +
    "Another browser or a machine with a decoder for it may play it. The clip can be downloaded and played elsewhere.";
}

export const NO_HLS_TEXT =
  "This installation lacks hls.js, by which the page plays video: it was built without a network. Single pictures, " +
  "downloads and HLS players work. On the recorder: python -m scripts.page.fetch, or install the package again.";
export const NO_SOURCE_TEXT =
  "This browser plays no video that a page puts together (Media Source Extensions), as iPhones before iOS 17.1. Single " +
  "pictures are shown instead of moving ones, and clips can be downloaded. It may play the recording by itself.";

/** What a browser gets that plays by itself, as iPhones do: from what is shown on. */
export function aloneRange(shown_us, now_us) {
  const from_us = shown_us ?? now_us;
  const to_us = from_us + ALONE_US;
  return to_us < now_us ? { from_us, to_us } : { from_us };
}
