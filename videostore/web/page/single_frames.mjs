// Makes each frame of a reordered video a fragment of its own, for browsers that misread fragments of several.
//
// Firefox lets each frame of a fragment last until the next one of the same fragment is shown. Where a fragment ends
// among frames that are reordered, others are shown between these two: sought there, it showed a frame too early, by up
// to three. Chromium lets a frame last as long as its decoding: where frames are reordered and not equally far apart, the
// one before may last too long. So each frame lasts until the next one of the piece is shown.

import { RUN, WORD, idOf, inside, newAllowance, samplesOf, viewOf } from "./fragments.mjs";

const HEAD = 8; // bytes of a box before what it holds
const IN_MOOF = 1 << 17; // of tfhd: places are counted from the begin of the fragment
const NO_BASE = 0x1;

/** Whether this browser lets frames last too long: Firefox. */
export function stretchesFrames({ userAgent } = navigator) {
  return userAgent.includes("Firefox/");
}

/** A class that loads for hls.js, by another one. `all` reordered pieces are divided; otherwise those whose frames are not
 * equally far apart. */
export function dividing(Loader, { all }) {
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...others) => {
        if (context.frag && context.frag.sn !== "initSegment") response.data = withSingleFrames(response.data, { all });
        callbacks.onSuccess(response, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** A piece of a file with a fragment for each frame of its video; the piece itself where no frame is reordered, or that
 * cannot be done. Unless `all`, the piece itself also where all frames last equally long. */
export function withSingleFrames(piece, { all = true } = {}) {
  try {
    const allowance = newAllowance();
    const fragments = inside(viewOf(piece), "moof").map((one) => readFragment(one, allowance));
    const tracks = fragments.flatMap((one) => one.tracks);
    const video = tracks.find(({ samples }) => areReordered(samples));
    if (!video) return piece;
    const samples = tracks.filter(({ id }) => id === video.id).flatMap((track) => track.samples);
    if (!all && samples.every(({ duration }) => duration === samples[0].duration)) return piece;
    lastUntilNext(samples);
    const bytes = tracks.flatMap(({ samples }) => samples).reduce((sum, { size }) => sum + size, 0);
    if (bytes > piece.byteLength) throw new RangeError("frames share bytes");
    return joined(fragments.flatMap((one) => divided(one, video.id, piece)));
  } catch (error) {
    // It is cut off, lacks a box, or tells of too much.
    if (error instanceof RangeError || error instanceof TypeError) return piece;
    throw error;
  }
}

/** Let each frame last until the next one is shown, and be decoded for as long: a browser takes what is decoded later than
 * that for a gap. All of them last as long as before.
 *
 * A live piece mostly ends among frames that are reordered, so that some of the next one are shown between its own. Its
 * frames stay decoded when they were, or the next piece would be earlier than the end of this one, and a browser would
 * leave it out up to a keyframe. None of them lasts longer than before. */
function lastUntilNext(samples) {
  if (samples.some(({ duration }) => duration === undefined)) return;
  const shown = samples.map((one) => ({ one, at: one.decoded + one.after })).sort((first, second) => first.at - second.at);
  const [first, last] = [shown[0], shown[shown.length - 1]];
  const rest = samples.reduce((sum, { duration }) => sum + duration, first.at - last.at);
  const isWhole = samples.some(({ duration }) => 2 * rest >= duration); // a frame between takes the place of the last one
  shown.forEach(({ one, at }, number) => {
    const distance = number + 1 < shown.length ? shown[number + 1].at - at : Math.max(rest, 1);
    if (isWhole) one.duration = distance;
    else if (number + 1 < shown.length) one.duration = Math.max(Math.min(one.duration, distance), Math.ceil(one.duration / 2));
  });
  if (!isWhole) return;
  let { decoded } = samples[0];
  for (const one of samples) {
    one.after += one.decoded - decoded;
    one.decoded = decoded;
    decoded += one.duration;
  }
}

const areReordered = (samples) => samples.some(({ after }) => after !== samples[0].after);

function readFragment(view, allowance) {
  const tracks = inside(view, "traf").map((track) => {
    const [header] = inside(track, "tfhd");
    const flags = header.getUint32(0);
    if (!(flags & IN_MOOF) || flags & NO_BASE) throw new RangeError("places are counted from elsewhere");
    const samples = samplesOf(track, allowance);
    if (samples.some(({ size }) => size === undefined)) throw new RangeError("the sizes are in the header");
    return { id: idOf(track), header, samples };
  });
  return { at: view.byteOffset - HEAD, number: inside(view, "mfhd")[0], tracks };
}

/** The fragments of one: a frame of the video each, and the other tracks. */
function divided({ at, number, tracks }, video, piece) {
  const groups = tracks.flatMap(({ id, header, samples }) =>
    (id === video ? samples.map((one) => [one]) : [samples]).map((some) => ({ header, some })),
  );
  return groups
    .filter(({ some }) => some.length > 0)
    .flatMap(({ header, some }) => {
      const frames = some.map(({ place, size }) => new Uint8Array(piece, at + place, size));
      return [moof(number, header, some), box("mdat", ...frames)];
    });
}

function moof(number, header, samples) {
  const [first] = samples;
  const time = words(1 << 24, Math.floor(first.decoded / WORD), first.decoded);
  const told = ["duration", "flags"].filter((name) => samples.every((one) => one[name] !== undefined));
  const names = ["duration", "size", "flags"].filter((name) => name === "size" || told.includes(name));
  const flags = names.reduce((all, name) => all | RUN[name], RUN.place | RUN.order);
  const fields = samples.flatMap((one) => [...names.map((name) => one[name]), one.after]);
  const run = words((1 << 24) | flags, samples.length, 0, ...fields);
  const made = box("moof", box("mfhd", bytesOf(number)), box("traf", box("tfhd", bytesOf(header)), box("tfdt", time), box("trun", run)));
  const place = made.length - run.length + HEAD; // of the third word of the run, which is the last box
  new DataView(made.buffer).setUint32(place, made.length + HEAD);
  return made;
}

const bytesOf = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

function words(...values) {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  values.forEach((value, number) => view.setUint32(number * 4, value));
  return bytesOf(view);
}

function box(name, ...contents) {
  const size = contents.reduce((sum, { length }) => sum + length, HEAD);
  return new Uint8Array(joined([words(size), Uint8Array.from(name, (letter) => letter.charCodeAt(0)), ...contents]));
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes.buffer;
}
