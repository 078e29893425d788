// Lets hls.js put the first frame that is shown where the file before ends.
//
// It puts the first time of decoding in a file there. Where frames are reordered, the first one may be shown later, and
// nothing would lie between, at each border of files, or earlier, over the end of the file before. So hls.js gets each
// piece as one that begins so much earlier, or later. What it finds in the piece is where its first frame is shown, as
// before. The playlist dates a piece otherwise: one that begins with a keyframe by that, which others may precede, and one
// that does not by when its first frame is decoded, counted from the keyframe before it.

import { inside, isOf, newAllowance, samplesOf, viewOf } from "./fragments.mjs";

const MEDIA = ["moov", "trak", "mdia", "mdhd"];
const MEDIA_SKIPPED = [12, 20]; // bytes of mdhd before the units in a second, by its version
const DEPENDS = 0x10000; // among the flags of a frame that is no keyframe

/** A class that loads for hls.js, by another one. It notes in a map, by the address of each piece, for how many seconds
 * frames are shown before the moment with which the playlist dates it. */
export function placing(Loader, leads) {
  const headers = new WeakMap(); // the bytes of each header, by what hls.js calls its fragment
  const waiting = new WeakMap(); // what to do when it is there
  const keyframes = new WeakMap(); // of each file that are known, by the same
  return class extends Loader {
    load(context, config, callbacks) {
      const { frag } = context;
      const onSuccess = (response, ...others) => {
        const succeed = () => callbacks.onSuccess(response, ...others);
        const header = frag?.initSegment;
        if (frag?.sn === "initSegment") {
          headers.set(frag, response.data);
          succeed();
          waiting.get(frag)?.();
          waiting.delete(frag);
        } else if (!header) succeed();
        else {
          const place = () => {
            if (!keyframes.has(header)) keyframes.set(header, new Map());
            const bytes = headers.get(header) ?? header.data;
            const { delayS, leadS } = firstShown(bytes, response.data, keyframes.get(header));
            leads.set(frag.relurl, leadS);
            beginEarlier(frag, delayS);
            succeed();
          };
          if (headers.has(header) || header.data) place();
          else waiting.set(header, place); // hls.js loads both at once
        }
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** Forget what is noted of pieces that are listed no more. */
export function forgetUnlisted(leads, fragments) {
  const listed = new Set(fragments.map(({ relurl }) => relurl));
  for (const address of leads.keys()) if (!listed.has(address)) leads.delete(address);
}

function beginEarlier(frag, byS) {
  if (byS === 0) return;
  const { start } = frag;
  const earlier = start - byS;
  frag.setStart(earlier);
  // By then hls.js has put it in its place, or has left it.
  setTimeout(() => frag.start === earlier && frag.setStart(start));
}

/** When a piece of a file shows its first frame, in seconds: how long after its first time of decoding, 0 if a frame
 * behind the piece may be shown earlier, and how long before the moment with which the playlist dates it. Both 0 if that
 * cannot be read. `keyframes`: how long after its decoding each of the file is shown, by when that is, as far as that is
 * known; that of the piece is added. */
export function firstShown(header, piece, keyframes = new Map()) {
  try {
    const [media] = MEDIA.reduce(([box], name) => inside(box, name), [viewOf(header)]);
    const isLong = media.getUint8(0) === 1;
    const perSecond = media.getUint32(MEDIA_SKIPPED[Number(isLong)]);
    const tracks = inside(viewOf(piece), "moof").flatMap((moof) => inside(moof, "traf"));
    const allowance = newAllowance();
    const samples = tracks.filter(isOf(tracks[0])).flatMap((one) => samplesOf(one, allowance)); // the video is the first
    const first = samples[0];
    const last = samples[samples.length - 1];
    const shown = samples.reduce((least, one) => Math.min(least, one.decoded + one.after), Infinity);
    const least = samples.reduce((less, { after }) => Math.min(less, after), 0); // as no frame is shown sooner
    if (!(first.flags & DEPENDS)) keyframes.set(first.decoded, first.after);
    const keyframe = Math.max(...[...keyframes.keys()].filter((decoded) => decoded <= first.decoded));
    const isSure = last.decoded + (last.duration ?? 0) + least >= shown;
    return {
      delayS: isSure ? (shown - first.decoded) / perSecond : 0,
      leadS: (first.decoded + (keyframes.get(keyframe) ?? first.after) - shown) / perSecond,
    };
  } catch (error) {
    // It is cut off, lacks a box, or tells of too much.
    if (error instanceof RangeError || error instanceof TypeError) return { delayS: 0, leadS: 0 };
    throw error;
  }
}
