// The marks of the ruler above the lanes. They follow the wall clock: an hour that comes twice has its marks twice.

import { DAY_US, HOUR_US, MINUTE_US, SECOND_US } from "./units.mjs";

const STEPS = [
  ...[0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30].map((seconds) => seconds * SECOND_US),
  ...[1, 2, 5, 10, 15, 30].map((minutes) => minutes * MINUTE_US),
  ...[1, 2, 3, 6, 12].map((hours) => hours * HOUR_US),
  ...[1, 2, 7].map((days) => days * DAY_US),
];
const LABEL_WIDTH = 84;

/** The marks between two moments on so many pixels: `[{us, label, strong, zone}]`. `strong` ones begin a day;
 * `zone` is set where the offset changes. */
export function ticks(fromUs, toUs, width, zone) {
  const wanted = ((toUs - fromUs) * LABEL_WIDTH) / Math.max(width, 1);
  const step = STEPS.find((one) => one >= wanted) ?? STEPS[STEPS.length - 1];
  const marks = [];
  zone.pieces(fromUs, toUs).forEach((piece, number) => {
    const first = Math.ceil((piece.from_us + piece.offset_us) / step) * step - piece.offset_us;
    for (let us = first; us < piece.to_us; us += step) {
      marks.push(mark(us, step, zone, number > 0 && us === first));
    }
  });
  return marks;
}

function mark(us, step, zone, changed) {
  const { hour, minute, second } = zone.fields(us);
  const strong = hour === 0 && minute === 0 && second === 0;
  let label = zone.time(us).slice(0, 5);
  if (strong || step >= DAY_US) label = zone.date(us);
  else if (step < SECOND_US) label = zone.time(us, 2).slice(3);
  else if (step < MINUTE_US) label = zone.time(us);
  return { us, label: changed ? `${label} ${zone.label(us)}` : label, strong, zone: changed };
}
