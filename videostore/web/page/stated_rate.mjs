// Writes the rate of a recording into its header, for browsers that take from there how long a frame lasts.
//
// A camera without a constant rate states a million frames a second in its H.264, or nothing. WebKit on Linux believes
// that before the times of the file, and then has holes between the frames.

const BOXES = ["moov", "trak", "mdia", "minf", "stbl", "stsd", "avc1", "avcC"];
const FIELDS = { stsd: 8, avc1: 78 }; // bytes of a box before the boxes in it
const DURATION = ["moov", "trak", "mdia", "mdhd"];
const DURATION_AT = 24; // in mdhd
const MOST_US = 2_000_000; // what lasts longer is a gap
const USUAL_US = 100_000;

/** Whether this browser takes the length of a frame from the header: WebKit with GStreamer. */
export function believesRate({ vendor, platform } = navigator) {
  return vendor.startsWith("Apple") && platform.startsWith("Linux");
}

/** How long a frame lasts, by the times of some: the middle one of their distances. */
export function frameLength(timesUs) {
  const lengths = timesUs.slice(1).map((us, number) => us - timesUs[number]);
  lengths.sort((one, other) => one - other);
  return Math.min(Math.max(lengths[lengths.length >> 1] ?? USUAL_US, 1), MOST_US);
}

/** A class that loads for hls.js, by another one, and states in the headers that a frame lasts so long. */
export function rating(Loader, lengthUs) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...others) => {
        if (context.frag?.sn === "initSegment") response.data = withRate(response.data, lengthUs);
        callbacks.onSuccess(response, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** The header of a fragmented MP4 in which H.264 says that a frame lasts so long; itself where it holds no H.264, or
 * cannot be read. */
export function withRate(header, lengthUs) {
  const found = find(header, BOXES);
  if (!found) return header;
  // avcC: version, profile, compatibility, level, size of lengths, count of sets; then the first one behind its length
  const from = found.at + 8;
  try {
    const view = new DataView(header);
    const to = from + view.getUint16(from - 2);
    const set = ratedSet(new Uint8Array(header, from, to - from), lengthUs);
    const more = set.length - (to - from);
    const changed = new Uint8Array(header.byteLength + more);
    changed.set(new Uint8Array(header, 0, from));
    changed.set(set, from);
    changed.set(new Uint8Array(header, to), from + set.length);
    const written = new DataView(changed.buffer);
    for (const box of found.boxes) written.setUint32(box, view.getUint32(box) + more);
    written.setUint16(from - 2, set.length);
    // With a duration there, GStreamer guesses a rate of its own for each fragment.
    const media = find(changed.buffer, DURATION);
    if (media && written.getUint8(media.at) === 0) written.setUint32(media.boxes[3] + DURATION_AT, 0);
    return changed.buffer;
  } catch (error) {
    if (error instanceof RangeError) return header; // it is cut off
    throw error;
  }
}

/** Where boxes begin, each in the one before it, and what the last one holds. */
function find(buffer, names) {
  const view = new DataView(buffer);
  const boxes = [];
  let [at, end] = [0, buffer.byteLength];
  for (const name of names) {
    while (at + 8 <= end && nameOf(buffer, at) !== name) at += Math.max(view.getUint32(at), 8);
    if (at + 8 > end) return null;
    boxes.push(at);
    end = Math.min(at + view.getUint32(at), end);
    at += 8 + (FIELDS[name] ?? 0);
  }
  return { boxes, at };
}

const nameOf = (buffer, at) => String.fromCharCode(...new Uint8Array(buffer, at + 4, 4));

// H.264, 7.3.2.1.1: a sequence parameter set, and E.1.1: what it may say of the rate.

const HIGH = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);
const EXTENDED_SAR = 255;
const WORD = 32;
const MOST_ZEROS = 32; // of a number; more are not H.264

/** A sequence parameter set with another rate. */
function ratedSet(set, lengthUs) {
  const bits = bitsOf(set);
  const reader = new Reader(bits);
  const isDescribed = skipToDescription(reader);
  const from = reader.at;
  const isTimed = isDescribed && skipToTiming(reader);
  const timing = [...wordBits(lengthUs), ...wordBits(2_000_000)]; // a frame is two ticks
  if (isTimed) bits.splice(reader.at, timing.length, ...timing);
  else if (isDescribed) bits.splice(reader.at - 1, 1, 1, ...timing, 0);
  else bits.splice(from - 1, 1, 1, 0, 0, 0, 0, 1, ...timing, 0, 0, 0, 0, 0);
  bits.length = bits.lastIndexOf(1) + 1; // up to its stop bit
  while (bits.length % 8) bits.push(0);
  return bytesOf(set[0], bits);
}

class Reader {
  constructor(bits) {
    Object.assign(this, { bits, at: 0 });
  }

  flag() {
    if (this.at >= this.bits.length) throw new RangeError("it ends too early");
    return this.bits[this.at++];
  }

  number(count) {
    let value = 0;
    for (let bit = 0; bit < count; bit += 1) value = value * 2 + this.flag();
    return value;
  }

  /** Of as many bits as it begins with zeros. */
  coded() {
    let zeros = 0;
    while (!this.flag()) if (++zeros > MOST_ZEROS) throw new RangeError("no number");
    return 2 ** zeros - 1 + this.number(zeros);
  }

  signed() {
    const value = this.coded();
    return value % 2 ? (value + 1) / 2 : -value / 2;
  }
}

/** Read up to what describes its use, and whether it has that. */
function skipToDescription(reader) {
  const profile = reader.number(8);
  reader.number(16);
  reader.coded();
  if (HIGH.has(profile)) {
    const chroma = reader.coded();
    if (chroma === 3) reader.flag();
    reader.coded();
    reader.coded();
    reader.flag();
    const lists = reader.flag() ? (chroma === 3 ? 12 : 8) : 0;
    for (let list = 0; list < lists; list += 1) if (reader.flag()) skipScaling(reader, list < 6 ? 16 : 64);
  }
  reader.coded();
  const order = reader.coded();
  if (order === 0) reader.coded();
  if (order === 1) {
    reader.flag();
    reader.signed();
    reader.signed();
    for (let count = reader.coded(); count > 0; count -= 1) reader.signed();
  }
  reader.coded();
  reader.flag();
  reader.coded();
  reader.coded();
  if (!reader.flag()) reader.flag();
  reader.flag();
  if (reader.flag()) for (let side = 0; side < 4; side += 1) reader.coded();
  return reader.flag() === 1;
}

function skipScaling(reader, size) {
  let [last, next] = [8, 8];
  for (let number = 0; number < size && next !== 0; number += 1) {
    next = (last + reader.signed() + 256) % 256;
    if (next !== 0) last = next;
  }
}

/** Read up to the rate, and whether there is one. */
function skipToTiming(reader) {
  if (reader.flag() && reader.number(8) === EXTENDED_SAR) reader.number(WORD);
  if (reader.flag()) reader.flag();
  if (reader.flag()) {
    reader.number(4);
    if (reader.flag()) reader.number(24);
  }
  if (reader.flag()) {
    reader.coded();
    reader.coded();
  }
  return reader.flag() === 1;
}

const wordBits = (value) => Array.from({ length: WORD }, (_, bit) => (value >>> (WORD - 1 - bit)) & 1);

/** The bits of a set behind its first byte, without those that keep it from looking like a start code. */
function bitsOf(set) {
  const plain = Array.from(set.subarray(1)).filter((byte, at, all) => !(byte === 3 && all[at - 1] === 0 && all[at - 2] === 0));
  return plain.flatMap((byte) => wordBits(byte).slice(-8));
}

function bytesOf(first, bits) {
  const bytes = [first];
  for (let at = 0; at < bits.length; at += 8) {
    const byte = bits.slice(at, at + 8).reduce((value, bit) => value * 2 + bit, 0);
    if (byte <= 3 && bytes[bytes.length - 1] === 0 && bytes[bytes.length - 2] === 0) bytes.push(3);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
