// Where a capture time lies in what a player plays, and the other way round.

import { SECOND_US } from "./units.mjs";

export const SHORTEST_GAP_US = 2 * SECOND_US;
const SLACK_S = 0.0005; // times of frames are rounded

/** The fragments of a playlist with the capture time at which each begins. */
export class Playlist {
  /** `fragments` as hls.js lists them. `leads`: for how many seconds frames are shown before the keyframe of a piece,
   * by its address, as far as that is known. */
  constructor(fragments, leads = new Map()) {
    let dated = null;
    let lead = 0;
    this.pieces = [];
    this.longestS = 0; // of a piece: so much comes at once
    fragments.forEach((fragment, number) => {
      lead = leads.get(fragment.relurl) ?? lead; // one that is not known yet is probably as the one before
      const start = startOf(fragment) + lead;
      const stated = fragment.rawProgramDateTime;
      if (stated) dated = { us: readDate(stated), start };
      if (dated === null) return;
      const next = fragments[number + 1];
      const end = startOf(fragment) + fragment.duration + (next ? (leads.get(next.relurl) ?? lead) : 0);
      const from = dated.us + Math.round((start - dated.start) * SECOND_US);
      this.longestS = Math.max(this.longestS, fragment.duration);
      const header = fragment.initSegment?.relurl;
      this.pieces.push({ start, end, header, from_us: from, to_us: from + Math.round((end - start) * SECOND_US) });
    });
    // How long the last frame of a segment is shown is a guess: it stays until the next one, unless a gap is between.
    this.pieces.forEach((piece, number) => {
      const next = this.pieces[number + 1]?.from_us ?? piece.to_us;
      piece.until_us = next > piece.to_us && next - piece.to_us < SHORTEST_GAP_US ? next : piece.to_us;
    });
  }

  get isEmpty() {
    return this.pieces.length === 0;
  }

  get fromUs() {
    return this.pieces[0]?.from_us;
  }

  get toUs() {
    return this.pieces[this.pieces.length - 1]?.to_us;
  }

  /** The position of the frame that is shown at a moment; null where there is none. */
  position(us) {
    const piece = this.pieces.find(({ from_us, until_us }) => from_us <= us && us < until_us);
    return piece ? Math.min(piece.start + (us - piece.from_us) / SECOND_US, piece.end - 2 * SLACK_S) : null;
  }

  /** The piece at a position, or next to it. */
  pieceAt(position) {
    return (
      this.pieces.find(({ start, end }) => start - SLACK_S <= position && position < end - SLACK_S) ??
      (position < this.pieces[0]?.start ? this.pieces[0] : this.pieces[this.pieces.length - 1])
    );
  }

  /** The capture time at a position. */
  captured(position) {
    const piece = this.pieceAt(position);
    return piece ? piece.from_us + Math.round((position - piece.start) * SECOND_US) : null;
  }

  /** The nearest moments with footage, before and after one without. */
  around(us) {
    const before = this.pieces.filter(({ to_us }) => to_us <= us).pop();
    const after = this.pieces.find(({ from_us }) => from_us > us);
    return { before_us: before ? before.to_us - 1 : null, after_us: after ? after.from_us : null };
  }
}

/** A date of a playlist in microseconds: those of JavaScript end with the millisecond. */
export function readDate(text) {
  const found = /^(.*?:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)$/.exec(text.trim());
  if (!found) return Math.round(Date.parse(text) * 1000);
  const fraction = Number((found[2] ?? "").padEnd(6, "0").slice(0, 6));
  return Date.parse(found[1] + found[3]) * 1000 + fraction;
}

/** Where the first picture of a fragment lies: hls.js lets the first fragment begin at 0, also if its picture does not. */
const startOf = (fragment) => (Number.isFinite(fragment.startPTS) ? fragment.startPTS : fragment.start);
