// Lets hls.js begin with a keyframe, which not each piece of a recording has that goes on.
//
// A browser takes nothing of a piece up to its first keyframe. Of a camera that sends one in two seconds or more, live
// would often begin with such a piece, and show nothing.

import { inside, newAllowance, samplesOf, viewOf } from "./fragments.mjs";

const DEPENDS = 0x10000; // among the flags of a frame that is no keyframe

/** A class that loads for hls.js, by another one. As long as none has arrived, a piece that does not begin with a
 * keyframe never does if `startEarlier`, which gets what hls.js calls its fragment, finds one before it. hls.js loads such
 * a piece again instead of one before it that could not be loaded: then it arrives if `startAgain` returns false. */
export function keyedFirst(Loader, { startEarlier, startAgain }) {
  let hasBegun = false;
  let earliest = Infinity;
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...others) => {
        const { frag } = context;
        if (frag && frag.sn !== "initSegment" && !hasBegun) {
          const isEarlier = frag.sn < earliest;
          earliest = frag.sn;
          if (!beginsKeyed(response.data) && (isEarlier ? startEarlier(frag) : startAgain())) return;
          hasBegun = true;
        }
        callbacks.onSuccess(response, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** Whether the first frame of a piece is a keyframe; true if that cannot be read. */
export function beginsKeyed(piece) {
  try {
    const [track] = inside(inside(viewOf(piece), "moof")[0], "traf"); // the video is the first
    const [first] = samplesOf(track, newAllowance());
    return !(first.flags & DEPENDS);
  } catch (error) {
    // It is cut off, lacks a box, or tells of too much.
    if (error instanceof RangeError || error instanceof TypeError) return true;
    throw error;
  }
}
