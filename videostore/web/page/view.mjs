// The stretch of time that the lanes show.

import { DAY_US, SECOND_US } from "./units.mjs";

const SHORTEST_US = SECOND_US;
const LONGEST_US = 31 * DAY_US;
const FUTURE = 0.08; // how much of the lane may lie right of all footage

export class View {
  /** `end` returns up to where there may be footage. */
  constructor(fromUs, toUs, end) {
    this.end = end;
    this.set(fromUs, toUs);
  }

  get span() {
    return this.to - this.from;
  }

  /** Show this stretch, within what a lane can show. */
  set(fromUs, toUs) {
    const span = Math.min(Math.max(toUs - fromUs, SHORTEST_US), LONGEST_US);
    const latest = this.end() + span * FUTURE;
    this.from = Math.round(Math.min(fromUs, latest - span));
    this.to = this.from + Math.round(span);
  }

  /** Zoom around a moment, which keeps its place: a factor below 1 shows less. */
  zoom(factor, aroundUs) {
    const span = Math.min(Math.max(this.span * factor, SHORTEST_US), LONGEST_US);
    const share = (aroundUs - this.from) / this.span;
    this.set(aroundUs - share * span, aroundUs + (1 - share) * span);
  }

  pan(us) {
    this.set(this.from + us, this.to + us);
  }

  /** Show a moment: pan, unless it is shown with a margin already. */
  follow(us) {
    const margin = this.span * 0.02;
    if (us < this.from + margin || us > this.to - margin) {
      this.set(us - this.span * 0.5, us + this.span * 0.5);
    }
  }

  x(us, width) {
    return ((us - this.from) / this.span) * width;
  }

  us(x, width) {
    return Math.round(this.from + (x / width) * this.span);
  }
}
