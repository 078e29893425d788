// Lets hls.js put the first frame that is shown where the file before ends.
//
// It puts the first time of decoding in a file there. Where frames are reordered, the first one is shown later, by two
// frames or so, and nothing would lie between, at each border of files. So hls.js gets each piece as one that begins so
// much earlier. What it finds in the piece is where its first frame is shown, as before.

const MEDIA = ["moov", "trak", "mdia", "mdhd"];
const MEDIA_SKIPPED = [12, 20]; // bytes of mdhd before the units in a second, by its version
const HAS_DURATION = 0x8; // flags of tfhd
const BEFORE_DURATION = [
  [0x1, 8],
  [0x2, 4],
]; // flags of tfhd, and the bytes of what they tell of
const RUN = { place: 0x1, first: 0x4, duration: 0x100, size: 0x200, flags: 0x400, order: 0x800 };
const WORD = 2 ** 32;

/** A class that loads for hls.js, by another one. */
export function placing(Loader) {
  const headers = new WeakMap(); // the bytes of each header, by what hls.js calls its fragment
  const waiting = new WeakMap(); // what to do when it is there
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
            beginEarlier(frag, firstDelayS(headers.get(header) ?? header.data, response.data));
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

function beginEarlier(frag, byS) {
  if (byS <= 0) return;
  const { start } = frag;
  const earlier = start - byS;
  frag.setStart(earlier);
  // By then hls.js has put it in its place, or has left it.
  setTimeout(() => frag.start === earlier && frag.setStart(start));
}

/** How long after its first time of decoding a piece of a file shows its first frame, in seconds. 0 if that cannot be
 * read, or if a frame behind the piece may be shown earlier. */
export function firstDelayS(header, piece) {
  try {
    const [media] = MEDIA.reduce(([box], name) => inside(box, name), [viewOf(header)]);
    const isLong = media.getUint8(0) === 1;
    const perSecond = media.getUint32(MEDIA_SKIPPED[Number(isLong)]);
    const tracks = inside(viewOf(piece), "moof").map((moof) => inside(moof, "traf")[0]); // the video is the first
    const samples = tracks.flatMap(samplesOf);
    const last = samples[samples.length - 1];
    const shown = samples.reduce((least, one) => Math.min(least, one.decoded + one.after), Infinity);
    return last.decoded + last.duration >= shown ? (shown - samples[0].decoded) / perSecond : 0;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return 0; // it is cut off, or lacks a box
    throw error;
  }
}

/** The frames of a fragment's track: when each is decoded, in units of the track, how long, and how long before it is
 * shown. */
function samplesOf(track) {
  const [header] = inside(track, "tfhd");
  const [time] = inside(track, "tfdt");
  const usual = usualDuration(header);
  let decoded = time.getUint8(0) === 1 ? time.getUint32(4) * WORD + time.getUint32(8) : time.getUint32(4);
  const samples = [];
  for (const run of inside(track, "trun")) {
    const flags = run.getUint32(0);
    let at = 8 + (flags & RUN.place ? 4 : 0) + (flags & RUN.first ? 4 : 0);
    for (let count = run.getUint32(4); count > 0; count -= 1) {
      const duration = flags & RUN.duration ? run.getUint32(at) : usual;
      for (const one of ["duration", "size", "flags"]) at += flags & RUN[one] ? 4 : 0;
      samples.push({ decoded, duration, after: flags & RUN.order ? run.getInt32(at) : 0 });
      at += flags & RUN.order ? 4 : 0;
      decoded += duration;
    }
  }
  return samples;
}

/** How long a frame lasts where its run does not say it; 0 where the fragment does not either. */
function usualDuration(header) {
  const flags = header.getUint32(0);
  const skipped = BEFORE_DURATION.reduce((sum, [flag, bytes]) => sum + (flags & flag ? bytes : 0), 8);
  return flags & HAS_DURATION ? header.getUint32(skipped) : 0;
}

/** What the boxes of a name hold that are in a box, or in bytes. */
function inside(view, name) {
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

const viewOf = (bytes) =>
  ArrayBuffer.isView(bytes) ? new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) : new DataView(bytes);
