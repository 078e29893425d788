// Leaves out sound that this browser cannot decode, so that the picture plays without it.
//
// hls.js gives picture and sound to the browser as one stream, which it refuses as a whole. In the header and the pieces
// of such a file the boxes of the sound become free space, which players skip; no byte is moved.

import { idOf, inside, viewOf } from "./fragments.mjs";
import { canPlay } from "./codec.mjs";

const KIND_AT = 8; // in hdlr
const CODEC_AT = 12; // in stsd
const TRACK_AT = { 0: 12, 1: 20 }; // in tkhd, by its version
const USUAL_TRACK_AT = 4; // in trex
const FULL_NAMES = { mp4a: "mp4a.40.2", Opus: "opus", fLaC: "flac" };
const FREE = [..."free"].map((letter) => letter.charCodeAt(0));

/** A class that loads for hls.js, by another one. `onLeftOut` gets the codec of what is left out. */
export function withoutSound(Loader, onLeftOut) {
  const silent = new Map(); // the tracks that are left out, by the address of their header
  return class extends Loader {
    load(context, config, callbacks) {
      const onSuccess = (response, ...others) => {
        const { frag } = context;
        try {
          if (frag?.sn === "initSegment") silent.set(frag.relurl, freeHeader(response.data, onLeftOut));
          else freePiece(response.data, silent.get(frag?.initSegment?.relurl));
        } catch (error) {
          if (!(error instanceof RangeError || error instanceof TypeError)) throw error; // it is cut off, or lacks a box
        }
        callbacks.onSuccess(response, ...others);
      };
      super.load(context, config, { ...callbacks, onSuccess });
    }
  };
}

/** Free the sound of a header that cannot be decoded here. Returns the ids of its tracks. */
export function freeHeader(header, onLeftOut = () => {}) {
  const ids = new Set();
  for (const moov of inside(viewOf(header), "moov")) {
    for (const track of inside(moov, "trak")) {
      const [media] = inside(track, "mdia");
      if (nameAt(inside(media, "hdlr")[0], KIND_AT) !== "soun") continue;
      const [description] = inside(inside(inside(media, "minf")[0], "stbl")[0], "stsd");
      const name = nameAt(description, CODEC_AT);
      const codec = FULL_NAMES[name] ?? name.trim();
      if (canPlay(codec) || canPlay(name)) continue; // browsers differ in how they write Opus and FLAC
      const [about] = inside(track, "tkhd");
      ids.add(about.getUint32(TRACK_AT[about.getUint8(0)]));
      free(track);
      onLeftOut(codec);
    }
    const usual = inside(moov, "mvex").flatMap((box) => inside(box, "trex"));
    for (const one of usual) if (ids.has(one.getUint32(USUAL_TRACK_AT))) free(one);
  }
  return ids;
}

/** Free the tracks of a piece that have such ids. */
export function freePiece(piece, ids) {
  if (!ids?.size) return;
  const tracks = inside(viewOf(piece), "moof").flatMap((moof) => inside(moof, "traf"));
  for (const track of tracks) if (ids.has(idOf(track))) free(track);
}

const free = (box) => new Uint8Array(box.buffer, box.byteOffset - FREE.length, FREE.length).set(FREE);

const nameAt = (view, at) => String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, 4));
