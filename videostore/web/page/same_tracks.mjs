// Keeps from hls.js the files that it cannot put behind what it has loaded.
//
// Sound that begins or ends, or another codec, makes other tracks. A browser takes no other tracks into what it plays:
// hls.js would fail, long before they are shown. WebKit on Linux takes no sound of a second file at all. The player
// loads again there.

import { inside, viewOf } from "./fragments.mjs";

const MEDIA = ["mdia"];
const DESCRIPTION = ["mdia", "minf", "stbl", "stsd"];
const KIND_AT = 8; // in hdlr
const CODEC_AT = 12; // in stsd
const NAME_BYTES = 4;
const SOUND = "soun";

/** A class that loads for hls.js, by another one. Headers with other tracks than the first one never arrive: `withhold`
 * gets their addresses. `eachSound`: nor do those of other files with sound. */
export function keepingTracks(Loader, withhold, { eachSound = false } = {}) {
  let first = null;
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...others) => {
        const { frag } = context;
        if (frag?.sn === "initSegment") {
          const tracks = tracksOf(response.data);
          const kind = eachSound && tracks.includes(SOUND) ? frag.relurl : tracks;
          first ??= kind;
          if (kind !== first) {
            withhold(frag.relurl);
            return;
          }
        }
        callbacks.onSuccess(response, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** What the tracks of a file hold, by its header: "vide avc1, soun mp4a". Empty if that cannot be read. */
export function tracksOf(header) {
  return read(header, (track) => {
    const [handler] = inside(within(track, MEDIA), "hdlr");
    return `${nameAt(handler, KIND_AT)} ${nameAt(within(track, DESCRIPTION), CODEC_AT)}`;
  });
}

/** All that a decoder needs to know of the tracks of a file, as a text to compare. Empty if that cannot be read. */
export function describe(header) {
  return read(header, (track) => {
    const { buffer, byteOffset, byteLength } = within(track, DESCRIPTION);
    return new Uint8Array(buffer, byteOffset, byteLength).join(" ");
  });
}

const within = (track, path) => path.reduce(([box], name) => inside(box, name), [track])[0];

/** What is said of each track of a header. */
function read(header, say) {
  try {
    return inside(viewOf(header), "moov").flatMap((moov) => inside(moov, "trak")).map(say).join(", ");
  } catch (error) {
    // It is cut off, or lacks a box.
    if (error instanceof RangeError || error instanceof TypeError) return "";
    throw error;
  }
}

const nameAt = (view, at) =>
  Array.from({ length: NAME_BYTES }, (_, number) => String.fromCharCode(view.getUint8(at + number))).join("");
