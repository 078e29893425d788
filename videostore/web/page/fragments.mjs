// Reads the fragments of an MP4: when each frame is decoded and shown, and where its bytes are.

const TRACK = { base: 0x1, description: 0x2, duration: 0x8, size: 0x10, flags: 0x20 };
const TRACK_BYTES = { base: 8, description: 4, duration: 4, size: 4, flags: 4 };
export const RUN = { place: 0x1, first: 0x4, duration: 0x100, size: 0x200, flags: 0x400, order: 0x800 };
export const WORD = 2 ** 32;
const MOST_FRAMES = 2 ** 16; // of a piece, with its sound; one of 10 s at 240 a second has 3,000

/** How many frames a piece may still have. Without that, a damaged count would fill the memory. */
export const newAllowance = () => ({ frames: MOST_FRAMES });

/** The frames of a fragment's track, in the order of decoding. Of each, in units of the track: when it is `decoded`, its
 * `duration`, and how long `after` that it is shown; its `size` in bytes, its `flags`, and its `place` in bytes behind
 * the begin of the fragment. What only the header of the file tells is undefined. Takes them from the allowance of the
 * piece, and throws a RangeError if that is too little. */
export function samplesOf(track, allowance) {
  const usual = usualOf(inside(track, "tfhd")[0]);
  let decoded = decodedOf(inside(track, "tfdt")[0]);
  let place = 0;
  const samples = [];
  for (const run of inside(track, "trun")) {
    const flags = run.getUint32(0);
    const count = run.getUint32(4);
    allowance.frames -= count;
    if (allowance.frames < 0) throw new RangeError("too many frames");
    let at = 8;
    const field = (flag, otherwise) => {
      if (!(flags & flag)) return otherwise;
      at += 4;
      return run.getUint32(at - 4);
    };
    place = field(RUN.place, place);
    const first = field(RUN.first);
    for (let number = 0; number < count; number += 1) {
      const duration = field(RUN.duration, usual.duration);
      const size = field(RUN.size, usual.size);
      const own = field(RUN.flags, (number === 0 ? first : undefined) ?? usual.flags);
      const after = field(RUN.order, 0) | 0; // which may be negative
      samples.push({ decoded, duration, after, size, flags: own, place });
      decoded += duration ?? 0;
      place += size;
    }
  }
  return samples;
}

/** Whether a track of a fragment is the same as another one. */
export const isOf = (track) => (other) => idOf(track) === idOf(other);

export const idOf = (track) => inside(track, "tfhd")[0].getUint32(4);

function decodedOf(time) {
  return time.getUint8(0) === 1 ? time.getUint32(4) * WORD + time.getUint32(8) : time.getUint32(4);
}

/** What holds for all frames of a track that do not say it themselves. */
function usualOf(header) {
  const flags = header.getUint32(0);
  const usual = {};
  let at = 8;
  for (const [name, flag] of Object.entries(TRACK)) {
    if (!(flags & flag)) continue;
    usual[name] = header.getUint32(at);
    at += TRACK_BYTES[name];
  }
  return usual;
}

/** What the boxes of a name hold that are in a box, or in bytes. */
export function inside(view, name) {
  const found = [];
  for (let at = 0; at + 8 <= view.byteLength; ) {
    const size = view.getUint32(at);
    const from = view.byteOffset + at;
    if (size < 8) throw new RangeError("no box");
    const isNamed = String.fromCharCode(...new Uint8Array(view.buffer, from + 4, 4)) === name;
    if (isNamed) found.push(new DataView(view.buffer, from + 8, size - 8));
    at += size;
  }
  return found;
}

export const viewOf = (bytes) =>
  ArrayBuffer.isView(bytes) ? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new DataView(bytes);
